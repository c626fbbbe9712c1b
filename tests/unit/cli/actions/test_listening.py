"""The options `--listen` and `--public-url`, and the receiver that they open."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import click
import pytest

from suno_cover_async import CallbackReceiver
from suno_cover_async.cli.actions.listening import CallbackListener
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.options import with_listener
from tests.support.callback_requests import COVER, KEY, MUSIC, PUBLIC_URL, Request, path_of, signed
from tests.support.virtual_time import run as in_virtual_time

HERE = ("--listen", "127.0.0.1:8481", "--public-url", PUBLIC_URL)


def given(*arguments: str) -> CallbackListener | None:
    seen: list[CallbackListener | None] = []

    @with_listener
    def keep(listener: CallbackListener | None) -> None:
        seen.append(listener)

    click.command()(keep).main([*arguments], standalone_mode=False)
    return seen[0]


def listener(*arguments: str) -> CallbackListener:
    found = given(*arguments or HERE)
    assert found is not None
    return found


def at_any_port() -> CallbackListener:
    """Listen on a free port, which no option can ask for."""
    usual = listener()
    return CallbackListener(
        host="127.0.0.1",
        port=0,
        public_url=PUBLIC_URL,
        receiver=usual.receiver,
        callbacks=usual.callbacks,
    )


def test_without_the_options_nothing_listens() -> None:
    assert given() is None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--listen 127.0.0.1:8481", "belong together"),
        ("--public-url https://me.example", "belong together"),
        ("--listen 8481 --public-url https://me.example", "--listen must be HOST:PORT"),
        ("--listen a:0 --public-url https://me.example", "--listen must be HOST:PORT"),
        ("--listen a:99999 --public-url https://me.example", "--listen must be HOST:PORT"),
        ("--listen a:\uff11 --public-url https://me.example", "--listen must be HOST:PORT"),
        ("--listen a:1 --public-url me.example", "--public-url must be a URL"),
        ("--listen a:1 --public-url https://me.example/?x", "--public-url must have no query"),
    ],
)
def test_a_wrong_listen_option_is_named(options: str, why: str) -> None:
    with pytest.raises(click.UsageError, match=why.replace("?", ".")):
        given(*options.split())


@pytest.mark.parametrize(
    ("where", "host", "port"),
    [
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("10.0.0.1:65535", "10.0.0.1", 65_535),
        ("[::1]:8481", "::1", 8_481),
        ("my-host:8481", "my-host", 8_481),
    ],
)
def test_an_address_has_a_host_and_a_port_and_is_passed_on_as_it_was_given(
    where: str, host: str, port: int
) -> None:
    found = listener("--listen", where, "--public-url", PUBLIC_URL)

    assert (found.host, found.port) == (host, port)
    assert found.arguments() == ["--listen", where, "--public-url", PUBLIC_URL]


def test_the_secret_is_that_of_the_environment_or_made_for_this_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SUNO_CALLBACK_SECRET", raising=False)
    made = {listener().receiver.url(MUSIC) for _ in range(2)}
    monkeypatch.setenv("SUNO_CALLBACK_SECRET", "callback-secret-of-mine")
    known = listener().receiver.url(MUSIC)

    mine = CallbackReceiver(public_url=PUBLIC_URL, secret="callback-secret-of-mine")
    assert known == mine.url(MUSIC)
    assert len(made | {known}) == 3
    assert "callback-secret-of-mine" not in " ".join(listener().arguments())


@pytest.mark.parametrize("key", [None, "", KEY])
async def test_the_hosts_signature_is_checked_if_its_key_is_known(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_CALLBACK_HMAC_KEY", key or "")
    found = listener()
    path = path_of(found.receiver)

    unsigned = Request(path=path, headers={"Content-Type": "application/json"})
    believed = [
        (await found.receiver.receive(*one.parts())).status == 200
        for one in (unsigned, Request(path=path, headers=signed()))
    ]

    assert believed == [not key, True]


async def test_a_callback_that_came_is_kept() -> None:
    found = listener()

    await found.receiver.receive(*Request(path=path_of(found.receiver)).parts())
    await asyncio.sleep(0)

    assert [(one.music_task_id, one.cover_task_id) for one in found.callbacks] == [(MUSIC, COVER)]


def work(
    found: CallbackListener, *, code: int = ExitCode.DONE, called: bool = False
) -> Callable[[], Coroutine[Any, Any, int]]:
    async def act() -> int:
        if called:
            await found.receiver.receive(*Request(path=path_of(found.receiver)).parts())
            await asyncio.sleep(1)
        return code

    return act


@pytest.mark.parametrize(
    ("code", "called", "expected", "warns"),
    [
        (ExitCode.DONE, False, True, True),
        (ExitCode.DONE, True, True, False),
        (ExitCode.DONE, False, False, False),
        (ExitCode.FAILED, False, True, False),
    ],
)
def test_whoever_listens_in_vain_is_told_after_the_work(
    code: int, called: bool, expected: bool, warns: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = at_any_port()
    act = work(found, code=code, called=called)

    ended = in_virtual_time(found.run_while_listening(act(), expected=lambda: expected))

    first, *rest = capsys.readouterr().err.splitlines()
    assert ended == code
    assert first == f"listening for callbacks on 127.0.0.1 port 0, as {PUBLIC_URL}"
    assert [line.partition(":")[0] for line in rest] == (
        [f"no callback came to {PUBLIC_URL.partition(':')[0]}"] if warns else []
    )


def test_where_nothing_can_listen_the_work_never_begins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun: list[bool] = []

    async def act() -> int:
        begun.append(True)
        return ExitCode.DONE

    elsewhere = listener("--listen", "192.0.2.1:8481", "--public-url", PUBLIC_URL)

    with pytest.raises(OSError, match=r".") as refused:
        in_virtual_time(elsewhere.run_while_listening(act()))

    assert refused.value.__notes__[0].startswith("listen elsewhere than on 192.0.2.1 port 8481")
    assert begun == []
    assert capsys.readouterr().err == ""

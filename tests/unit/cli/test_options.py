"""The options of every command that calls the API: what each accepts, and the folder of images."""

import logging
from pathlib import Path

import click
import pytest

from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.options import Seconds, connected, image_folder
from tests.support.commands import Run
from tests.support.connections import given


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://me:secret@proxy.example:1", "set HTTPS_PROXY to the whole URL instead"),
        ("socks5://proxy.example:1", "--proxy is a SOCKS proxy"),
        ("http://", "--proxy is no URL"),
    ],
)
async def test_a_proxy_that_cannot_be_used_is_refused_and_its_password_not_repeated(
    url: str, reason: str, run: Run
) -> None:
    ended = await run("credits", "--proxy", url)

    assert ended.code == ExitCode.USAGE
    assert reason in " ".join(ended.err.split())
    assert "secret" not in ended.err


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "0", "soon"])
def test_a_wait_is_a_finite_number_of_seconds_above_zero(value: str) -> None:
    with pytest.raises(click.BadParameter):
        Seconds(0, min_open=True).convert(value, None, None)

    assert Seconds(0, min_open=True).convert("0.5", None, None) == 0.5


@pytest.mark.parametrize("url", ["", "http://example.com", "ftp://127.0.0.1"])
def test_a_base_url_that_is_refused_is_named_by_its_option(url: str) -> None:
    with pytest.raises(click.UsageError, match="--base-url"):
        given("--base-url", url)


@pytest.mark.parametrize("network", ["127.0.0.0/8", "fe80::/10", "0.0.0.0/0", "198.18.0.1/15", ""])
async def test_a_fake_ip_network_that_may_not_be_one_is_named_by_its_option(
    network: str, run: Run
) -> None:
    ended = await run("credits", "--fake-ip", network)

    assert ended.code == ExitCode.USAGE
    assert "--fake-ip: " in ended.err


def test_a_host_may_be_named_in_any_letter_case() -> None:
    assert given("--host", "KIE").host == "kie"


@pytest.mark.parametrize(
    ("words", "level"),
    [((), logging.WARNING), (("-v",), logging.INFO), (("-vvv",), logging.DEBUG)],
)
def test_a_command_logs_as_it_is_told(words: tuple[str, ...], level: int) -> None:
    levels: list[int] = []

    @connected
    def note(connection: Connection) -> None:
        assert connection == Connection()
        levels.append(logging.getLogger("suno_cover_async").level)

    click.command()(note).main([*words], standalone_mode=False)

    assert levels == [level]


def test_the_folder_of_images_is_made_before_anything_is_paid_for(tmp_path: Path) -> None:
    made: list[bool] = []

    @image_folder(None, "")
    def look(into: Path | None) -> None:
        made.append(into is None or into.is_dir())

    command = click.command()(look)
    command.main([], standalone_mode=False)
    command.main(["--out", str(tmp_path / "a" / "b")], standalone_mode=False)
    (tmp_path / "file").touch()
    with pytest.raises(click.BadParameter, match="saved there: it is a file, not a folder"):
        command.main(["--out", str(tmp_path / "file")], standalone_mode=False)

    assert made == [True, True]

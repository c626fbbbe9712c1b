"""A client from the options: the key, the host, the waits, the proxy."""

import io
import sys
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from yarl import URL

from suno_cover_async import SUNOAPI, RetryPolicy, SunoCoverClient
from suno_cover_async.cli.connection import Connection, KeyMissingError
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.profiles import Profile
from suno_cover_async.hosts import HOSTS
from tests.support.commands import KEY, Run
from tests.support.connections import given

OTHER = next(name for name in HOSTS if name != SUNOAPI.name)
OTHER_THAN_KIE = "apibox"


def typed(monkeypatch: pytest.MonkeyPatch, what: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(what)))


def account(key: str) -> str:
    return SunoCoverClient(key).account


async def test_without_a_key_the_ways_to_give_one_are_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUNO_API_KEY")

    ended = await run("credits")

    assert ended.code == ExitCode.KEY
    assert "SUNO_API_KEY" in ended.err
    assert "--key-file" in ended.err


@pytest.mark.parametrize("name", ["sk-typed", "sk-typed\0", "."])
async def test_a_key_file_that_cannot_be_read_is_not_named(name: str, run: Run) -> None:
    ended = await run("credits", "--key-file", name)

    assert ended.code == ExitCode.USAGE
    assert "--key-file" in ended.err
    assert "sk-typed" not in ended.err


@pytest.mark.parametrize("content", [KEY, f"{KEY}\n", f"{KEY}\r\n"])
def test_the_key_is_the_files_content_less_one_line_end(content: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(content, newline="")

    client = Connection(key_file=str(tmp_path / "key")).client()

    assert client.account == account(KEY)


def test_the_key_is_that_of_the_environment_unless_a_file_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    typed(monkeypatch, b"another-key\n")

    assert Connection().client().account == account(KEY)
    assert Connection(key_file="-").client().account == account("another-key")


@pytest.mark.parametrize(
    ("source", "words"), [("key", "the key file is empty"), ("-", "standard input is empty")]
)
def test_an_empty_source_of_the_key_is_named(
    source: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("\n")
    typed(monkeypatch, b"")

    with pytest.raises(KeyMissingError, match=words) as missing:
        Connection(key_file=source).client()

    assert missing.value.exit_code == ExitCode.KEY


@pytest.mark.parametrize("odd", [f" {KEY}", f"{KEY}\n\n", f"{KEY}\u200b"])
def test_a_key_with_odd_characters_is_shown_in_no_error(odd: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(odd, "utf-8")

    with pytest.raises(click.UsageError, match="a space or a line break") as refused:
        Connection(key_file=str(tmp_path / "key")).client()

    assert KEY not in str(refused.value)
    frames = list(_locals_of(refused.value))
    assert frames
    assert all(KEY not in str(one) for one in frames)


@pytest.mark.parametrize(
    ("odd", "reason"), [(f'"{KEY}"', "begins or ends with a quotation mark"), ("sk-12", "only 5")]
)
def test_a_key_in_quotes_or_too_short_is_refused_with_the_reason(
    odd: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", odd)

    with pytest.raises(click.UsageError, match=f"the API key from SUNO_API_KEY .*{reason}"):
        Connection().client()


def test_the_proxy_of_the_environment_is_used_unless_one_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    monkeypatch.setenv("https_proxy", "http://environment.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    usual = given()
    chosen = given("--proxy", "http://given.example:3128")

    api = URL("https://api.example")
    assert str(usual.client()._covers._proxies.of(api)) == "http://environment.example:3128"
    assert str(chosen.client()._covers._proxies.of(api)) == "http://given.example:3128"
    assert usual.arguments() == []
    assert chosen.arguments() == ["--proxy", "http://given.example:3128"]


async def test_a_proxy_of_the_environment_that_cannot_be_used_is_named_by_its_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@proxy.example:1080")
    monkeypatch.setenv("all_proxy", "socks5://me:secret@proxy.example:1080")

    ended = await run("credits")

    assert ended.code == ExitCode.USAGE
    assert "ALL_PROXY is a SOCKS proxy" in " ".join(ended.err.split())
    assert "secret" not in ended.err


def _locals_of(error: BaseException) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_globals["__name__"].startswith("suno_cover_async.cli"):
            found.append(dict(traceback.tb_frame.f_locals))
        traceback = traceback.tb_next
    return found


def test_a_key_file_that_is_no_text_says_so(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")

    with pytest.raises(click.BadParameter, match="not UTF-8"):
        Connection(key_file=str(tmp_path / "key")).client()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--host", OTHER],
        ["--base-url", "http://127.0.0.1:1", "--key-file", "a key"],
        ["--timeout", "90", "--poll", "0.05"],
    ],
)
def test_the_options_are_passed_on_as_they_were_given(arguments: list[str]) -> None:
    assert given(*arguments).arguments() == arguments


@pytest.mark.parametrize(
    ("arguments", "longer"),
    [
        ([], ["--timeout", "1800"]),
        (["--timeout", "0.1", "--poll", "3"], ["--timeout", "0.2", "--poll", "3"]),
        (["--key-file", "--timeout"], ["--key-file", "--timeout", "--timeout", "1800"]),
    ],
)
def test_a_longer_wait_takes_twice_the_time_and_else_the_same_options(
    arguments: list[str], longer: list[str]
) -> None:
    assert given(*arguments).longer().arguments() == longer


def test_a_host_is_chosen_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNO_API_KEY", KEY)

    assert given("--host", OTHER).client().base_url == HOSTS[OTHER].base_url
    assert given().client().base_url == SUNOAPI.base_url


def test_the_base_url_comes_from_the_environment_unless_its_option_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    monkeypatch.setenv("SUNO_BASE_URL", "http://127.0.0.1:8480")

    assert given().client().base_url == "http://127.0.0.1:8480"
    assert given("--base-url", "http://127.0.0.1:1").client().base_url == "http://127.0.0.1:1"
    assert given().arguments() == []


@pytest.mark.parametrize("poll", [0.01, 1_000.0])
def test_a_poll_interval_of_any_length_is_the_least_and_the_first_one(poll: float) -> None:
    policy = Connection(poll=poll, timeout=7.0)._schedule()

    assert (policy.initial_delay, policy.min_interval, policy.timeout) == (poll, poll, 7.0)
    assert policy.max_interval >= poll


def test_without_options_the_policies_are_the_librarys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNO_API_KEY", KEY)

    client = Connection().client(concurrency=3, retry=RetryPolicy(max_attempts=1))

    assert client.concurrency == 3
    assert Connection()._schedule().timeout == SunoCoverClient(KEY)._timeout(None)


def test_fake_ip_networks_are_passed_on() -> None:
    connection = Connection(fake_ip=("198.18.0.0/15", "fd00::/8"))

    assert connection.arguments() == ["--fake-ip", "198.18.0.0/15", "--fake-ip", "fd00::/8"]


OF_PROFILE = Profile(name="work", host="kie", base_url="https://work.example")


@pytest.mark.parametrize(
    ("profile", "options", "variable", "cause"),
    [
        (OF_PROFILE, {"base_url": "https://other.example"}, "", "--base-url"),
        (OF_PROFILE, {}, "https://other.example", "SUNO_BASE_URL"),
        (attrs.evolve(OF_PROFILE, base_url=None), {"host": OTHER_THAN_KIE}, "", "--host"),
        (Profile(name="work"), {"host": "kie"}, "", "--host"),
        (Profile(name="work"), {}, "http://127.0.0.1:1", "SUNO_BASE_URL"),
    ],
)
def test_the_key_of_a_profile_is_not_sent_to_another_address_than_the_profiles(
    *,
    profile: Profile,
    options: dict[str, Any],
    variable: str,
    cause: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "key").write_text(KEY)
    monkeypatch.delenv("SUNO_API_KEY", raising=False)
    monkeypatch.setenv("SUNO_BASE_URL", variable)
    profile = attrs.evolve(profile, key_file=str(tmp_path / "key"))

    for use in (Connection.client, Connection.key):
        with pytest.raises(click.UsageError, match=f"{cause} .*pass --key-file") as caught:
            use(Connection(**options, applied=profile))
        assert KEY not in str(caught.value)
    named = Connection(**options, key_file=profile.key_file, applied=profile)
    assert named.key() == KEY


@pytest.mark.parametrize("host", [None, "kie", OTHER_THAN_KIE])
def test_the_key_of_a_profile_is_used_at_its_own_address_however_that_is_named(
    host: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(KEY)
    monkeypatch.delenv("SUNO_API_KEY", raising=False)
    monkeypatch.setenv("SUNO_BASE_URL", "https://work.example/")

    profile = attrs.evolve(OF_PROFILE, key_file=str(tmp_path / "key"))

    assert Connection(host=host, applied=profile).key() == KEY

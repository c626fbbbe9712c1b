"""When commands share the account's limit, and where its file is."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from suno_cover_async import HOSTS, RateLimit, SharedRateLimiter, SunoCoverClient
from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.shared_limit import limit_file, rate_limit
from suno_cover_async.covers.service import CoverService
from suno_cover_async.ledger.postgres.database import _LONGEST_FAILURE
from tests.support.commands import KEY, environment, finish, start

REAL = HOSTS["sunoapi"].base_url


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    return tmp_path / "state"


def limiter_of(client: SunoCoverClient) -> object:
    covers: CoverService = client._covers
    return covers.account.limiter


def test_the_file_is_in_the_users_state_folder(state: Path) -> None:
    assert limit_file().is_relative_to(state)


def test_commands_share_the_limit_by_default() -> None:
    client = Connection().client()

    limiter = limiter_of(client)
    assert isinstance(limiter, SharedRateLimiter)
    assert limiter.rate_limit == RateLimit(calls=20, seconds=10)
    assert limit_file().exists()
    with pytest.raises(ValueError, match="one account"):
        limiter.bind("another account")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8480", "http://localhost:1", "http://[::1]:1"])
def test_a_host_on_loopback_has_a_limit_of_its_own(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_option = Connection(base_url=url).client()
    monkeypatch.setenv("SUNO_BASE_URL", url)
    by_variable = Connection().client()

    for client in (by_option, by_variable):
        assert client.base_url == url
        assert not isinstance(limiter_of(client), SharedRateLimiter)
    assert not limit_file().exists()


@pytest.mark.parametrize("url", [REAL, "http://127.0.0.1:8480"])
def test_with_a_ledger_in_a_database_the_limit_is_shared_there_on_any_host(url: str) -> None:
    database = "postgresql://me@127.0.0.1:1/songs"  # nothing is reached before a request

    assert isinstance(rate_limit(url, shared=True, ledger=database), SharedRateLimiter)
    assert rate_limit(url, shared=False, ledger=database) == RateLimit(calls=20, seconds=10)
    assert not limit_file().exists()


def test_no_shared_limit_shares_nothing_and_the_next_command_neither() -> None:
    connection = Connection(shared_limit=False)

    assert not isinstance(limiter_of(connection.client()), SharedRateLimiter)
    assert not limit_file().exists()
    assert "--no-shared-limit" in connection.arguments()
    assert "--no-shared-limit" not in Connection().arguments()


def no_home(_: str) -> Path:
    raise RuntimeError("could not determine the home directory")


def literal_tilde(name: str) -> Path:
    return Path("~/.local/state", name)


@pytest.mark.parametrize("told", [no_home, literal_tilde])
def test_a_user_without_a_home_directory_gets_a_warning_and_no_folder(
    told: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # What versions of platformdirs do for a user id that is not in the system's list of users.
    monkeypatch.setattr(platformdirs, "user_state_path", told)
    monkeypatch.chdir(tmp_path)

    assert rate_limit(REAL, shared=True) == RateLimit(calls=20, seconds=10)

    assert "there is no home directory" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_a_warning(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state.write_text("a file, no folder")

    assert rate_limit(REAL, shared=True) == RateLimit(calls=20, seconds=10)

    written = " ".join(capsys.readouterr().err.split())
    assert "pass --no-shared-limit" in written
    assert "Not a directory" in written or "File exists" in written


def test_a_file_that_a_power_cut_damaged_is_a_warning_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Connection().client()
    limit_file().write_bytes(bytes(8192))

    assert rate_limit(REAL, shared=True) == RateLimit(calls=20, seconds=10)

    written = " ".join(capsys.readouterr().err.split())
    assert "delete the file if a power cut damaged it" in written


async def test_without_a_home_folder_the_limit_is_not_shared_and_a_warning_says_so(
    tmp_path: Path,
) -> None:
    unknown = ("unshare", "--user", "--map-user=54321")  # a user without an entry, as in containers
    if shutil.which("unshare") is None or await (await start(program=(*unknown, "true"))).wait():
        pytest.skip("no user namespace can be made")
    program = f"from suno_cover_async.cli.shared_limit import *; rate_limit({REAL!r}, shared=True)"
    environ = environment()
    for name in ("HOME", "XDG_STATE_HOME"):
        environ.pop(name, None)

    ended = await finish(
        await start(program=(*unknown, sys.executable, "-c", program), cwd=tmp_path, env=environ)
    )

    assert ended.code == 0, ended.err
    written = " ".join(ended.err.split())
    assert "there is no home directory" in written
    assert "pass --no-shared-limit" in written
    assert list(tmp_path.iterdir()) == []


def test_the_limit_in_a_ledgers_database_outlasts_the_ledgers_own_patience() -> None:
    limit = rate_limit(REAL, shared=True, ledger="postgresql://user@host/covers")

    assert isinstance(limit, SharedRateLimiter)
    assert limit._patience > _LONGEST_FAILURE + 30  # a heartbeat and its connection come later

"""Fixtures that all tests share; their helpers are in `tests/support/`."""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from suno_cover_async.cli.app import main
from tests.support.commands import KEY, Ended, Run
from tests.support.postgres import Server, own_server, shared_server

settings.register_profile("untimed", deadline=None)  # machines are shared; what hangs has failed
settings.load_profile("untimed")

# What a shell runs in its background ignores interrupts, and so would all that is begun here.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Have garbage collections look at what tests make alone, not at thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _state_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep commands, also in processes of their own, from the user's state and config folders."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    os.environ.pop("SUNO_PROFILE", None)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Take away what a test, or a program of a page, added to the package's log."""
    log = logging.getLogger("suno_cover_async")
    level, handlers = log.level, list(log.handlers)
    yield
    log.setLevel(level)
    log.handlers[:] = handlers


@pytest.fixture
async def no_task_is_left_behind() -> AsyncIterator[None]:
    yield
    for _ in range(10):  # the server's own tasks take some turns to notice that a peer is gone
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in a thread of this process, with the key in the environment."""
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)

    async def ran(*arguments: str) -> Ended:
        capsys.readouterr()
        code = await asyncio.to_thread(main, list(arguments))
        written = capsys.readouterr()
        return Ended(code, written.out, written.err)

    return ran


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The PostgreSQL server of the whole run, which no test may stop or change."""
    base = tmp_path_factory.getbasetemp()
    workers = "PYTEST_XDIST_WORKER" in os.environ  # each has a folder of its own beside the others
    with shared_server(base.parent if workers else base) as server:
        yield server


@pytest.fixture
def database_url(postgres_server: Server) -> Iterator[str]:
    """The URL, with a password, of a new and empty database on the run's server."""
    with postgres_server.database() as name:
        yield postgres_server.url(name)


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    """A PostgreSQL server that the test may stop and crash."""
    with own_server() as server:
        yield server

"""Processes that fill, open and damage ledgers' files."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Track
from tests.support.runs import read_now


def fill(path: Path | str, tracks: int = 3) -> None:
    """Have a ledger with some tracks there, and close it."""

    async def take_in() -> None:
        async with Ledger(path) as ledger:
            await ledger.take_in([Track(f"m{n}", title=f"Song {n}") for n in range(tracks)])

    asyncio.run(take_in())


def ids(path: Path | str) -> list[str]:
    return [entry.music_task_id for entry in read_now(Path(path))]


def contents(directory: Path) -> dict[str, bytes]:
    """Read all files but the lock, which is taken in any case."""
    files = (path for path in directory.iterdir() if path.is_file() and path.suffix != ".lock")
    return {path.name: path.read_bytes() for path in files}


def refusal(path: Path | str) -> str:
    """Open a ledger, which is refused, and return the reason."""
    with pytest.raises(LedgerError) as refused:
        open_and_close(path)
    return str(refused.value)


def open_and_close(path: Path | str) -> None:
    async def act() -> None:
        async with Ledger(path):
            pass

    with ThreadPoolExecutor(1) as thread:  # where a test's own event loop runs as well
        thread.submit(asyncio.run, act()).result()


def totals(path: Path) -> dict[TrackState, int]:
    return asyncio.run(Ledger(path).totals())


HOLD = """
    async def hold():
        async with Ledger(sys.argv[1]) as ledger:
            say("held")
            sys.stdin.read()
            await ledger.take_in([Track("late")])

    asyncio.run(hold())
"""

DIE = """
    async def main():
        ledger = await Ledger(sys.argv[1]).__aenter__()
        await ledger.took_in("whole")
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
"""

"""What a ledger remembers: each step, in each run, whatever kills, fills or wrecks its disk."""

import asyncio
import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suno_cover_async.errors import (
    ClientUsageError,
    LedgerError,
)
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.run_steps import Intake
from suno_cover_async.models import Track
from tests.support.bad_disk import run
from tests.support.ledger_steps import (
    FILES,
    NOON,
    STEPS,
    TASK,
    details,
    entries,
    entry_of,
)
from tests.support.private_statements import ALONE
from tests.support.runs import read_now

ACCOUNT = "0123456789abcdef"


@pytest.mark.parametrize("name", STEPS)
async def test_each_step_is_read_back_at_once_and_by_the_next_run(path: Path, name: str) -> None:
    steps, expected = STEPS[name]
    track = Track("m1", title="Song", columns={"album": "A", "no": 1})
    wanted = LedgerEntry(number=1, tracks=(track,), **expected)
    async with Ledger(path) as ledger:
        entry = await entry_of(ledger, track)
        for step in steps:
            await step(ledger, entry)
        at_once = await entries(ledger)
        from_outside = [entry async for entry in ledger.entries()]
    async with Ledger(path) as ledger:
        later = await entries(ledger)

    assert at_once == from_outside == later == [wanted]
    others = [state for state in TrackState if state is not wanted.state]
    assert await ledger.totals() == {state: int(state is wanted.state) for state in TrackState}
    assert [entry async for entry in ledger.entries(wanted.state)] == [wanted]
    assert not [entry async for entry in ledger.entries(*others)]


@pytest.mark.parametrize("name", STEPS)
async def test_a_ledger_without_a_file_takes_the_same_steps(name: str) -> None:
    steps, expected = STEPS[name]
    async with Ledger(None) as ledger:
        entry = await entry_of(ledger)
        for step in steps:
            await step(ledger, entry)

        assert await entries(ledger) == [LedgerEntry(number=1, tracks=(Track("m1"),), **expected)]
        assert (await ledger.count())[expected["state"]] == 1
        with pytest.raises(LedgerError, match="has no file"):
            await anext(ledger.entries())
        with pytest.raises(LedgerError, match="has no file"):
            await ledger.totals()
        with pytest.raises(LedgerError, match="has no file"):
            await ledger.runs()


# A lone half of a character is kept; two halves that follow each other become the character.
TEXT = st.text().filter(lambda text: json.loads(json.dumps(text)) == text)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)

TRACKS = st.builds(
    Track,
    st.sampled_from(["m1", "m2", "!'\"%;--", "~" * 128]),
    title=TEXT
    | st.sampled_from(
        ["\ud800", "\0", "'; DROP TABLE tracks; --", '"', "歌🎵" * 2000, "\u202e", "\udcff.mp3"]
    ),
    columns=st.dictionaries(TEXT, JSON, max_size=3),
)


@given(pages=st.lists(st.lists(TRACKS, max_size=6), max_size=3))
@settings(max_examples=60, deadline=None)
def test_whatever_a_catalog_says_is_read_back(pages: list[list[Track]]) -> None:
    wanted: dict[str, dict[str, Track]] = {}
    for track in (track for page in pages for track in page):
        wanted.setdefault(track.music_task_id, {})[track.title] = track

    async def act() -> tuple[list[int], list[LedgerEntry]]:
        async with Ledger(None) as ledger:
            added = [await ledger.take_in(page) for page in pages]
            return added, await entries(ledger)

    added, found = asyncio.run(act())

    assert sum(added) == len(wanted)
    assert [(entry.number, entry.tracks) for entry in found] == [
        (number, tuple(tracks.values())) for number, tracks in enumerate(wanted.values(), 1)
    ]


async def test_a_catalog_is_known_once_it_is_whole_and_by_its_own_fingerprint(path: Path) -> None:
    async def is_known(ledger: Ledger, fingerprint: str | None) -> bool:
        return await ledger.begin_intake(fingerprint) is Intake.NONE

    async with Ledger(path) as ledger:
        known = [await is_known(ledger, "a"), await is_known(ledger, None)]
        await ledger.took_in("a")
    async with Ledger(path) as ledger:
        known.append(await is_known(ledger, "a"))
        known.append(await is_known(ledger, "b"))
        known.append(await is_known(ledger, "a"))  # not since "b" was begun
        await ledger.took_in("a")
        known.append(await is_known(ledger, None))
        await ledger.took_in(None)
        known += [await is_known(ledger, "a"), await is_known(ledger, None)]

    assert known == [False, False, True, False, False, False, False, False]


async def test_open_entries_come_in_the_catalogs_order_page_by_page(ledger: Ledger) -> None:
    await ledger.take_in([Track(f"m{9 - n}") for n in range(9)])
    for entry in (await entries(ledger))[1::3]:
        await ledger.submitted(entry, TASK)
    first = await ledger.next_open(TrackState.WAITING, 0, 4)
    rest = await ledger.next_open(TrackState.WAITING, first[-1].number, 4)

    assert [entry.number for entry in first + rest] == [1, 3, 4, 6, 7, 9]
    assert [entry.music_task_id for entry in first] == ["m9", "m7", "m6", "m4"]
    assert [e.number for e in await ledger.next_open(TrackState.SUBMITTED, 2, 9)] == [5, 8]
    assert await ledger.next_open(TrackState.WAITING, 9, 4) == []


async def test_the_oldest_images_are_saved_first_and_those_put_off_in_the_next_run(
    path: Path,
) -> None:
    async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
        await ledger.take_in([Track(f"m{n}") for n in range(5)])
        for entry, age in zip(await entries(ledger), [2, 5, 1, 4, 3], strict=True):
            await ledger.covered(entry, details(completed_at=NOON - timedelta(days=age)))
        oldest = await ledger.claim_unsaved(2)
        await ledger.put_off(oldest[0])
        await ledger.saved(oldest[1], FILES)
        this_run = [entry.number for entry in await ledger.claim_unsaved(9)]
    async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
        next_run = [entry.number for entry in await ledger.claim_unsaved(9)]

    assert [entry.number for entry in oldest] == [2, 4]
    assert this_run == [5, 1, 3]
    assert next_run == [2, 5, 1, 3]


@ALONE
async def test_without_a_file_images_are_put_off_as_well(ledger: Ledger) -> None:
    await ledger.take_in([Track("m1"), Track("m2")])
    for entry in await entries(ledger):
        await ledger.covered(entry, details())
    async with ledger.lease(ACCOUNT):
        first, second = await ledger.claim_unsaved(9)
        await ledger.put_off(first)
        await ledger.release(first)
        await ledger.release(second)
        this_run = await ledger.claim_unsaved(9)
    async with ledger.lease(ACCOUNT):
        next_run = await ledger.claim_unsaved(9)

    assert this_run == [second]
    assert next_run == [first, second]


async def test_a_ledger_that_is_not_open_says_so_at_once(path: Path) -> None:
    ledger = Ledger(path)
    with pytest.raises(LedgerError, match="is not open; use it as `async with"):
        ledger.count()
    async with ledger:
        await ledger.take_in([Track("m1")])
    await ledger.aclose()

    with pytest.raises(LedgerError, match="is not open; use it as `async with"):
        ledger.take_in([Track("m2")])
    async with ledger:
        assert len(await entries(ledger)) == 1


async def test_closing_writes_what_is_queued(path: Path) -> None:
    async with Ledger(path) as ledger:
        entry = await entry_of(ledger)
        ledger.submitted(entry, TASK).cancel()

    assert [entry.task async for entry in ledger.entries()] == [TASK]
    assert ledger.unwritten == ()


class HeldThreads(ThreadPoolExecutor):
    """An executor whose work begins once `go` is set."""

    def __init__(self) -> None:
        super().__init__(1)
        self.go = threading.Event()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        def held() -> Any:
            self.go.wait()
            return fn(*args, **kwargs)

        return super().submit(held)


async def test_whoever_is_cancelled_while_a_ledger_opens_leaves_it_closed(path: Path) -> None:
    threads = HeldThreads()
    asyncio.get_running_loop().set_default_executor(threads)
    opening = asyncio.create_task(Ledger(path).__aenter__())
    await asyncio.sleep(0)
    opening.cancel()
    threads.go.set()
    with pytest.raises(asyncio.CancelledError):
        await opening

    async with Ledger(path):
        pass  # nobody holds it


UNCLOSED = """
    async def main():
        ledger = await Ledger(sys.argv[1]).__aenter__()
        for number in range(50):
            ledger.take_in([Track(f"m{number}")])

    asyncio.run(main())
"""


def test_a_program_that_ends_without_closing_its_ledger_writes_what_it_was_told(path: Path) -> None:
    code, _ = run(UNCLOSED, path)

    assert code == 0
    assert len(read_now(path)) == 50


async def test_the_latest_10_runs_are_read_unless_more_are_wanted(path: Path) -> None:
    async with Ledger(path) as ledger:
        for _ in range(12):
            async with ledger.lease(ACCOUNT):
                await ledger.note_balance(before=1.0)

        assert [run.number for run in await ledger.runs()] == [*range(12, 2, -1)]
        assert [run.number for run in await ledger.runs(limit=12)] == [*range(12, 0, -1)]


async def test_a_run_that_was_refused_or_had_nothing_to_do_is_no_run(path: Path) -> None:
    async with Ledger(path) as ledger:
        async with ledger.lease(ACCOUNT):
            await ledger.take_in([Track("m1")])
        async with ledger.lease(ACCOUNT):
            assert await ledger.claim([TrackState.SUBMITTED], 9) == []
            assert await ledger.claim_unsaved(9) == []
        async with ledger.lease(ACCOUNT):
            [entry] = await ledger.claim([TrackState.WAITING], 9)
            await ledger.put_off(entry)
        async with ledger.lease(ACCOUNT):
            assert await ledger.claim([TrackState.WAITING], 9) == [entry]

        assert [run.number for run in await ledger.runs()] == [3, 2, 1]


async def test_a_run_whose_claim_was_cancelled_may_have_held_tracks_and_stays(path: Path) -> None:
    async with Ledger(path) as ledger:
        async with ledger.lease(ACCOUNT):
            ledger.claim([TrackState.WAITING], 9).cancel()
            await asyncio.sleep(0)

        assert [run.number for run in await ledger.runs()] == [1]


def test_a_ledger_is_shown_by_its_path_or_by_its_url_without_the_password() -> None:
    pytest.importorskip("psycopg")
    assert repr(Ledger("covers.db")) == "Ledger('covers.db')"
    assert repr(Ledger(None)) == "Ledger(None)"
    shown = "Ledger('postgresql://me@db.example/songs')"
    assert repr(Ledger("postgresql://me:secret@db.example/songs")) == shown


@pytest.mark.parametrize("url", ["postgresq://me:s3cret@db.example/songs", "mysql://a:s3cret@b/c"])
def test_a_url_of_something_else_is_refused_and_not_repeated(url: str) -> None:
    for made in (Ledger, Ledger.copy_of):
        with pytest.raises(ValueError, match="not a URL of PostgreSQL") as refused:
            made(url)
        assert "s3cret" not in str(refused.value)


@ALONE
async def test_one_catalog_uses_a_ledger_at_a_time(ledger: Ledger) -> None:
    async with ledger.lease(ACCOUNT):
        with pytest.raises(LedgerError, match="in use by another"):
            await ledger.lease(ACCOUNT).__aenter__()
        with pytest.raises(ClientUsageError, match="leave its block"):
            await ledger.aclose()
    async with ledger.lease(ACCOUNT):
        pass


async def test_a_run_whose_end_was_not_written_holds_nothing_in_the_next(path: Path) -> None:
    async with Ledger(path) as ledger:
        await ledger._store.do(wait_for_nobody)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as beside:
            async with ledger.lease(ACCOUNT):
                await ledger.take_in([Track("m1")])
                (held,) = await ledger.claim([TrackState.WAITING], 9)
                beside.execute("BEGIN IMMEDIATE")  # nobody else can write
            beside.execute("ROLLBACK")
        async with ledger.lease(ACCOUNT):
            claimed = await ledger.claim([TrackState.WAITING], 9)

        assert [run.ended_at is None for run in await ledger.runs()] == [False, True]
        assert claimed == [held]


class Shared(Ledger):
    """A ledger that others share, who wait for what a run holds."""

    @property
    def is_shared(self) -> bool:
        return True


async def test_the_end_of_a_run_that_others_wait_for_is_tried_again_when_the_ledger_is_closed(
    path: Path,
) -> None:
    async with Shared(path) as ledger:
        await ledger._store.do(wait_for_nobody)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as beside:
            async with ledger.lease(ACCOUNT):
                await ledger.take_in([Track("m1")])
                beside.execute("BEGIN IMMEDIATE")  # nobody else can write
            beside.execute("ROLLBACK")
        assert [run.ended_at for run in await ledger.runs()] == [None]

    (run,) = await Ledger(path).runs()
    assert run.ended_at is not None


def wait_for_nobody(there: Any) -> None:
    """Have a commit fail at once while another connection writes."""
    there.execute("PRAGMA busy_timeout = 0")

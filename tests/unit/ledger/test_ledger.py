"""What a ledger remembers: each step, in each run, whatever kills, fills or wrecks its disk."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from platform import node
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suno_cover_async.errors import (
    ClientUsageError,
    CoverExpiredError,
    CoverFailedError,
    LedgerError,
    ServerError,
)
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask, Track
from tests.support.bad_disk import run
from tests.support.ledger_steps import (
    COVERED,
    FILES,
    NOON,
    SAVED,
    SUBMITTED,
    TASK,
    Step,
    details,
    entries,
)
from tests.support.runs import read_now

ACCOUNT = "0123456789abcdef"

FAILED = CoverFailedError(CoverDetails(cover_task_id="c1", status=CoverStatus.FAILED))


async def entry_of(ledger: Ledger, track: Track | str = "m1") -> LedgerEntry:
    """Take a track in, unless it is there, and return its entry."""
    track = Track(track) if isinstance(track, str) else track
    await ledger.take_in([track])
    return next(
        entry for entry in await entries(ledger) if entry.music_task_id == track.music_task_id
    )


FINISHED = {
    "task": TASK,
    "images": details().images,
    "created_at": details().created_at,
    "completed_at": NOON,
}

STEPS: dict[str, tuple[list[Step], dict[str, Any]]] = {
    "taken in": ([], {"state": TrackState.WAITING}),
    "submitting": (
        [lambda ledger, entry: ledger.submitting(entry)],
        {"state": TrackState.SUBMITTING, "submits": 1},
    ),
    "not sent after all": (
        [
            lambda ledger, entry: ledger.submitting(entry),
            lambda ledger, entry: ledger.unsent(entry),
        ],
        {"state": TrackState.WAITING},
    ),
    "submitted": (SUBMITTED, {"state": TrackState.SUBMITTED, "task": TASK}),
    "adopted": (
        [
            lambda ledger, entry: ledger.submitted(
                entry, CoverTask(cover_task_id="c9", music_task_id="m1", adopted=True)
            )
        ],
        {
            "state": TrackState.SUBMITTED,
            "task": CoverTask(cover_task_id="c9", music_task_id="m1", adopted=True),
        },
    ),
    "covered": (COVERED, {"state": TrackState.COVERED} | FINISHED),
    "put off": (
        [*COVERED, lambda ledger, entry: ledger.put_off(entry)],
        {"state": TrackState.COVERED} | FINISHED,
    ),
    "saved": (SAVED, {"state": TrackState.SAVED, "files": FILES, "saved_on": node()} | FINISHED),
    "failed": (
        [
            *SUBMITTED,
            lambda ledger, entry: ledger.ended(entry, TrackState.FAILED, FAILED),
        ],
        {
            "state": TrackState.FAILED,
            "task": TASK,
            "error": "CoverFailedError",
            "reason": str(FAILED),
        },
    ),
    "another's task": (
        [
            *SUBMITTED,
            lambda ledger, entry: ledger.ended(
                entry, TrackState.ATTENTION, ValueError("whose?\n\ud83d"), task_known=False
            ),
        ],
        {"state": TrackState.ATTENTION, "error": "ValueError", "reason": "whose?\n?"},
    ),
}


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


async def test_a_step_changes_its_own_entry_only(ledger: Ledger) -> None:
    await ledger.take_in([Track(f"m{n}") for n in range(3)])
    _, second, _ = await entries(ledger)
    for step in SAVED:
        await step(ledger, second)

    states = [entry.state for entry in await entries(ledger)]
    assert states == [TrackState.WAITING, TrackState.SAVED, TrackState.WAITING]


async def test_a_cover_whose_host_names_no_time_is_finished_now(ledger: Ledger) -> None:
    before = datetime.now(UTC)
    entry = await entry_of(ledger)
    await ledger.covered(entry, attrs.evolve(details(completed_at=None), created_at=None))
    (covered,) = await entries(ledger)

    assert covered.created_at is None
    assert covered.completed_at is not None
    assert before - timedelta(seconds=1) <= covered.completed_at <= datetime.now(UTC)


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


async def test_a_song_that_is_named_twice_is_one_entry_with_two_names(ledger: Ledger) -> None:
    first, second = Track("m1", title="Song"), Track("m1", title="Song (live)", columns={"no": 2})

    assert await ledger.take_in([first, Track("m2"), second]) == 2
    assert await ledger.take_in([second, first]) == 0
    assert [entry.tracks for entry in await entries(ledger)] == [(first, second), (Track("m2"),)]


async def test_a_title_that_is_seen_again_has_its_new_columns_only(ledger: Ledger) -> None:
    entry = await entry_of(ledger, Track("m1", title="Song", columns={"old": 1, "no": 1}))
    for step in SAVED:
        await step(ledger, entry)
    again = await entry_of(ledger, Track("m1", title="Song", columns={"no": 2}))

    assert again.tracks == (Track("m1", title="Song", columns={"no": 2}),)
    assert again.state is TrackState.SAVED


@pytest.mark.parametrize("name", STEPS)
async def test_a_new_name_makes_a_saved_cover_wait_for_being_saved_and_no_other(
    ledger: Ledger, name: str
) -> None:
    steps, _ = STEPS[name]
    entry = await entry_of(ledger, Track("m1", title="Song"))
    for step in steps:
        await step(ledger, entry)
    (before,) = await entries(ledger)
    after = await entry_of(ledger, Track("m1", title="Other"))
    saved = before.state is TrackState.SAVED

    assert after.state is (TrackState.COVERED if saved else before.state)
    assert (after.task, after.images) == (before.task, before.images)
    assert len(await ledger.next_unsaved(9)) == int(name in {"covered", "saved"})


async def test_a_cover_that_got_a_name_while_it_was_saved_is_to_be_saved_again(
    ledger: Ledger,
) -> None:
    entry = await entry_of(ledger, Track("m1", title="Song"))
    for step in COVERED:
        await step(ledger, entry)
    (covered,) = await ledger.next_unsaved(1)
    await ledger.take_in([Track("m1", title="Other")])
    await ledger.saved(covered, FILES)
    (again,) = await ledger.next_unsaved(1)
    await ledger.saved(again, FILES)

    assert again.files == FILES
    assert len(again.tracks) == 2
    assert [entry.state for entry in await entries(ledger)] == [TrackState.SAVED]


async def test_a_cover_is_saved_once_however_its_columns_were_written(ledger: Ledger) -> None:
    twins: dict[Any, object] = {1: "first", "1": "last"}  # JSON knows but one such key
    entry = await entry_of(ledger, Track("m1", title="Song", columns=twins))
    for step in COVERED:
        await step(ledger, entry)
    (covered,) = await ledger.next_unsaved(1)
    await ledger.saved(covered, FILES)

    assert await ledger.next_unsaved(1) == []


@pytest.mark.parametrize(
    "value", [{1}, b"bytes", object(), NOON, Path("x")], ids=lambda v: type(v).__name__
)
async def test_a_column_that_json_does_not_know_is_refused_where_it_is_handed_in(
    ledger: Ledger, value: object
) -> None:
    with pytest.raises(TypeError):
        ledger.take_in([Track("m0"), Track("m1", columns={"odd": value})])

    assert await entries(ledger) == []


async def test_another_catalog_drops_only_what_nothing_was_sent_for(path: Path) -> None:
    async with Ledger(path) as ledger:
        for number, (steps, _) in enumerate(STEPS.values()):
            entry = await entry_of(ledger, f"m{number}")
            for step in steps:
                await step(ledger, entry)
        await ledger.took_in("fingerprint")
        before = await entries(ledger)
        await ledger.forget_waiting()
        after = await entries(ledger)

        assert [entry.state for entry in before].count(TrackState.WAITING) == 2
        assert after == [entry for entry in before if entry.state is not TrackState.WAITING]
        assert not await ledger.holds("fingerprint")


async def test_a_catalog_is_known_once_it_is_whole_and_by_its_own_fingerprint(path: Path) -> None:
    async with Ledger(path) as ledger:
        known = [await ledger.holds("a"), await ledger.holds(None)]
        await ledger.took_in("a")
    async with Ledger(path) as ledger:
        known += [await ledger.holds("a"), await ledger.holds("b"), await ledger.holds(None)]
        await ledger.took_in(None)
        known += [await ledger.holds("a"), await ledger.holds(None)]

    assert known == [False, False, True, False, False, False, False]


ENDS: dict[str, tuple[list[Step], TrackState, Exception, bool, TrackState, CoverTask | None]] = {
    "no task": ([], TrackState.FAILED, ServerError("x"), True, TrackState.WAITING, None),
    "failed": (SUBMITTED, TrackState.FAILED, FAILED, True, TrackState.SUBMITTING, TASK),
    "gone": (COVERED, TrackState.FAILED, CoverExpiredError("x"), True, TrackState.SUBMITTED, TASK),
    "lost": (SUBMITTED, TrackState.ATTENTION, ServerError("x"), True, TrackState.SUBMITTED, TASK),
    "odd": (SUBMITTED, TrackState.ATTENTION, ServerError("x"), False, TrackState.SUBMITTING, None),
}


@pytest.mark.parametrize("name", ENDS)
async def test_what_failed_is_submitted_again_unless_its_cover_task_may_still_serve(
    ledger: Ledger, name: str
) -> None:
    steps, end, error, task_known, state, task = ENDS[name]
    entry = await entry_of(ledger)
    for step in steps:
        await step(ledger, entry)
    await ledger.ended(entry, end, error, task_known=task_known)
    await ledger.retry_failed()
    (again,) = await entries(ledger)

    assert (again.state, again.task, again.error, again.reason) == (state, task, None, None)


async def test_what_did_not_fail_is_not_begun_anew(ledger: Ledger) -> None:
    for number, (steps, _) in enumerate(STEPS.values()):
        entry = await entry_of(ledger, f"m{number}")
        for step in steps:
            await step(ledger, entry)
    ended = (TrackState.FAILED, TrackState.ATTENTION)
    before = await entries(ledger)
    await ledger.retry_failed()
    after = await entries(ledger)

    assert [entry for entry in after if before[entry.number - 1].state not in ended] == [
        entry for entry in before if entry.state not in ended
    ]


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
        oldest = await ledger.next_unsaved(2)
        await ledger.put_off(oldest[0])
        await ledger.saved(oldest[1], FILES)
        this_run = [entry.number for entry in await ledger.next_unsaved(9)]
    async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
        next_run = [entry.number for entry in await ledger.next_unsaved(9)]

    assert [entry.number for entry in oldest] == [2, 4]
    assert this_run == [5, 1, 3]
    assert next_run == [2, 5, 1, 3]


async def test_without_a_file_images_are_put_off_as_well(ledger: Ledger) -> None:
    await ledger.take_in([Track("m1"), Track("m2")])
    for entry in await entries(ledger):
        await ledger.covered(entry, details())
    first, second = await ledger.next_unsaved(9)
    await ledger.put_off(first)

    assert [entry.number for entry in await ledger.next_unsaved(9)] == [second.number]


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


async def test_whoever_is_cancelled_while_a_ledger_opens_leaves_it_closed(path: Path) -> None:
    opening = asyncio.create_task(Ledger(path).__aenter__())
    await asyncio.sleep(0)
    opening.cancel()
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


async def test_one_catalog_uses_a_ledger_at_a_time(ledger: Ledger) -> None:
    async with ledger.lease(ACCOUNT):
        with pytest.raises(LedgerError, match="in use by another"):
            await ledger.lease(ACCOUNT).__aenter__()
        with pytest.raises(ClientUsageError, match="leave its block"):
            await ledger.aclose()
    async with ledger.lease(ACCOUNT):
        pass

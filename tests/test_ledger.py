"""What a ledger remembers: each step, in each run, whatever kills, fills or wrecks its disk."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from platform import node
from typing import Any

import attrs
import pytest
from bad_disk import disk_of_its_own, run, strace
from conftest import read_now
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

ACCOUNT = "0123456789abcdef"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TASK = CoverTask(cover_task_id="c1", music_task_id="m1")
FILES = (Path("covers/Song.png"), Path("covers/Söng 🎵 (2).png"))
FAILED = CoverFailedError(CoverDetails(cover_task_id="c1", status=CoverStatus.FAILED))


def details(cover_task_id: str = "c1", completed_at: datetime | None = NOON) -> CoverDetails:
    return CoverDetails(
        cover_task_id=cover_task_id,
        status=CoverStatus.SUCCESS,
        images=("https://images.example/1.png", "https://images.example/2.png"),
        created_at=NOON - timedelta(seconds=41.25),
        completed_at=completed_at,
    )


@pytest.fixture(params=["file", "private"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger(tmp_path / "covers.db" if request.param == "file" else None) as ledger:
        yield ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "covers.db"


async def opened_and_closed(path: Path) -> None:
    async with Ledger(path):
        pass


async def entries(ledger: Ledger) -> list[LedgerEntry]:
    """Read all entries of an open ledger, which may have no file."""
    found = [await ledger.next_open(state, 0, 10_000) for state in TrackState]
    return sorted((entry for some in found for entry in some), key=lambda entry: entry.number)


async def entry_of(ledger: Ledger, track: Track | str = "m1") -> LedgerEntry:
    """Take a track in, unless it is there, and return its entry."""
    track = Track(track) if isinstance(track, str) else track
    await ledger.take_in([track])
    return next(
        entry for entry in await entries(ledger) if entry.music_task_id == track.music_task_id
    )


# Steps


Step = Callable[[Ledger, LedgerEntry], "asyncio.Future[None]"]
SUBMITTED: list[Step] = [lambda ledger, entry: ledger.submitted(entry, TASK)]
COVERED: list[Step] = [*SUBMITTED, lambda ledger, entry: ledger.covered(entry, details())]
SAVED: list[Step] = [*COVERED, lambda ledger, entry: ledger.saved(entry, FILES)]

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


@pytest.mark.parametrize(("minutes", "is_young"), [(-1, True), (1, False)])
def test_a_cover_is_young_for_14_days(*, minutes: int, is_young: bool) -> None:
    finished = datetime.now(UTC) - timedelta(days=14, minutes=minutes)
    state = TrackState.COVERED
    entry = LedgerEntry(number=1, tracks=(Track("m1"),), state=state, completed_at=finished)

    assert entry.is_young is is_young


async def test_an_entry_tells_the_details_of_its_cover(ledger: Ledger) -> None:
    entry = await entry_of(ledger)
    for step in COVERED:
        await step(ledger, entry)
    (covered,) = await entries(ledger)

    assert covered.details.images == details().images
    assert (covered.details.cover_task_id, covered.details.music_task_id) == ("c1", "m1")
    assert (covered.details.finished, covered.details.completed_at) == (True, NOON)
    assert covered.details.duration == timedelta(seconds=41.25)


# Catalogs

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


NO_TASK = {"task": None}
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


# What is next


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


# Open and closed


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


# Kills

RUN = """
    async def cover(ledger, entry):
        name = entry.music_task_id
        for step, act in (
            ("submitting", lambda: ledger.submitting(entry)),
            ("submitted", lambda: ledger.submitted(entry, task(entry))),
            ("waiting", lambda: ledger.covered(entry, CoverDetails(
                cover_task_id=f"c{entry.number}", status=CoverStatus.SUCCESS, images=("i", "j")))),
            ("saved", lambda: ledger.saved(entry, [Path(f"{name}.png")])),
        ):
            say("asks", name, step)
            await act()
            say("has", name, step)

    async def workers(ledger, entries):
        async def work():
            while entries:
                await cover(ledger, entries.pop(0))
        await asyncio.gather(*(work() for _ in range(3)))

    async def main():
        async with Ledger(sys.argv[1]) as ledger:
            await ledger.take_in([Track(f"m{n}") for n in range(20)])
            say("took in")
            await workers(ledger, await ledger.next_open(TrackState.WAITING, 0, 100))

    asyncio.run(main())
"""
ORDER = ["nothing", "submitting", "submitted", "waiting", "saved"]
STATES = [
    TrackState.WAITING,
    TrackState.SUBMITTING,
    TrackState.SUBMITTED,
    TrackState.COVERED,
    TrackState.SAVED,
]


@pytest.mark.parametrize("sync", [1, 2, 3, 4, 5, 6, 8, 11, 14, 18, 22, 26])
def test_killed_at_any_sync_a_run_keeps_every_step_that_was_done(path: Path, sync: int) -> None:
    kill = f"inject=fdatasync:signal=SIGKILL:when={sync}"
    prefix = strace("-P", f"{path}-wal", "-e", "trace=fdatasync", "-e", kill)
    code, said = run(RUN, path, prefix=prefix)
    asked, had = progress(said, "asks"), progress(said, "has")
    asyncio.run(opened_and_closed(path))
    found = {entry.music_task_id: entry for entry in read_now(path)}

    assert code == -9
    assert len(found) == 20 or "took in" not in said
    for name, entry in found.items():
        far = STATES.index(entry.state)
        assert had.get(name, 0) <= far <= asked.get(name, 0)
        assert entry.task is None or entry.task.cover_task_id == f"c{entry.number}"
        assert (entry.task is not None) == (far >= 2)
        assert entry.images == (("i", "j") if far >= 3 else ())
        assert entry.files == ((Path(f"{name}.png"),) if far == 4 else ())
    assert sum(had.values()) >= sync - 5  # some had no time to be said


def progress(said: list[str], verb: str) -> dict[str, int]:
    """Tell how far each track is, by what a run said."""
    steps = [line.split() for line in said if line.startswith(f"{verb} ")]
    return {name: ORDER.index(step) for _, name, step in steps}


def test_between_two_steps_of_a_track_there_is_a_sync(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    tracing = strace("-e", "trace=fdatasync,write", log=log)
    code, _ = run(RUN.replace("range(3)", "range(1)"), path, prefix=tracing)
    calls = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
    synced: list[bool] = []
    sync = False
    for call in calls:
        if call.startswith("fdatasync") and "covers.db-wal>" in call:
            sync = True
        elif '"asks ' in call:
            sync = False
        elif '"has ' in call:
            synced.append(sync)

    assert code == 0
    assert synced == [True] * 80


# Disks in trouble

TROUBLE = """
    import resource

    class SizeLimit:  # no file may grow: as a disk that is full, seen from one process
        def begin(self, path):
            wal = os.stat(f"{path}-wal").st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (wal, resource.RLIM_INFINITY))
        def end(self):
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    class FullDisk:
        def begin(self, path):
            self.ballast = Path(path).with_name("ballast")
            with open(self.ballast, "wb", buffering=0) as file:
                try:
                    while file.write(b"x" * 512):
                        pass
                except OSError:
                    pass
        def end(self):
            self.ballast.unlink()

    trouble = FullDisk() if sys.argv[2] == "full disk" else SizeLimit()

    async def main():
        ledger = await Ledger(sys.argv[1]).__aenter__()
        await ledger.take_in([Track(f"m{n}") for n in range(400)])
        entries = await ledger.next_open(TrackState.WAITING, 0, 400)
        await ledger.submitted(entries[0], task(entries[0]))
        say("unwritten", *(task.cover_task_id for task in ledger.unwritten))
        trouble.begin(sys.argv[1])
        known = 1
        while True:
            try:
                await ledger.submitted(entries[known], task(entries[known]))
            except LedgerError as error:
                say(error)
                break
            known += 1
        say("first", f"c{known + 1}")
        answers = await asyncio.gather(
            ledger.submitting(entries[-1]),
            *(ledger.submitted(entry, task(entry)) for entry in entries[known + 1:known + 100]),
            return_exceptions=True)
        say({type(answer).__name__ for answer in answers}, len({id(answer) for answer in answers}))
        unwritten = [task.cover_task_id for task in ledger.unwritten]
        say(unwritten == [f"c{n + 1}" for n in range(known, known + 100)])
        if sys.argv[3] == "never":
            try:
                await ledger.aclose()
            except LedgerError as error:
                say(error)
            say(unwritten == [task.cover_task_id for task in ledger.unwritten])
            return known
        trouble.end()
        if sys.argv[3] == "while open":
            await ledger.take_in([Track("after-all")])
            say([task.cover_task_id for task in ledger.unwritten])
        await ledger.aclose()
        say([task.cover_task_id for task in ledger.unwritten])
        return known + 100

    count = asyncio.run(main())
    known = {entry.music_task_id: entry.task for entry in read(sys.argv[1])}
    say({name for name, task in known.items() if task} == {f"m{n}" for n in range(count)})
    if sys.argv[3] == "never":
        trouble.end()
    async def end():
        async with Ledger(sys.argv[1]) as ledger:
            totals = await ledger.totals()
            say(totals[TrackState.SUBMITTING], "after-all" in known)

    asyncio.run(end())
"""


@pytest.mark.parametrize("trouble", ["size limit", "full disk"])
@pytest.mark.parametrize("repaired", ["while open", "before closing", "never"])
def test_on_a_full_disk_nothing_known_is_lost_while_space_may_still_be_made(
    tmp_path: Path, trouble: str, repaired: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    prefix = disk_of_its_own("1m", disk) if trouble == "full disk" else []
    code, said = run(TROUBLE, disk / "covers.db", trouble, repaired, prefix=prefix)

    assert said[0] == "unwritten"
    assert "cannot be written" in said[1]
    assert "so nothing more is submitted; free space on the disk or repair it" in said[1]
    assert said[3:5] == ["{'LedgerError'} 100", "True"]
    if repaired == "never":
        assert "cannot be written" in said[5]
        assert said[6] == "True"
    else:
        assert said[5:-2] == ["[]"] * (2 if repaired == "while open" else 1)
    assert said[-2:] == ["True", f"0 {repaired == 'while open'}"]
    assert code == 0


DISK_ERRS = """
    async def main():
        async with Ledger(sys.argv[1]) as ledger:
            await ledger.take_in([Track(f"m{n}") for n in range(20)])
            for entry in await ledger.next_open(TrackState.WAITING, 0, 20):
                noted = ledger.submitted if entry.number % 2 else ledger.submitting
                try:
                    await noted(entry, *[task(entry)][:entry.number % 2])
                except LedgerError as error:
                    say("failed", entry.number, error)
                else:
                    say("done", entry.number)
                say("unwritten", *(task.cover_task_id for task in ledger.unwritten))

    asyncio.run(main())
"""


@pytest.mark.parametrize(
    "fault",
    [
        "fdatasync:error=EIO:when=6..9",
        "pwrite64:error=EIO:when=14..17",
        "pwrite64:error=ENOSPC:when=16",
    ],
)
def test_a_disk_that_errs_for_a_while_stops_submits_and_costs_no_cover_task(
    path: Path, fault: str
) -> None:
    """That a submit may go out is not noted later: by then nobody means to send anything."""
    call = fault.partition(":")[0]
    prefix = strace("-P", f"{path}-wal", "-e", f"trace={call}", "-e", f"inject={fault}")
    code, said = run(DISK_ERRS, path, prefix=prefix)
    failed = [int(line.split()[1]) for line in said if line.startswith("failed")]
    states = {entry.number: entry.state for entry in read_now(path)}

    assert code == 0
    assert failed == list(range(failed[0], failed[-1] + 1))
    assert 1 < failed[0] < failed[-1] + 1 < 20
    for line, left in zip(said[::2], said[1::2], strict=True):
        number = int(line.split()[1])
        assert ("SQLITE_IOERR" in line or "SQLITE_FULL" in line) == (number in failed)
        unwritten = [f"c{n}" for n in failed if n % 2 and n <= number] if number in failed else []
        assert left.split() == ["unwritten", *unwritten]
    for number, state in states.items():
        if number % 2:
            assert state is TrackState.SUBMITTED
        else:
            assert state is (TrackState.WAITING if number in failed else TrackState.SUBMITTING)

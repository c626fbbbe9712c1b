"""The steps of a ledger: which state follows which, what is counted, and what starts again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async.errors import CoverExpiredError, LedgerError, ServerError
from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.run_steps import Intake
from suno_cover_async.ledger.store import Transaction
from suno_cover_async.models import CoverTask, Track
from tests.support.ledger_steps import (
    COVERED,
    DOWNLOADING,
    FAILED,
    FILES,
    NOON,
    SAVED,
    STEPS,
    SUBMITTED,
    TASK,
    Step,
    details,
    entries,
    entry_of,
)
from tests.support.private_statements import ALONE, FILE

ACCOUNT = "0123456789abcdef"


async def submits(ledger: Ledger) -> int:
    (entry,) = await entries(ledger)
    return entry.submits


async def test_a_step_changes_its_own_entry_only(ledger: Ledger) -> None:
    await ledger.take_in([Track(f"m{n}") for n in range(3)])
    await ledger.claim([TrackState.WAITING], 9)
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


@ALONE
@pytest.mark.parametrize("name", STEPS)
async def test_a_new_name_makes_a_saved_cover_wait_for_being_saved_and_no_other(
    ledger: Ledger, name: str
) -> None:
    done, _ = STEPS[name]
    async with ledger.lease(ACCOUNT):
        entry = await entry_of(ledger, Track("m1", title="Song"))
        for step in done:
            await step(ledger, entry)
        (before,) = await entries(ledger)
        after = await entry_of(ledger, Track("m1", title="Other"))
        unsaved = await ledger.claim_unsaved(9)
    saved = before.state is TrackState.SAVED

    assert after.state is (TrackState.COVERED if saved else before.state)
    assert (after.task, after.images) == (before.task, before.images)
    assert len(unsaved) == int(name in {"covered", "saved"})


@ALONE
async def test_a_cover_that_got_a_name_while_it_was_saved_is_to_be_saved_again(
    ledger: Ledger,
) -> None:
    entry = await entry_of(ledger, Track("m1", title="Song"))
    for step in COVERED:
        await step(ledger, entry)
    async with ledger.lease(ACCOUNT):
        (covered,) = await ledger.claim_unsaved(1)
        await ledger.take_in([Track("m1", title="Other")])
        await ledger.saved(covered, FILES)
        (again,) = await ledger.claim_unsaved(1)
        await ledger.saved(again, FILES)

    assert again.files == FILES
    assert len(again.tracks) == 2
    assert [entry.state for entry in await entries(ledger)] == [TrackState.SAVED]


@ALONE
async def test_a_cover_is_saved_once_however_its_columns_were_written(ledger: Ledger) -> None:
    twins: dict[Any, object] = {1: "first", "1": "last"}  # JSON knows but one such key
    entry = await entry_of(ledger, Track("m1", title="Song", columns=twins))
    for step in COVERED:
        await step(ledger, entry)
    async with ledger.lease(ACCOUNT):
        (covered,) = await ledger.claim_unsaved(1)
        await ledger.saved(covered, FILES)

        assert await ledger.claim_unsaved(1) == []


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
        for number, (done, _) in enumerate(STEPS.values()):
            entry = await entry_of(ledger, f"m{number}")
            for step in done:
                await step(ledger, entry)
        await ledger.took_in("fingerprint")
        before = await entries(ledger)
        await ledger.forget_waiting()
        after = await entries(ledger)

        assert [entry.state for entry in before].count(TrackState.WAITING) == 2
        assert after == [entry for entry in before if entry.state is not TrackState.WAITING]
        assert await ledger.begin_intake("fingerprint") is Intake.OURS


ENDS: dict[str, tuple[list[Step], TrackState, Exception, bool, TrackState, CoverTask | None]] = {
    "no task": ([], TrackState.FAILED, ServerError("x"), True, TrackState.WAITING, None),
    "failed": (SUBMITTED, TrackState.FAILED, FAILED, True, TrackState.SUBMITTING, TASK),
    "gone": (
        DOWNLOADING,
        TrackState.FAILED,
        CoverExpiredError("x"),
        True,
        TrackState.SUBMITTED,
        TASK,
    ),
    "lost": (SUBMITTED, TrackState.ATTENTION, ServerError("x"), True, TrackState.SUBMITTED, TASK),
    "odd": (SUBMITTED, TrackState.ATTENTION, ServerError("x"), False, TrackState.SUBMITTING, None),
}


@pytest.mark.parametrize("name", ENDS)
async def test_what_failed_is_submitted_again_unless_its_cover_task_may_still_serve(
    ledger: Ledger, name: str
) -> None:
    done, end, error, task_known, state, task = ENDS[name]
    entry = await entry_of(ledger)
    for step in done:
        await step(ledger, entry)
    await ledger.ended(entry, end, error, task_known=task_known)
    await ledger.retry_failed()
    (again,) = await entries(ledger)

    assert (again.state, again.task, again.error, again.reason) == (state, task, None, None)


async def test_what_did_not_fail_is_not_begun_anew(ledger: Ledger) -> None:
    for number, (done, _) in enumerate(STEPS.values()):
        entry = await entry_of(ledger, f"m{number}")
        for step in done:
            await step(ledger, entry)
    ended = (TrackState.FAILED, TrackState.ATTENTION)
    before = await entries(ledger)
    await ledger.retry_failed()
    after = await entries(ledger)

    assert [entry for entry in after if before[entry.number - 1].state not in ended] == [
        entry for entry in before if entry.state not in ended
    ]


async def test_a_submit_counts_when_it_is_begun_and_not_when_it_was_not_sent(path: Path) -> None:
    counts: list[int] = []
    async with Ledger(path) as ledger:
        entry = await entry_of(ledger)
        for step in (ledger.submitting, ledger.unsent, ledger.unsent, ledger.submitting):
            await step(entry)
            counts.append(await submits(ledger))

    assert counts == [1, 0, 0, 1]


async def test_a_submit_that_is_repeated_after_a_crash_counts_once(path: Path) -> None:
    async with Ledger(path) as ledger:
        await ledger.submitting(await entry_of(ledger))
    async with Ledger(path) as ledger:
        (entry,) = await ledger.next_open(TrackState.SUBMITTING, 0, 1)
        await ledger.submitting(entry)
        await ledger.submitted(entry, CoverTask(cover_task_id="c1", music_task_id="m1"))

        assert await submits(ledger) == 1


async def test_a_cover_that_failed_counts_again_when_it_is_submitted_again(path: Path) -> None:
    counts: list[int] = []
    async with Ledger(path) as ledger:
        entry = await entry_of(ledger)
        for _ in range(2):
            await ledger.submitting(entry)
            await ledger.submitted(entry, CoverTask(cover_task_id="c1", music_task_id="m1"))
            await ledger.ended(entry, TrackState.FAILED, FAILED)
            await ledger.retry_failed()
            counts.append(await submits(ledger))  # not before it is begun
        await ledger.submitting(entry)
        await ledger.submitting(entry)  # after a crash
        counts.append(await submits(ledger))

    assert counts == [1, 2, 3]


@pytest.mark.parametrize("state", [TrackState.FAILED, TrackState.ATTENTION])
async def test_what_failed_without_a_cover_counts_as_it_is_submitted(
    path: Path, state: TrackState
) -> None:
    """One that may have been submitted is repeated; one that was refused is begun anew."""
    async with Ledger(path) as ledger:
        entry = await entry_of(ledger)
        await ledger.submitting(entry)
        await ledger.ended(entry, state, ServerError("x"))
        await ledger.retry_failed()
        await ledger.submitting(entry)

        assert await submits(ledger) == (2 if state is TrackState.FAILED else 1)


@FILE
def test_a_forgotten_account_takes_its_base_urls_along(there: Transaction) -> None:
    run_steps.begin_run(ACCOUNT, "covers.db")(there)
    there.add_base_url("https://api.example")

    steps.forget_account(there)

    assert not there.has_base_url("https://api.example")
    assert run_steps.begin_run("another", "covers.db")(there).number == 2


def test_a_cover_task_is_counted_in_its_run_as_new_or_adopted(there: Transaction) -> None:
    run = run_steps.begin_run(ACCOUNT, "covers.db")(there).number
    steps.take_in([Track("m1"), Track("m2"), Track("m3")])(there)
    for number, adopted in ((1, False), (2, True), (3, False)):
        task = attrs.evolve(TASK, adopted=adopted)
        steps.Submitted(number=number, task=task, run=run, base_url="https://api.example")(there)
    steps.change_run(run, balance_before=5.0, ended_at=NOON)(there)
    (row,) = there.runs(9)

    assert (row["submitted"], row["adopted"]) == (2, 1)
    assert (row["balance_before"], row["ended_at"]) == (5.0, NOON.timestamp())
    assert there.has_base_url("https://api.example")


@FILE
def test_a_cover_task_is_written_over_a_damaged_row(there: Transaction) -> None:
    steps.take_in([Track("m1")])(there)
    there.change(1, {"names": "{"})

    steps.Submitted(number=1, task=TASK, run=1, base_url=None)(there)

    assert there.track(1)["cover_task_id"] == TASK.cover_task_id
    with pytest.raises(LedgerError, match="entry 1 is damaged"):
        steps.submitting(1, run=1)(there)


@FILE
def test_a_cover_task_that_is_written_twice_is_counted_once(there: Transaction) -> None:
    run = run_steps.begin_run("account", "L")(there).number
    steps.take_in([Track("m1")])(there)
    step = steps.Submitted(number=1, task=TASK, run=run, base_url=None)

    for _ in range(2):
        step(there)

    assert [one["submitted"] for one in there.runs(9)] == [1]
    there.change(1, {"state": "submitting"})  # its cover failed, and is submitted again
    step(there)
    assert [one["submitted"] for one in there.runs(9)] == [2]


@FILE
def test_every_state_is_counted(there: Transaction) -> None:
    steps.take_in([Track("m1"), Track("m2")])(there)
    steps.submitting(2, run=1)(there)
    none = dict.fromkeys(TrackState, 0)

    assert steps.count(there) == none | {TrackState.WAITING: 1, TrackState.SUBMITTING: 1}


def test_what_failed_starts_again_however_much_it_is(there: Transaction) -> None:
    many = 2_001
    steps.take_in([Track(f"m{number}") for number in range(many)])(there)
    for number in range(1, many + 1):
        there.change(number, {"state": "failed", "error": "ServerError"})

    steps.begin_anew(there)

    assert steps.count(there)[TrackState.WAITING] == many


def test_columns_that_are_nested_too_deeply_are_refused_at_once() -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]

    with pytest.raises(ValueError, match="columns are nested too deeply"):
        steps.take_in([Track("m1", columns={"deep": deep})])


def test_images_that_are_put_off_are_read_as_the_others(there: Transaction) -> None:
    """Whoever only reads is told of them; which run may take them, `test_run_steps.py` tests."""
    steps.take_in([Track("m1"), Track("m2")])(there)
    run = run_steps.begin_run(ACCOUNT, "covers.db")(there).number
    run_steps.claim([TrackState.WAITING], run, 9)(there)
    for number in (1, 2):
        finished = details(completed_at=NOON + timedelta(days=number))
        steps.covered(number, run, finished)(there)

    steps.put_off(1, 7)(there)

    assert [entry.number for entry in steps.unsaved(9)(there)] == [1, 2]
    assert [entry.number for entry in steps.unsaved(1)(there)] == [1]

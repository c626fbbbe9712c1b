"""The rules of runs that share a ledger: who is fenced off, who adds a catalog, who is refused."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.entry import LedgerEntry, TrackState, read_entry
from suno_cover_async.ledger.recorder import Recorder
from suno_cover_async.ledger.run_steps import Begun, HeldBy, Intake
from suno_cover_async.ledger.store import Transaction, Work
from suno_cover_async.models import Track
from tests.support.ledger_steps import FAILED, TASK, details
from tests.support.several_runs import SeveralRuns, several_runs

LEDGER = "postgresql://host/covers"
WAITING = TrackState.WAITING


@pytest.fixture
def there() -> Iterator[SeveralRuns]:
    """A ledger with three tracks, and the runs 1 and 2 at work."""
    with several_runs() as there:
        steps.take_in([Track(f"m{number}") for number in (1, 2, 3)])(there)
        for _ in range(2):
            run_steps.begin_run("ours", LEDGER)(there)
        yield there


def claim(there: Transaction, run: int, limit: int = 9) -> list[int]:
    return [entry.number for entry in run_steps.claim([WAITING], run, limit)(there)]


def contents(there: SeveralRuns) -> list[str]:
    """Return the whole database as SQL."""
    return [*there._database.iterdump()]


def test_a_run_is_told_how_often_to_say_that_it_is_alive_and_what_is_not_its_own(
    there: SeveralRuns,
) -> None:
    begun = run_steps.begin_run("another", LEDGER)(there)

    assert begun == Begun(number=3, beat_seconds=10.0, foreign=7)


def test_a_run_that_was_given_up_does_nothing_and_is_told_so(there: SeveralRuns) -> None:
    there.give_up(1)
    before = contents(there)

    with pytest.raises(LedgerError, match=r"run 1 was given up for dead.*other runs go on"):
        HeldBy(1, steps.forget_waiting)(there)
    with pytest.raises(LedgerError, match="run 1 was given up"):
        run_steps.beat(1)(there)
    assert contents(there) == before
    assert HeldBy(2, steps.forget_waiting)(there) == 3


class AtOnce:
    """A store that does each step at once, as `Recorder` uses it."""

    def __init__(self, there: SeveralRuns) -> None:
        self.name = LEDGER
        self.kept = False
        self._there = there

    def do(self, work: Work[Any], *, keep: bool = False) -> "asyncio.Future[Any]":
        self.kept = keep
        future = asyncio.get_running_loop().create_future()
        try:
            future.set_result(work(self._there))
        except LedgerError as error:
            future.set_exception(error)
        return future


Act = Callable[[Recorder, LedgerEntry], Awaitable[Any]]
CHANGES: dict[str, Act] = {
    "begin intake": lambda run, _: run.begin_intake("fingerprint"),
    "follow": lambda run, _: run.follow(),
    "forget waiting": lambda run, _: run.forget_waiting(),
    "take in": lambda run, _: run.take_in([Track("new")]),
    "took in": lambda run, _: run.took_in("fingerprint"),
    "retry failed": lambda run, _: run.retry_failed(),
    "retry refused": lambda run, entry: run.retry_refused(entry),
    "claim": lambda run, _: run.claim([*TrackState], 9),
    "claim unsaved": lambda run, _: run.claim_unsaved(9),
    "release": lambda run, entry: run.release(entry),
    "release waiting": lambda run, _: run.release_waiting(),
    "submitting": lambda run, entry: run.submitting(entry),
}
FACTS: dict[str, Act] = {
    "unsent": lambda run, entry: run.unsent(entry),
    "submitted": lambda run, entry: run.submitted(entry, TASK, base_url="https://api.example"),
    "covered": lambda run, entry: run.covered(entry, details()),
    "saved": lambda run, entry: run.saved(entry, [Path("cover.png")]),
    "put off": lambda run, entry: run.put_off(entry),
    "ended": lambda run, entry: run.ended(entry, TrackState.FAILED, FAILED),
}


def recorder(there: SeveralRuns, run: int, store: Any = None) -> Recorder:
    at_once: Any = store or AtOnce(there)
    recorder = Recorder(at_once)
    recorder._run = run
    return recorder


def test_each_step_of_a_run_is_listed_here() -> None:
    reads = {"note_balance", "outlook", "count", "next_open", "others_hold", "submits"}
    reads |= {"has_answered", "end_run", "others_at_work"}
    methods = {name for name in vars(Recorder) if not name.startswith("_")}

    assert methods - reads == {name.replace(" ", "_") for name in CHANGES | FACTS}


@pytest.mark.parametrize("name", CHANGES | FACTS)
async def test_no_step_of_a_run_that_was_given_up_changes_anything(
    there: SeveralRuns, name: str
) -> None:
    (entry, *_) = run_steps.claim([WAITING], 1, 9)(there)
    steps.Submitted(number=1, task=TASK, run=1, base_url=None)(there)
    there.give_up(1)
    assert claim(there, 2) == [2, 3]
    before, held = contents(there), dict(there.holder)

    with pytest.raises(LedgerError, match="run 1 was given up for dead"):
        await (CHANGES | FACTS)[name](recorder(there, 1), entry)

    assert contents(there) == before
    assert there.holder == held


@pytest.mark.parametrize("name", CHANGES | FACTS)
async def test_facts_are_written_later_if_they_cannot_be_now_and_nothing_else_is(
    there: SeveralRuns, name: str
) -> None:
    there.give_up(2)
    (entry, *_) = run_steps.claim([WAITING], 1, 9)(there)
    store = AtOnce(there)
    await (CHANGES | FACTS)[name](recorder(there, 1, store), entry)

    assert store.kept is (name in FACTS)


def test_a_claim_takes_what_silent_runs_held(there: SeveralRuns) -> None:
    assert claim(there, 1) == [1, 2, 3]
    assert claim(there, 2) == []

    there.silent.add(1)

    assert claim(there, 2) == [1, 2, 3]
    assert not there.is_at_work(1)


def test_a_track_that_another_run_holds_is_not_submitted(there: SeveralRuns) -> None:
    assert claim(there, 1, limit=1) == [1]

    assert not steps.submitting(1, run=2)(there)
    assert not steps.submitting(2, run=2)(there)  # nobody holds it
    assert there.submits() == 0
    assert steps.submitting(1, run=1)(there)
    assert there.submits() == 1


def test_a_run_takes_no_submit_of_another_run_off_the_count(there: SeveralRuns) -> None:
    assert claim(there, 1, limit=1) == [1]
    there.release(1, 1)
    assert claim(there, 2, limit=1) == [1]
    assert steps.submitting(1, run=2)(there)

    steps.unsent(1, run=1)(there)

    assert there.submits() == 1
    assert read_entry(there.entries("FROM tracks LEFT JOIN choices USING (number)")[0]).state is (
        TrackState.SUBMITTING
    )


FINISHES: dict[str, Callable[[LedgerEntry], Work[object]]] = {
    "covered": lambda entry: steps.covered(entry.number, 1, details()),
    "saved": lambda entry: steps.saved(entry, 1, [Path("cover.png")]),
    "ended": lambda entry: steps.ended(entry.number, 1, TrackState.FAILED, FAILED),
}


@pytest.mark.parametrize("name", FINISHES)
def test_a_run_finishes_no_track_that_it_holds_no_more(there: SeveralRuns, name: str) -> None:
    (entry, *_) = run_steps.claim([WAITING], 1, 9)(there)
    finish = FINISHES[name](entry)
    there.release(1, 1)
    before = contents(there)
    finish(there)  # nobody holds it
    assert contents(there) == before
    assert claim(there, 2) == [1]
    before = contents(there)
    finish(there)  # another run holds it
    assert contents(there) == before
    assert there.holder[1] == 2


class Unanswered(AtOnce):
    """A store that loses each answer, whether or not the commit took effect."""

    def do(self, work: Work[Any], *, keep: bool = False) -> "asyncio.Future[Any]":
        super().do(work, keep=keep)
        future = asyncio.get_running_loop().create_future()
        future.set_exception(LedgerError("no answer"))
        return future


MAY_WORK = ["claim", "claim unsaved", "take in", "forget waiting", "retry failed"]


@pytest.mark.parametrize("name", MAY_WORK)
async def test_a_run_that_may_have_worked_is_not_forgotten(there: SeveralRuns, name: str) -> None:
    run = recorder(there, 1, Unanswered(there))
    (entry,) = run_steps.claim([WAITING], 2, 1)(there)
    with pytest.raises(LedgerError, match="no answer"):
        await CHANGES[name](run, entry)
    await asyncio.sleep(0)
    there.execute("DELETE FROM temp.held")  # that it holds a track is not the only reason
    with pytest.raises(LedgerError, match="no answer"):
        await run.end_run()

    assert [row["number"] for row in there.runs(9)] == [2, 1]


async def test_a_run_that_was_refused_is_forgotten(there: SeveralRuns) -> None:
    run_steps.begin_intake(2, "fingerprint", LEDGER)(there)
    run = recorder(there, 1)
    with pytest.raises(LedgerError, match="is at work"):
        await run.retry_failed()
    await run.end_run()

    assert [row["number"] for row in there.runs(9)] == [2]


def test_one_run_adds_a_catalog_and_the_others_wait_for_it(there: SeveralRuns) -> None:
    first, second = (run_steps.begin_intake(run, "fingerprint", LEDGER) for run in (1, 2))

    assert first(there) is Intake.OURS
    assert [second(there), second(there)] == [Intake.WAIT, Intake.WAIT]
    there.set_catalog("fingerprint")
    assert second(there) is Intake.NONE
    assert there.working_on == {1: "fingerprint", 2: "fingerprint"}


@pytest.mark.parametrize("end", ["ended", "silent"])
def test_a_run_adds_the_catalog_that_another_left_half_added(there: SeveralRuns, end: str) -> None:
    intake = run_steps.begin_intake(2, "fingerprint", LEDGER)
    run_steps.begin_intake(1, "fingerprint", LEDGER)(there)
    steps.take_in([Track("half")])(there)
    assert intake(there) is Intake.WAIT

    if end == "ended":
        run_steps.end_run(1)(there)
    else:
        there.silent.add(1)

    assert intake(there) is Intake.OURS


NEW: dict[str, Callable[[int], Work[object]]] = {
    "catalog": lambda run: run_steps.begin_intake(run, "another", LEDGER),
    "no file": lambda run: run_steps.begin_intake(run, None, LEDGER),
    "as they arrive": lambda run: run_steps.follow(run, LEDGER),
}


@pytest.mark.parametrize("first", [*NEW, "the catalog of the ledger"])
@pytest.mark.parametrize("second", NEW)
def test_another_catalog_is_refused_while_a_run_works_on_one(
    there: SeveralRuns, first: str, second: str
) -> None:
    if first in NEW:
        NEW[first](1)(there)
    else:
        there.set_catalog("fingerprint")
        run_steps.begin_intake(1, "fingerprint", LEDGER)(there)
    steps.take_in([Track("m9")])(there)
    before = contents(there)

    if first == second == "as they arrive":
        assert NEW[second](2)(there) is None
        assert there.working_on[1] == there.working_on[2]
    elif first == second == "catalog":
        assert NEW[second](2)(there) is Intake.WAIT
    else:
        with pytest.raises(LedgerError, match=r"run 1 on host-1 works on another catalog.*wait"):
            NEW[second](2)(there)
        assert there.working_on[2] is None
    assert contents(there) == before


def test_a_run_that_has_no_catalog_yet_keeps_no_other_from_one(there: SeveralRuns) -> None:
    assert there.working_on == {1: None, 2: None}
    assert run_steps.begin_intake(2, "fingerprint", LEDGER)(there) is Intake.OURS


def test_what_failed_is_not_begun_anew_while_others_are_at_work(there: SeveralRuns) -> None:
    there.change(1, {"state": "failed", "error": "ServerError"})
    run_steps.follow(1, LEDGER)(there)
    before = contents(there)

    with pytest.raises(LedgerError, match=r"run 1 on host-1 is at work.*leave --retry-failed out"):
        run_steps.retry_failed(2)(there)
    assert contents(there) == before
    run_steps.end_run(1)(there)
    run_steps.retry_failed(2)(there)

    assert read_entry(there.page([], 0, 1)[0]).state is WAITING


def test_a_run_that_is_silent_keeps_nobody_from_beginning_anew(there: SeveralRuns) -> None:
    there.change(1, {"state": "failed", "error": "ServerError"})
    run_steps.follow(1, LEDGER)(there)
    there.silent.add(1)

    run_steps.retry_failed(2)(there)

    assert read_entry(there.page([], 0, 1)[0]).state is WAITING


def test_a_run_that_would_be_refused_is_told_why_beforehand_and_nothing_changes(
    there: SeveralRuns,
) -> None:
    def check(fingerprint: str | None, *, retry_failed: bool = False) -> None:
        run_steps.check(fingerprint, LEDGER, retry_failed=retry_failed)(there)

    check("another", retry_failed=True)
    run_steps.begin_intake(1, "fingerprint", LEDGER)(there)
    before = contents(there)

    check("fingerprint")
    for another in ("another", None):
        with pytest.raises(LedgerError, match=r"run 1 on host-1 works on another catalog.*40 s"):
            check(another)
    with pytest.raises(LedgerError, match="run 1 on host-1 is at work"):
        check("fingerprint", retry_failed=True)
    there.silent.add(1)
    check("another", retry_failed=True)  # it would wait until that one is given up

    assert contents(there) == before
    assert there.working_on[1] == "fingerprint"

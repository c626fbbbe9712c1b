"""The steps by which runs share a ledger: who begins, which tracks a run holds, what is added."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.errors import CoverFailedError, LedgerError, ServerError
from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.entry import LedgerEntry, TrackState, read_entry, write_columns
from suno_cover_async.ledger.run_steps import Begun, HeldBy, Intake
from suno_cover_async.ledger.store import Transaction, Work
from suno_cover_async.models import CoverDetails, CoverStatus, Track
from tests.support.ledger_steps import FILES, NOON, TASK, details
from tests.support.private_statements import FILE, private_statements

ACCOUNT = "0123456789abcdef"
LEDGER = "covers.db"
EVERY = [*TrackState]
WAITING, SUBMITTING, SUBMITTED = TrackState.WAITING, TrackState.SUBMITTING, TrackState.SUBMITTED


def begin(there: Transaction) -> int:
    return run_steps.begin_run(ACCOUNT, LEDGER)(there).number


def take_in(there: Transaction, many: int) -> None:
    steps.take_in([Track(f"m{number}") for number in range(1, many + 1)])(there)


def cover(there: Transaction, number: int, age: int = 0) -> None:
    """Write a cover that was finished some days before noon, and that nobody works on."""
    finished = details(completed_at=NOON - timedelta(days=age))
    columns = write_columns(
        state=TrackState.COVERED, images=finished.images, completed_at=finished.completed_at
    )
    there.change(number, columns)
    there.release(number, 1)


def numbers(found: list[LedgerEntry]) -> list[int]:
    return [entry.number for entry in found]


def claim(
    there: Transaction, run: int, states: list[TrackState] | None = None, limit: int = 99
) -> list[int]:
    return numbers(run_steps.claim(states or [WAITING], run, limit)(there))


def claim_unsaved(there: Transaction, run: int, limit: int = 99) -> list[int]:
    return numbers(run_steps.claim_unsaved(run, limit)(there))


# Which run begins


@FILE
def test_a_run_is_begun_for_the_account_of_the_first(there: Transaction) -> None:
    begin_ours = run_steps.begin_run(ACCOUNT, LEDGER)

    assert begin_ours(there) == Begun(number=1, beat_seconds=None, foreign=0)
    assert begin_ours(there) == Begun(number=2, beat_seconds=None, foreign=0)
    with pytest.raises(LedgerError, match=r"ledger forget-account covers\.db"):
        run_steps.begin_run("another", LEDGER)(there)
    assert [row["number"] for row in there.runs(9)] == [2, 1]


def test_a_run_has_the_time_when_it_began_and_when_it_ended(there: Transaction) -> None:
    before = datetime.now(UTC).timestamp()
    run = begin(there)
    (begun,) = there.runs(1)
    run_steps.end_run(run)(there)
    (ended,) = there.runs(1)
    after = datetime.now(UTC).timestamp()

    assert begun["ended_at"] is None
    assert begun["began_at"] == ended["began_at"]
    assert before <= float(str(ended["began_at"])) <= float(str(ended["ended_at"])) <= after


@FILE
def test_a_run_that_has_its_tracks_does_its_steps(there: Transaction) -> None:
    take_in(there, 2)

    assert HeldBy(1, steps.count)(there)[WAITING] == 2
    assert run_steps.beat(1)(there) is None
    with pytest.raises(ServerError, match="the step's own"):
        HeldBy(1, _fails)(there)


def _fails(_: Transaction) -> None:
    raise ServerError("the step's own")


# Which tracks a run holds


def test_a_track_that_is_held_is_not_claimed_twice(there: Transaction) -> None:
    take_in(there, 5)
    run = begin(there)

    assert claim(there, run, limit=2) == [1, 2]
    assert claim(there, run, limit=2) == [3, 4]
    assert claim(there, run, limit=2) == [5]
    assert claim(there, run, limit=2) == []
    for number in range(1, 6):
        cover(there, number)  # finished, so released
    assert claim_unsaved(there, run, limit=3) == [1, 2, 3]
    assert claim_unsaved(there, run) == [4, 5]
    assert claim_unsaved(there, run) == []
    assert claim(there, run, EVERY) == []


def test_a_track_that_is_released_is_claimed_again(there: Transaction) -> None:
    take_in(there, 3)
    cover(there, 3)
    run = begin(there)
    claim(there, run)
    claim_unsaved(there, run)

    there.release(2, 1)
    there.release(3, 1)
    there.release(3, 1)  # it is not held any more

    assert claim(there, run) == [2]
    assert claim_unsaved(there, run) == [3]


@FILE
@pytest.mark.parametrize("released", [False, True])
def test_a_track_that_a_run_puts_off_is_claimed_by_later_runs_only(
    there: Transaction, released: bool
) -> None:
    take_in(there, 3)
    cover(there, 3)
    claim(there, 5, limit=1)
    claim_unsaved(there, 5)
    steps.put_off(1, 5)(there)
    steps.put_off(3, 5)(there)
    if released:
        there.release(1, 1)
        there.release(3, 1)
    run_steps.end_run(5)(there)

    for run in (1, 4, 5):
        assert claim(there, run) == [2]
        assert claim_unsaved(there, run) == []
        there.release(2, 1)
    assert claim(there, 6) == [1, 2]
    assert claim_unsaved(there, 6) == [3]


def test_a_track_that_is_put_off_is_held_until_the_run_ends(there: Transaction) -> None:
    take_in(there, 2)
    claim(there, 5)
    steps.put_off(1, 5)(there)

    assert claim(there, 6) == []
    run_steps.end_run(5)(there)
    assert claim(there, 6) == [1, 2]


@FILE
def test_claims_come_in_the_order_of_the_states_and_then_of_the_numbers(
    there: Transaction,
) -> None:
    take_in(there, 7)
    for number in (6, 2):
        steps.submitting(number, run=1)(there)
    for number in (7, 3):
        steps.Submitted(number=number, task=TASK, run=1, base_url=None)(there)
    order = [SUBMITTED, SUBMITTING, WAITING]

    assert [claim(there, 1, order, limit=3) for _ in range(4)] == [[3, 7], [2, 6], [1, 4, 5], []]
    for number in range(1, 8):
        there.release(number, 1)
    assert claim(there, 1, [*reversed(order)]) == [1, 4, 5]
    assert claim(there, 1, [SUBMITTING]) == [2, 6]
    assert run_steps.claim([], 1, 9)(there) == []


def test_the_oldest_covers_are_claimed_first(there: Transaction) -> None:
    take_in(there, 6)
    for number, age in ((1, 2), (2, 5), (3, 1), (5, 3)):
        cover(there, number, age)

    assert claim_unsaved(there, 1, limit=3) == [2, 5, 1]
    assert claim_unsaved(there, 1, limit=3) == [3]


def test_a_claim_returns_whole_entries(there: Transaction) -> None:
    track = Track("m1", title="Song", columns={"album": "A"})
    steps.take_in([track])(there)
    (waiting,) = run_steps.claim([WAITING], 1, 9)(there)
    cover(there, 1)
    (covered,) = run_steps.claim_unsaved(1, 9)(there)

    assert (waiting.tracks, waiting.state) == ((track,), WAITING)
    assert (covered.tracks, covered.images) == ((track,), details().images)


KEEPS: dict[str, Callable[[int], Work[object]]] = {
    "submitting": lambda number: steps.submitting(number, run=1),
    "unsent": lambda number: steps.unsent(number, 1),
    "submitted": lambda number: steps.Submitted(number=number, task=TASK, run=1, base_url=None),
    "put off": lambda number: steps.put_off(number, 1),
}
FAILED = CoverFailedError(CoverDetails(cover_task_id="c1", status=CoverStatus.FAILED))
RELEASES: dict[str, Work[object]] = {
    "covered": steps.covered(1, 1, details()),
    "failed": steps.ended(1, 1, TrackState.FAILED, FAILED),
    "needs attention": steps.ended(1, 1, TrackState.ATTENTION, ServerError("x")),
}


@pytest.mark.parametrize("name", KEEPS)
def test_a_step_on_the_way_keeps_a_track_held(there: Transaction, name: str) -> None:
    take_in(there, 1)
    claim(there, 1)
    KEEPS[name](1)(there)

    assert claim(there, 2, EVERY) == []


@pytest.mark.parametrize("name", RELEASES)
def test_a_step_that_ends_the_work_on_a_track_releases_it(there: Transaction, name: str) -> None:
    take_in(there, 1)
    claim(there, 1)
    RELEASES[name](there)

    assert claim(there, 1, EVERY) == [1]


def test_saving_a_cover_releases_it(there: Transaction) -> None:
    take_in(there, 1)
    cover(there, 1)
    (entry,) = run_steps.claim_unsaved(1, 9)(there)
    steps.take_in([Track("m1", title="Another title")])(there)
    steps.saved(entry, 1, FILES)(there)

    (again,) = run_steps.claim_unsaved(1, 9)(there)  # for its other title
    assert again.files == FILES
    steps.saved(again, 1, FILES)(there)
    assert claim(there, 1, [TrackState.SAVED]) == [1]


@FILE
def test_a_run_that_ends_releases_all_its_tracks(there: Transaction) -> None:
    take_in(there, 6)
    cover(there, 6)
    order = [SUBMITTED, SUBMITTING, WAITING]
    assert claim(there, 1) == [1, 2, 3, 4, 5]
    assert claim_unsaved(there, 1) == [6]
    for number, step in enumerate(KEEPS.values(), 1):
        step(number)(there)

    run_steps.end_run(1)(there)

    assert [claim(there, 2, order) for _ in order] == [[3], [1], [2, 4, 5]]
    assert claim_unsaved(there, 2) == [6]


@FILE
def test_the_tracks_that_wait_are_released_by_themselves(there: Transaction) -> None:
    take_in(there, 4)
    steps.submitting(2, run=1)(there)
    steps.Submitted(number=3, task=TASK, run=1, base_url=None)(there)
    while claim(there, 1, [SUBMITTED, SUBMITTING, WAITING]):
        pass

    there.release_all(WAITING.value, 1)

    assert claim(there, 1, EVERY) == [1, 4]
    assert claim(there, 1, EVERY) == []


@FILE
def test_a_run_that_is_alone_never_waits_for_others(there: Transaction) -> None:
    take_in(there, 2)
    run = begin(there)
    claim(there, run)

    assert not there.others_hold([state.value for state in EVERY], run)
    assert not there.others(run)
    assert not there.holders()


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "unsaved", "release", "put off", "cover", "save", "end"]),
        st.integers(1, 6),
    ),
    max_size=40,
)


@given(acts=ACTS)
def test_in_any_order_of_steps_a_claim_returns_what_is_free_and_nothing_else(
    acts: list[tuple[str, int]],
) -> None:
    """The model: a set of numbers that are held, the covered ones, and who put each off."""
    held, covered, saved, put_off, run = set[int](), set[int](), set[int](), dict[int, int](), 1
    with private_statements() as there:
        take_in(there, 6)

        def free(number: int) -> bool:
            return number not in held and put_off.get(number, 0) < run

        for act, number in acts:
            if act == "claim":
                wanted = [n for n in range(1, 7) if free(n) and n not in covered | saved][:number]
                assert claim(there, run, limit=number) == wanted
                held |= {*wanted}
            elif act == "unsaved":
                wanted = [n for n in range(6, 0, -1) if free(n) and n in covered][:number]
                assert claim_unsaved(there, run, limit=number) == wanted
                held |= {*wanted}
            elif act == "release":
                there.release(number, 1)
                held.discard(number)
            elif act == "put off":
                steps.put_off(number, run)(there)
                put_off[number] = run
            elif act == "cover":
                cover(there, number, age=number)
                covered.add(number)
                saved.discard(number)
                held.discard(number)
            elif act == "save" and number in covered:
                (row,) = there.page([], number - 1, 1)
                steps.saved(read_entry(row), 1, FILES)(there)
                covered.discard(number)
                saved.add(number)
                held.discard(number)
            elif act == "end":
                run_steps.end_run(run)(there)
                held.clear()
                run += 1


# Which catalog is added


def test_a_catalog_is_added_once_and_replaces_what_waits(there: Transaction) -> None:
    take_in(there, 3)
    cover(there, 2)
    intake = run_steps.begin_intake(1, "fingerprint", LEDGER)

    assert intake(there) is Intake.OURS
    assert steps.forget_waiting(there) == 2
    steps.take_in([Track("m7"), Track("m8")])(there)
    there.set_catalog("fingerprint")

    assert intake(there) is Intake.NONE
    assert steps.count(there)[WAITING] == 2


def test_a_catalog_that_was_not_added_to_its_end_is_added_again(there: Transaction) -> None:
    intake = run_steps.begin_intake(1, "fingerprint", LEDGER)
    intake(there)
    take_in(there, 2)  # and the process died

    assert intake(there) is Intake.OURS


@pytest.mark.parametrize("known", [None, "fingerprint", "a catalog without a file, of run 1"])
def test_a_catalog_without_a_fingerprint_is_always_added(
    there: Transaction, known: str | None
) -> None:
    there.set_catalog(known)
    take_in(there, 2)

    assert run_steps.begin_intake(1, None, LEDGER)(there) is Intake.OURS
    assert there.catalog() is None


def test_tracks_as_they_arrive_replace_nothing(there: Transaction) -> None:
    take_in(there, 2)
    there.set_catalog("fingerprint")

    run_steps.follow(1, LEDGER)(there)

    assert there.catalog() == "fingerprint"
    assert steps.count(there)[WAITING] == 2

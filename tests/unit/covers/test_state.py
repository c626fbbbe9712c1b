"""What a client remembers of covers: for how long, and after which ends of a wait."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from suno_cover_async.covers.state import CoverState, PossiblyBilled
from suno_cover_async.errors import (
    ClientUsageError,
    CoverExistsError,
    CoverFailedError,
    CoverTimeoutError,
    ImagesMissingError,
    SunoCoverError,
    UnexpectedResponseError,
)
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask

GRACE = 60.0
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TASK = CoverTask(cover_task_id="c1", music_task_id="m1")
ADOPTED = CoverTask(cover_task_id="c1", music_task_id="m1", adopted=True)
FAILED = CoverDetails(cover_task_id="c1", music_task_id="m1", status=CoverStatus.FAILED)


def a_state() -> CoverState:
    return CoverState(GRACE)


@pytest.mark.parametrize(
    ("since", "now", "delay"),
    [
        (100.0, 100.0, 1.0),
        (100.0, 100.25, 0.75),
        (100.0, 101.0, 0.0),
        (100.0, 160.0, -59.0),
        (None, 100.0, 1.0),
        (100.0, 5.0, 1.0),
    ],
    ids=["now", "just now", "1 s ago", "long ago", "unknown", "by the clock of another loop"],
)
def test_a_possibly_billed_submit_may_be_repeated_1_s_after_its_end(
    since: float | None, now: float, delay: float
) -> None:
    assert PossiblyBilled(since).delay(now) == delay


def test_an_accepted_cover_task_is_unclaimed_until_it_is_claimed_once() -> None:
    state = a_state()
    state.possibly_billed["m1"] = PossiblyBilled()

    state.accepted(TASK, 0.0)

    assert state.unclaimed == {"m1": TASK}
    assert state.possibly_billed == {}
    assert state.claim("m1") == TASK
    assert state.claim("m1") is None


@pytest.mark.parametrize(("task", "born"), [(TASK, 5.0), (ADOPTED, None)])
def test_only_the_age_of_a_cover_task_that_was_made_now_is_known(
    task: CoverTask, born: float | None
) -> None:
    state = a_state()

    state.accepted(task, 5.0)

    assert state.born("c1", 5.0) == born
    assert state.owner_of("c1") == "m1"


def test_ages_and_owners_are_forgotten_after_the_grace() -> None:
    state = a_state()
    state.accepted(TASK, 0.0)
    state.accepted(CoverTask(cover_task_id="c2", music_task_id="m2"), 30.0)
    assert (state.born("c1", GRACE), state.owner_of("c1")) == (0.0, "m1")

    assert state.born("c1", GRACE + 1) is None
    assert state.owner_of("c1") is None
    assert (state.born("c2", GRACE + 1), state.owner_of("c2")) == (30.0, "m2")


def test_what_was_accepted_long_ago_is_dropped_as_others_are_accepted() -> None:
    state = a_state()
    state.accepted(TASK, 0.0)

    state.accepted(CoverTask(cover_task_id="c2", music_task_id="m2"), GRACE + 1)

    assert state.owner_of("c1") is None
    assert not state.is_possibly_billed("m1")


def test_a_cover_task_that_is_accepted_twice_keeps_its_age_and_hides_no_older_ones() -> None:
    state = a_state()
    for cover_task_id, now in (("c1", 0.0), ("c2", 10.0), ("c1", 50.0)):
        state.accepted(CoverTask(cover_task_id=cover_task_id, music_task_id="m1"), now)

    assert state.born("c1", GRACE) == 0.0
    assert state.born("c2", GRACE + 11) is None


def test_a_cover_task_stays_with_the_music_that_it_was_first_accepted_for() -> None:
    state = a_state()
    state.accepted(TASK, 0.0)

    state.accepted(CoverTask(cover_task_id="c1", music_task_id="m2"), 1.0)

    assert state.owner_of("c1") == "m1"


def test_music_is_possibly_billed_while_submitted_after_a_lost_answer_and_for_the_grace() -> None:
    state = a_state()
    assert not state.is_possibly_billed("m1")

    state.under_way.add("m1")
    state.possibly_billed["m2"] = PossiblyBilled()
    state.accepted(CoverTask(cover_task_id="c3", music_task_id="m3"), 0.0)

    assert all(state.is_possibly_billed(music) for music in ("m1", "m2", "m3"))
    state.born("c3", GRACE + 1)
    assert not state.is_possibly_billed("m3")


def test_submits_of_a_closed_loop_are_possibly_billed_and_no_longer_under_way() -> None:
    state = a_state()
    state.under_way |= {"m1", "m2"}

    state.left_under_way()

    assert state.possibly_billed == {"m1": PossiblyBilled(), "m2": PossiblyBilled()}
    assert state.under_way == set()


def test_a_cover_task_is_claimed_when_its_wait_has_ended() -> None:
    state = a_state()

    with state.holding(TASK):
        assert state.unclaimed == {"m1": TASK}

    assert state.unclaimed == {}


@pytest.mark.parametrize(
    ("error", "kept", "possibly_billed"),
    [
        (CoverTimeoutError("not in time"), True, False),
        (ImagesMissingError("no images yet"), True, False),
        (ClientUsageError("closed"), True, False),
        (asyncio.CancelledError(), True, False),
        (CoverFailedError(FAILED), False, False),
        (CoverExistsError("of other music"), False, False),
        (UnexpectedResponseError("of other music"), False, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_a_cover_task_stays_unclaimed_after_an_end_after_which_it_may_still_come(
    error: BaseException, *, kept: bool, possibly_billed: bool
) -> None:
    state = a_state()

    with pytest.raises(type(error)), state.holding(TASK):
        raise error

    assert ("m1" in state.unclaimed) is kept
    assert ("m1" in state.possibly_billed) is possibly_billed


@pytest.mark.parametrize(
    ("task", "error", "forgotten", "possibly_billed"),
    [
        (ADOPTED, CoverExistsError("of other music"), True, True),
        (TASK, UnexpectedResponseError("of other music"), True, False),
        (TASK, CoverFailedError(FAILED), False, False),
        ("c1", CoverExistsError("of other music"), False, False),
    ],
    ids=["adopted, of other music", "accepted, of other music", "failed", "without its music"],
)
def test_the_owner_of_a_cover_task_is_believed_until_its_details_say_otherwise(
    task: CoverTask | str, error: SunoCoverError, *, forgotten: bool, possibly_billed: bool
) -> None:
    state = a_state()
    state.accepted(TASK, 0.0)

    state.ended(task, error)

    assert (state.owner_of("c1") is None) is forgotten
    assert ("m1" in state.possibly_billed) is possibly_billed


@pytest.mark.parametrize(
    ("cover_task_id", "music_task_id", "kept"),
    [("c1", "m1", False), ("c2", "m1", True), ("c1", "m2", True), ("c1", None, True)],
)
def test_only_its_own_details_settle_a_kept_cover_task(
    cover_task_id: str, music_task_id: str | None, *, kept: bool
) -> None:
    state = a_state()
    state.keep(TASK)

    state.settle(
        CoverDetails(
            cover_task_id=cover_task_id, music_task_id=music_task_id, status=CoverStatus.SUCCESS
        )
    )

    assert ("m1" in state.unclaimed) is kept


@pytest.mark.parametrize(
    ("status", "delay", "born"),
    [
        (CoverStatus.SUCCESS, 47.0, None),
        (CoverStatus.FAILED, 47.0, None),
        (CoverStatus.GENERATING, 20.0, 0.0),
    ],
)
def test_a_finished_cover_teaches_how_long_covers_take_and_needs_no_age(
    status: CoverStatus, delay: float, born: float | None
) -> None:
    state = a_state()
    state.accepted(TASK, 0.0)
    took = timedelta(seconds=47)

    for _ in range(20):
        state.learn(
            CoverDetails(
                cover_task_id="c1", status=status, created_at=NOON, completed_at=NOON + took
            )
        )

    assert state.durations.initial_delay(busy=False) == delay
    assert state.born("c1", 1.0) == born


def test_a_finished_cover_without_times_teaches_nothing() -> None:
    state = a_state()

    state.learn(FAILED)

    assert state.durations.initial_delay(busy=False) == 20.0

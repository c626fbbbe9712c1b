"""Waiting for a cover task, in virtual time: the polls are scripted, nothing is slept."""

import asyncio
import itertools

import pytest

from suno_cover_async import (
    CoverDetails,
    CoverTask,
    CoverTimeoutError,
    ImagesMissingError,
    NotFoundError,
    PollPolicy,
    TransportError,
)
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.poller import Poller
from suno_cover_async.covers.state import CoverState
from tests.support.polling import (
    FAILED,
    GENERATING,
    ID,
    IMAGELESS,
    PENDING,
    SUCCESS,
    finished,
    poller,
    waiting,
)
from tests.support.virtual_time import run


@pytest.mark.parametrize("last", [SUCCESS, FAILED])
def test_the_wait_ends_on_the_very_poll_that_sees_the_end(last: CoverDetails) -> None:
    outcome, polls, end = waiting(PENDING, GENERATING, last)

    assert outcome == last
    assert len(polls) == 3
    assert end == polls[-1]


def test_a_47_s_cover_costs_few_polls_and_is_noticed_soon() -> None:
    async def scenario() -> list[float]:
        clock = asyncio.get_running_loop().time
        at: list[float] = []

        async def poll() -> CoverDetails | None:
            at.append(clock())
            return SUCCESS if clock() >= 47 else GENERATING

        await finished(poller(poll, first_poll=20.0))
        return at

    polls = run(scenario())

    assert polls[0] == 20
    assert len(polls) <= 7
    assert polls[-1] - 47 <= 0.15 * 47 * 1.1


def test_polls_grow_apart_from_5_to_30_s() -> None:
    _, polls, _ = waiting(GENERATING)

    pauses = [after - before for before, after in itertools.pairwise(polls[:-1])]
    assert all(4.5 <= pause <= 33 for pause in pauses)
    assert pauses[0] <= 5.5
    assert pauses[-1] >= 27


def test_null_is_pending_for_60_s_and_unknown_after() -> None:
    outcome, polls, end = waiting(None)

    assert isinstance(outcome, NotFoundError)
    assert outcome.cover_task_id == ID
    assert 60 < end <= 60 + 33
    assert all(at <= 60 for at in polls[:-1])


def test_null_at_first_is_no_error() -> None:
    outcome, _, _ = waiting(None, None, GENERATING, SUCCESS)

    assert outcome == SUCCESS


def test_a_success_without_images_is_polled_three_times_more() -> None:
    outcome, polls, _ = waiting(IMAGELESS)

    assert isinstance(outcome, ImagesMissingError)
    assert len(polls) == 4


def test_images_that_come_late_are_waited_for() -> None:
    outcome, _, _ = waiting(IMAGELESS, IMAGELESS, IMAGELESS, SUCCESS)

    assert outcome == SUCCESS


def test_patience_ends_at_the_deadline_and_names_the_task() -> None:
    outcome, _, end = waiting(GENERATING, timeout=900)

    assert isinstance(outcome, CoverTimeoutError)
    assert isinstance(outcome, TimeoutError)
    assert outcome.cover_task_id == ID
    assert end == 900


def test_a_last_poll_comes_before_the_deadline_however_short_the_patience() -> None:
    outcome, polls, _ = waiting(SUCCESS, first_poll=20.0, timeout=4.0)

    assert outcome == SUCCESS
    assert polls == [pytest.approx(3.2)]


def test_an_outage_shorter_than_patience_costs_nothing() -> None:
    outcome, _, _ = waiting(GENERATING, *[TransportError("no answer")] * 10, SUCCESS)

    assert outcome == SUCCESS


def test_a_timeout_in_an_outage_tells_of_the_outage() -> None:
    outcome, _, _ = waiting(TransportError("no answer from there"))

    assert isinstance(outcome, CoverTimeoutError)
    assert "no answer from there" in str(outcome)


def test_what_waiting_cannot_repair_ends_the_wait_at_once() -> None:
    outcome, polls, _ = waiting(GENERATING, NotFoundError("gone"))

    assert isinstance(outcome, NotFoundError)
    assert len(polls) == 2


def test_the_first_poll_waits_for_nearly_all_to_be_finished_while_polls_have_to_queue() -> None:
    async def first_poll(*, busy: bool) -> float:
        clock = asyncio.get_running_loop().time
        state = CoverState(grace=60)
        for seconds in range(1, 102):
            state.durations.learn(seconds)
        state.accepted(CoverTask(cover_task_id=ID, music_task_id="m"), clock())

        async def ask(_: str) -> CoverDetails:
            return SUCCESS

        out = Poller(ask, PollPolicy(), state, lambda: busy, Notifier())
        await finished(out)
        return clock()

    assert run(first_poll(busy=False)) == 26
    assert run(first_poll(busy=True)) == 96

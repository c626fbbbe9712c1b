"""Submits of one event loop: joined, left, stopped, and completed from callbacks."""

import asyncio
import itertools

import attrs
import pytest

from suno_cover_async import (
    Callback,
    ClientUsageError,
    CoverExistsError,
    CoverTask,
    InvalidRequestError,
    PollPolicy,
    RateLimit,
    RetryPolicy,
    SunoCoverError,
    TransportError,
    WrongAddressError,
)
from suno_cover_async.client import covers_of
from suno_cover_async.sandbox import DuplicateId, Fault, Reply
from tests.support.answering import ONCE, reply
from tests.support.breakers import now
from tests.support.clients import connect
from tests.support.memory_network import eventually, in_memory
from tests.support.runs import billed
from tests.support.submits import (
    HOURS,
    NAMELESS,
    PATIENT,
    SLOW,
    WAYS_TO_LOSE,
    Ask,
    a_receiver,
    cancelled_on_the_wire,
    paid_for,
    submitting,
    unclaimed,
)

REFUSED = reply(200, {"code": 422, "msg": "The record is being processed"})


@in_memory
async def test_concurrent_submits_of_one_song_are_one_request() -> None:
    async with submitting() as (sandbox, client, song):
        tasks = await asyncio.gather(*(client.submit(song) for _ in range(50)))

        assert len(set(tasks)) == 1
        assert len(sandbox.journal.of("submit")) == 1


@in_memory
async def test_a_cancelled_submit_that_is_on_the_wire_is_finished_and_remembered() -> None:
    async with submitting(SLOW) as (sandbox, client, song):
        caller = await cancelled_on_the_wire(sandbox, client, song)
        with pytest.raises(asyncio.CancelledError):
            await caller
        await client.settled(song)
        (task,) = client.unclaimed
        assert [task.cover_task_id] == paid_for(sandbox)
        assert await client.submit(song) == task
        assert client.unclaimed == ()
        assert len(sandbox.journal.of("submit")) == 1


@in_memory
async def test_a_cancelled_submit_that_was_not_sent_never_is() -> None:
    async with submitting(rate_limit=RateLimit(calls=1, seconds=60)) as (sandbox, client, song):
        await client.credits()
        caller = asyncio.create_task(client.submit(song))
        await asyncio.sleep(0.01)

        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await asyncio.sleep(100)

        assert not sandbox.journal.of("submit")
        assert not client.is_possibly_billed(song)


@in_memory
async def test_one_cancelled_caller_takes_nothing_from_the_other() -> None:
    async with submitting(SLOW) as (sandbox, client, song):
        other = asyncio.create_task(client.submit(song))
        await cancelled_on_the_wire(sandbox, client, song)

        task = await other

        assert billed(sandbox) == {song: 1}
        assert not task.adopted


@in_memory
async def test_a_cancellation_between_two_attempts_leaves_a_trace() -> None:
    async with submitting() as (sandbox, client, song):
        sandbox.script("submit", Fault.LOST_ANSWER)
        caller = asyncio.create_task(client.submit(song))
        await eventually(lambda: client.possibly_billed)

        caller.cancel()
        await asyncio.wait([caller])

        assert caller.cancelled()
        assert client.possibly_billed == (song,)
        assert len(sandbox.journal.of("submit")) == 1


@pytest.mark.parametrize("callers", [1, 5])
@in_memory
async def test_all_who_submit_while_another_is_being_cancelled_get_what_that_one_brings(
    callers: int,
) -> None:
    scenario = attrs.evolve(SLOW, duplicate_id=DuplicateId.ABSENT)
    async with submitting(scenario) as (sandbox, client, song):
        first = await cancelled_on_the_wire(sandbox, client, song)

        tasks = await asyncio.gather(*(client.submit(song) for _ in range(callers)))

        assert first.cancelled()
        assert {task.cover_task_id for task in tasks} == {*paid_for(sandbox)}
        assert len(sandbox.journal.of("submit")) == 1


@in_memory
async def test_two_callers_whose_time_is_up_together_forget_nothing() -> None:
    async with submitting(SLOW) as (sandbox, client, song):
        hurried = [asyncio.wait_for(client.submit(song), 0.075) for _ in range(2)]

        outcomes = await asyncio.gather(*hurried, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [TimeoutError, TimeoutError]
        await client.settled(song)
        assert unclaimed(client) == paid_for(sandbox) != []


@pytest.mark.parametrize("others", [0, 1])
@in_memory
async def test_closing_does_not_hurry_a_submit_that_is_being_cancelled(others: int) -> None:
    async with submitting(SLOW) as (sandbox, client, song):
        await cancelled_on_the_wire(sandbox, client, song)
        waiting = [asyncio.create_task(client.submit(song)) for _ in range(others)]
        await asyncio.sleep(0)

        await client.aclose()

        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ClientUsageError] * others
        assert unclaimed(client) == paid_for(sandbox) != []


@in_memory
async def test_closing_finishes_a_submit_on_the_wire_and_tells_its_caller() -> None:
    async with submitting(SLOW) as (sandbox, client, song):
        caller = asyncio.create_task(client.submit(song))
        await eventually(lambda: sandbox.journal.arrivals)

        await client.aclose()

        with pytest.raises(ClientUsageError, match="closed during a submit; see `unclaimed`"):
            await caller
        assert unclaimed(client) == paid_for(sandbox) != []


@in_memory
async def test_a_submit_that_a_caller_still_awaits_is_not_waited_for_as_one_that_was_left() -> None:
    async with submitting(SLOW) as (sandbox, client, song):
        caller = asyncio.create_task(client.submit(song))
        await eventually(lambda: sandbox.journal.arrivals)

        await client.settled(song)
        assert not caller.done()
        assert client.is_possibly_billed(song)
        await caller


@pytest.mark.parametrize("ask", WAYS_TO_LOSE)
@in_memory
async def test_after_a_possibly_billed_submit_the_next_is_1_s_later_at_the_soonest(
    ask: Ask,
) -> None:
    async with submitting() as (sandbox, client, song):
        await ask(sandbox, client, song)

        task = await client.submit(song)

        assert task.adopted
        assert billed(sandbox) == {song: 1}
        *_, last, after = [submit.at for submit in sandbox.journal.of("submit")]
        assert after - last >= 1.0


@in_memory
async def test_a_refusal_of_a_later_call_does_not_hide_that_a_bill_may_exist() -> None:
    async with submitting(retry=ONCE) as (sandbox, client, song):
        sandbox.script("submit", REFUSED, Fault.LOST_ANSWER, REFUSED)
        errors: list[SunoCoverError] = []
        for expected in (InvalidRequestError, TransportError, InvalidRequestError):
            with pytest.raises(expected) as caught:
                await client.submit(song)
            errors.append(caught.value)

        assert [error.possibly_billed for error in errors] == [False, True, True]
        assert [error.retryable for error in errors] == [False, True, False]
        assert client.possibly_billed == (song,)
        assert (await client.submit(song)).adopted
        assert len(sandbox.journal.bills) == 1


@in_memory
async def test_who_joins_under_a_longer_policy_is_not_content_with_a_shorter_ones_error() -> None:
    async with submitting(SLOW, retry=ONCE) as (sandbox, client, song):
        sandbox.script("submit", Fault.SERVER_ERROR)
        impatient = asyncio.create_task(client.submit(song))
        await eventually(lambda: sandbox.journal.arrivals)

        task = await covers_of(client).submit(song, callback_timeout=1, policy=RetryPolicy())

        assert isinstance(impatient.exception(), SunoCoverError)
        assert [task.cover_task_id] == paid_for(sandbox)


@in_memory
async def test_what_a_callback_claims_is_confirmed_before_it_is_believed() -> None:
    receiver = a_receiver()
    async with submitting(receiver=receiver) as (sandbox, client, song):
        other = await client.submit(*sandbox.add_music(1))
        names_no_music = {"taskId": "nameless", "successFlag": 2}
        sandbox.script("details", reply(200, {"code": 200, "data": names_no_music}), REFUSED)
        for claimed in (other.cover_task_id, "never-heard-of", "nameless"):
            assert receiver.notify(Callback(music_task_id=song, cover_task_id=claimed))

        task = await client.submit(song)

        assert [other.cover_task_id, task.cover_task_id] == paid_for(sandbox)
        assert receiver.notifier.named(song) == ("nameless", "never-heard-of")


@pytest.mark.parametrize(("lost", "submits"), [(False, 2), (True, 1)])
@in_memory
async def test_a_failed_cover_that_a_callback_named_is_the_answer_to_a_lost_submit_only(
    lost: bool, submits: int
) -> None:
    receiver = a_receiver()
    async with submitting(receiver=receiver, poll=PATIENT) as (sandbox, client, _):
        (song,) = sandbox.add_music(1, fails=True)
        async with connect(sandbox) as other:
            failed = await other.submit(song)
        receiver.notify(Callback(music_task_id=song, cover_task_id=failed.cover_task_id))
        if lost:
            client.mark_possibly_billed(song)

        task = await client.submit(song)

        assert task == attrs.evolve(failed, adopted=True)
        assert len(sandbox.journal.of("submit")) == submits


@in_memory
async def test_a_cover_that_failed_before_is_not_the_answer_to_a_submit_of_now() -> None:
    options = {"receiver": (receiver := a_receiver()), "poll": attrs.evolve(PATIENT, timeout=60)}
    async with submitting(NAMELESS, **options) as (sandbox, client, _):
        (song,) = sandbox.add_music(1, fails=True)
        async with connect(sandbox) as other:
            failed = await other.submit(song)
        receiver.notify(Callback(music_task_id=song, cover_task_id=failed.cover_task_id))
        sandbox.script("submit", Fault.LOST_ANSWER)

        with pytest.raises(CoverExistsError):
            await client.submit(song)


@in_memory
async def test_a_callback_ends_the_wait_of_a_submit_whose_answer_was_lost() -> None:
    receiver = a_receiver()
    async with submitting(NAMELESS, receiver=receiver, poll=PATIENT) as (sandbox, client, song):
        sandbox.script("submit", Fault.LOST_ANSWER)
        caller = asyncio.create_task(client.submit(song))
        await asyncio.sleep(0.9 * HOURS)
        (named,) = paid_for(sandbox)
        began = now()
        receiver.notify(Callback(music_task_id=song, cover_task_id=named))

        task = await caller

        assert task == CoverTask(cover_task_id=named, music_task_id=song, adopted=True)
        assert now() == began
        assert not client.possibly_billed
        assert len(sandbox.journal.of("submit")) == 2


@in_memory
async def test_a_cover_that_exists_and_is_never_named_is_possibly_billed_no_longer() -> None:
    poll = PollPolicy(fallback_delay=10, timeout=200)
    options = {"receiver": a_receiver(), "poll": poll, "retry": ONCE}
    async with submitting(NAMELESS, **options) as (sandbox, client, song):
        sandbox.script("submit", Fault.LOST_ANSWER)
        with pytest.raises(TransportError) as caught:
            await client.submit(song)
        overdue = now()
        before = client.possibly_billed
        with pytest.raises(CoverExistsError):
            await client.submit(song)

        assert caught.value.possibly_billed
        assert (before, client.possibly_billed) == ((song,), ())
        assert (overdue, now() - overdue) == (10, 200)


@in_memory
async def test_a_cover_that_exists_without_our_doing_is_not_waited_for() -> None:
    patient = {"receiver": a_receiver(), "poll": PATIENT}
    async with submitting(NAMELESS, **patient) as (sandbox, client, song):
        async with connect(sandbox) as other:
            await other.submit(song)

        with pytest.raises(CoverExistsError) as caught:
            await client.submit(song)
        assert now() == 0
        assert not caught.value.possibly_billed


@pytest.mark.parametrize("wrong", [reply(404), reply(302, Location="https://other.example")])
@in_memory
async def test_a_wrong_address_is_told_at_once_and_no_callback_is_waited_for(wrong: Reply) -> None:
    async with submitting(receiver=a_receiver(), poll=PATIENT) as (sandbox, client, song):
        sandbox.script("submit", wrong)

        with pytest.raises(WrongAddressError):
            await client.submit(song)
        assert now() == 0
        assert client.possibly_billed == (song,)


@in_memory
async def test_a_flood_of_notifications_for_a_lost_answer_brings_polls_no_closer_than_allowed() -> (
    None
):
    receiver = a_receiver()
    poll = attrs.evolve(PATIENT, min_interval=5, timeout=60)
    async with submitting(NAMELESS, receiver=receiver, poll=poll) as (sandbox, client, song):
        sandbox.script("submit", Fault.LOST_ANSWER)
        caller = asyncio.create_task(client.submit(song))
        while not caller.done():
            receiver.notify(Callback(music_task_id=song, cover_task_id="made-up"))
            await asyncio.sleep(0.1)

        assert isinstance(caller.exception(), CoverExistsError)
        polls = [arrival.at for arrival in sandbox.journal.of("details")]
        assert len(polls) >= 12
        assert all(b - a >= 4.999 for a, b in itertools.pairwise(polls[1:]))


@in_memory
async def test_a_callback_that_outruns_the_hosts_own_details_is_polled_again() -> None:
    receiver = a_receiver()
    scenario = attrs.evolve(NAMELESS, null_polls=3)
    poll = attrs.evolve(PATIENT, min_interval=5)
    async with submitting(scenario, receiver=receiver, poll=poll) as (sandbox, client, song):
        sandbox.script("submit", Fault.LOST_ANSWER)
        caller = asyncio.create_task(client.submit(song))
        await asyncio.sleep(2)
        (named,) = paid_for(sandbox)
        receiver.notify(Callback(music_task_id=song, cover_task_id=named))

        assert (await caller).cover_task_id == named
        assert [round(arrival.at) for arrival in sandbox.journal.of("details")] == [2, 7, 12, 17]


@in_memory
async def test_no_unconfirmed_name_makes_a_submit_wait_longer_than_it_was_told() -> None:
    receiver = a_receiver()
    far_apart = attrs.evolve(PATIENT, min_interval=HOURS, max_interval=HOURS)
    async with submitting(NAMELESS, receiver=receiver, poll=far_apart) as (sandbox, client, song):
        sandbox.script("submit", Fault.LOST_ANSWER)
        receiver.notify(Callback(music_task_id=song, cover_task_id="made-up"))

        with pytest.raises(CoverExistsError) as caught:
            await covers_of(client).submit(song, callback_timeout=7)

        assert caught.value.possibly_billed
        assert 8 <= now() < 9  # 1 s of it before the second attempt


@in_memory
async def test_closing_ends_a_submit_that_waits_for_its_callback() -> None:
    patient = {"receiver": a_receiver(), "poll": PATIENT}
    async with submitting(NAMELESS, **patient) as (sandbox, client, song):
        sandbox.script("submit", Fault.LOST_ANSWER)
        caller = asyncio.create_task(client.submit(song))
        await asyncio.sleep(60)
        await client.aclose()

        with pytest.raises(ClientUsageError):
            await caller
        assert (client.possibly_billed, now()) == ((song,), 60)

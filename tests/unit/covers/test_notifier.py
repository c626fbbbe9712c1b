"""Callbacks wake waiters, in any order of notification, answer, poll and cancellation.

Fallback polls are pushed hours away, so a wake-up that is lost shows as a wait of hours.
"""

import asyncio
import gc
import itertools
import threading
from contextlib import ExitStack, suppress
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suno_cover_async import (
    Callback,
    CoverDetails,
    CoverStatus,
    CoverTask,
    PollPolicy,
    SunoCoverError,
)
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.poller import Poller
from suno_cover_async.covers.state import CoverState
from tests.support.clients import listening
from tests.support.virtual_time import run

SONG = "73d6128b3523a0079df10da9471017c8"
ID = "21aee3c3c2a01fa5e030b3799fa4dd56"
TASK = CoverTask(cover_task_id=ID, music_task_id=SONG)
NEWS = Callback(music_task_id=SONG, cover_task_id=ID)
HOURS = 50_000.0
RARE = PollPolicy(fallback_delay=HOURS, fallback_interval=HOURS, timeout=10 * HOURS)


def other(number: int) -> str:
    return f"{number:032x}"


class World:
    """A host whose one cover finishes when told to, and those who wait for it."""

    def __init__(
        self,
        *,
        latency: float = 0.0,
        schedule: PollPolicy = RARE,
        notifier: Notifier | None = None,
    ) -> None:
        self.notifier = notifier or Notifier("https://me.example/suno")
        self.state = CoverState(grace=60)
        self.finished = False
        self.polls: list[float] = []
        self._latency = latency
        self._poller = Poller(self._poll, schedule, self.state, lambda: False, self.notifier)

    async def _poll(self, _: str) -> CoverDetails:
        self.polls.append(self.now)
        await asyncio.sleep(self._latency)
        status = CoverStatus.SUCCESS if self.finished else CoverStatus.GENERATING
        images = ("u", "v") if self.finished else ()
        await asyncio.sleep(self._latency)
        return CoverDetails(cover_task_id=ID, music_task_id=SONG, status=status, images=images)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def accept(self, task: CoverTask = TASK) -> None:
        self.state.accepted(task, self.now)

    def finish(self) -> None:
        """Finish the cover, and call back."""
        self.finished = True
        self.notifier.notify(NEWS)

    async def waited(
        self, task: CoverTask | str = TASK, *, patience: float = RARE.timeout
    ) -> float:
        """Wait for the cover; return when it was there."""
        deadline = self.now + patience
        async with self._poller.waiting(task, deadline) as waiter:
            details = await waiter.finished()
        self.state.settle(details)
        return self.now


@attrs.frozen(kw_only=True)
class Plan:
    """When what happens, in tenths of a second; and after how many turns of the loop."""

    answered: tuple[int, int]
    finished: tuple[int, int]
    notifications: tuple[tuple[int, int], ...]
    cancelled: tuple[int, int]
    by_id: bool


moments = st.tuples(st.integers(0, 30), st.integers(0, 5))
plans = st.builds(
    Plan,
    answered=moments,
    finished=moments,
    notifications=st.lists(moments, max_size=3).map(tuple),
    cancelled=moments,
    by_id=st.booleans(),
)


async def at(moment: tuple[int, int]) -> None:
    tenths, turns = moment
    await asyncio.sleep(tenths / 10)
    for _ in range(turns):
        await asyncio.sleep(0)


async def happening(plan: Plan, notified_after: tuple[int, int]) -> tuple[float, float]:
    """Play a plan with one true notification at its end; return when it came and was heard."""
    world = World(latency=0.15)
    notified = asyncio.get_running_loop().create_future()

    async def host() -> None:
        await at(plan.finished)
        world.finished = True
        await at(notified_after)
        assert world.notifier.notify(NEWS)
        notified.set_result(world.now)

    async def false_notification(moment: tuple[int, int]) -> None:
        await at(moment)
        world.notifier.notify(NEWS)

    async def caller() -> float:
        await at(plan.answered)
        world.accept()
        task = ID if plan.by_id else TASK
        first = asyncio.create_task(world.waited(task))
        await at(plan.cancelled)
        first.cancel()
        with suppress(asyncio.CancelledError):
            return await first
        return await world.waited(task)

    async with asyncio.TaskGroup() as group:
        group.create_task(host())
        for moment in plan.notifications:
            group.create_task(false_notification(moment))
        heard = group.create_task(caller())
    return max(notified.result(), (plan.answered[0] + plan.cancelled[0]) / 10), heard.result()


@settings(max_examples=1500, deadline=None)
@given(plan=plans, notified_after=moments)
def test_no_notification_is_lost_in_any_order_of_notification_answer_poll_and_cancellation(
    plan: Plan, notified_after: tuple[int, int]
) -> None:
    notified, heard = run(happening(plan, notified_after))

    followed = (
        RARE.min_interval + 3 * 0.15 * 2
    )  # a false notification just before it, and the polls themselves
    assert heard <= notified + followed


def test_a_callback_ends_the_wait_at_once_and_costs_one_poll() -> None:
    async def scenario() -> tuple[float, list[float]]:
        world = World()
        world.accept()
        waiting = asyncio.create_task(world.waited())
        await asyncio.sleep(47)
        world.finish()
        return await waiting, world.polls

    end, polls = run(scenario())

    assert end == 47
    assert polls == [47]


def test_a_callback_before_the_submits_answer_finds_its_waiter() -> None:
    async def scenario() -> float:
        world = World()
        with world.notifier.expecting(SONG):
            world.finish()
            await asyncio.sleep(1)
            world.accept()
        return await world.waited()

    assert run(scenario()) == 1


def test_a_notification_whose_waiter_was_cancelled_is_heard_by_the_next() -> None:
    async def scenario() -> float:
        world = World(latency=1)
        world.accept()
        doomed = asyncio.create_task(world.waited())
        await asyncio.sleep(1)
        world.finish()
        await asyncio.sleep(0.5)  # the poll is under way
        doomed.cancel()
        await asyncio.wait([doomed])
        return await world.waited()

    assert run(scenario()) == 1.5 + 2


def test_notifications_are_coalesced_and_a_flood_of_them_brings_polls_no_closer_than_5_s() -> None:
    async def scenario() -> list[float]:
        world = World()
        world.accept()
        waiting = asyncio.create_task(world.waited())
        await asyncio.sleep(0)
        for _ in range(1_000):
            for _ in range(10):
                world.notifier.notify(NEWS)
            await asyncio.sleep(0.1)
        world.finished = True
        await waiting
        return world.polls

    polls = run(scenario())

    assert len(polls) <= 100 / 5 + 2
    assert all(after - before >= 4.999 for before, after in itertools.pairwise(polls))


def test_after_a_callback_that_was_too_early_polls_come_as_often_as_without_one() -> None:
    async def scenario() -> list[float]:
        world = World()
        world.accept()
        waiting = asyncio.create_task(world.waited())
        await asyncio.sleep(40)
        world.notifier.notify(NEWS)
        await asyncio.sleep(107)
        world.finished = True
        await waiting
        return world.polls

    polls = run(scenario())

    assert polls[0] == 40
    pauses = [after - before for before, after in itertools.pairwise(polls)]
    assert pauses[0] <= 5.5
    assert 5.5 < pauses[-1] <= 0.15 * 107 * 1.1


@pytest.mark.parametrize("notifications", [1, 2])
def test_no_notification_costs_the_last_poll_before_the_deadline(notifications: int) -> None:
    async def scenario() -> float:
        world = World()
        world.accept()
        waiting = asyncio.create_task(world.waited(patience=50))
        await asyncio.sleep(46)
        world.notifier.notify(NEWS)  # too early
        await asyncio.sleep(0.7)
        world.finished = True
        if notifications == 2:
            world.notifier.notify(NEWS)
        return await waiting

    assert run(scenario()) <= 50 - 1.9


@pytest.mark.parametrize(("others", "joins", "mine"), [(900, 0, 40), (30, 29, 90)])
def test_each_watcher_has_a_last_poll_before_its_own_deadline(
    others: float, joins: float, mine: float
) -> None:
    """Its callback is lost, and the others' deadline is another one."""

    async def scenario() -> float:
        world = World()
        world.accept()
        other = asyncio.create_task(world.waited(patience=others))
        await asyncio.sleep(joins)
        waiting = asyncio.create_task(world.waited(patience=mine))
        await asyncio.sleep(20 - joins if joins < 20 else 11)
        world.finished = True
        end = await waiting
        await asyncio.wait([other])
        with suppress(SunoCoverError):
            await other
        return end

    assert run(scenario()) <= joins + mine - 1.9


def test_whoever_waits_for_what_a_poll_saw_finished_has_it_at_once() -> None:
    async def scenario() -> float:
        world = World()
        world.accept()
        world.finished = True
        await world._poller.poll(TASK)
        return await world.waited()

    assert run(scenario()) == 0


def test_while_a_callback_is_awaited_polls_come_at_60_s_and_then_every_120_s() -> None:
    async def scenario() -> list[float]:
        world = World(schedule=PollPolicy())
        world.accept()
        waiting = asyncio.create_task(world.waited())
        await asyncio.sleep(500)
        waiting.cancel()
        await asyncio.wait([waiting])
        return world.polls

    first, *others = run(scenario())

    assert first == 60
    assert len(others) == 3
    assert all(108 <= b - a <= 132 for a, b in itertools.pairwise([first, *others]))


def test_the_first_safety_poll_is_learned_from_the_host() -> None:
    async def scenario() -> float:
        world = World(schedule=PollPolicy())
        for seconds in range(1, 102):
            world.state.durations.learn(seconds)
        world.accept()
        world.finished = True
        return await world.waited()

    assert run(scenario()) == 100 + 5


def test_an_adopted_task_is_polled_as_usual_and_may_notify_as_well() -> None:
    async def scenario() -> tuple[float, list[float]]:
        world = World(schedule=PollPolicy())
        adopted = attrs.evolve(TASK, adopted=True)
        world.accept(adopted)
        waiting = asyncio.create_task(world.waited(adopted))
        await asyncio.sleep(31)
        world.finish()
        return await waiting, world.polls

    end, polls = run(scenario())

    assert end == 31
    assert len(polls) > 4
    assert polls[0] == 0
    assert polls[-1] == 31


def test_callbacks_that_go_elsewhere_are_not_counted_on_after_five_covers_without() -> None:
    async def scenario() -> list[float]:
        world = World(schedule=PollPolicy())
        world.finished = True
        took: list[float] = []
        for _ in range(7):
            began = world.now
            world.accept()
            took.append(await world.waited() - began)
            await asyncio.sleep(100)
            world.notifier.notify(Callback(music_task_id=other(1), cover_task_id=other(2)))
        with listening(world.notifier, TASK):
            world.notifier.notify(NEWS)
        world.notifier.forget(SONG, ID)
        await asyncio.sleep(100)
        began = world.now
        world.accept()
        return [*took, await world.waited() - began]

    assert run(scenario()) == [60] * 5 + [20, 20, 60]


def test_many_callbacks_that_came_outweigh_some_that_did_not() -> None:
    async def scenario() -> list[bool]:
        notifier, reliable = Notifier("https://me.example/suno"), list[bool]()
        with listening(notifier, TASK):
            for _ in range(100):
                notifier.notify(NEWS)
        for _ in range(30):
            reliable.append(notifier.is_reliable)
            notifier.missed()
        return reliable

    assert run(scenario()) == [True] * 25 + [False] * 5


@pytest.mark.parametrize("task", [TASK, attrs.evolve(TASK, adopted=True)])
def test_covers_that_notified_early_or_never_were_to_are_no_misses(task: CoverTask) -> None:
    async def scenario() -> bool:
        world = World(schedule=PollPolicy())
        for _ in range(10):
            world.finished = False
            world.accept(task)
            waiting = asyncio.create_task(world.waited(task))
            await asyncio.sleep(1)
            if not task.adopted:
                world.notifier.notify(NEWS)
                await asyncio.sleep(1)
            world.finished = True
            await waiting
            world.notifier.forget(SONG, ID)
        return world.notifier.is_reliable

    assert run(scenario())


def test_covers_that_notified_in_time_earn_trust() -> None:
    async def scenario() -> bool:
        world = World()
        for _ in range(30):
            world.finished = False
            world.accept()
            waiting = asyncio.create_task(world.waited())
            await asyncio.sleep(1)
            world.finish()
            await waiting
            world.notifier.forget(SONG, ID)
        for _ in range(24):
            world.notifier.missed()
        return world.notifier.is_reliable

    assert run(scenario())


@pytest.mark.parametrize(
    ("refusals", "why"),
    [
        ([], "check that the API can reach this address"),
        (["no", "the token is wrong"], "2 requests were refused there, the last because the token"),
    ],
)
def test_a_warning_says_why_callbacks_may_not_come(
    refusals: list[str], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier("https://me.example/suno")
    for reason in refusals:
        notifier.refused(reason)
    for _ in range(9):
        notifier.missed()

    [warning] = caplog.records
    assert "https://me.example/suno" in warning.getMessage()
    assert why in warning.getMessage()


def test_named_cover_tasks_come_latest_first_and_each_can_be_forgotten() -> None:
    notifier = Notifier()
    for number in (1, 2, 3):
        notifier.notify(Callback(music_task_id=SONG, cover_task_id=other(number)))
    assert notifier.named(SONG) == (other(3), other(2), other(1))

    notifier.forget(SONG, other(2))
    assert notifier.named(SONG) == (other(3), other(1))

    notifier.forget(SONG, other(3))
    notifier.forget(SONG, other(1))
    assert notifier.named(SONG) == ()


def test_a_callback_that_contradicts_what_we_know_is_refused_and_changes_nothing() -> None:
    async def scenario() -> None:
        world = World()
        world.accept()
        with listening(world.notifier, TASK) as subscription:
            swapped = Callback(music_task_id=SONG, cover_task_id=other(1))
            stolen = Callback(music_task_id=other(2), cover_task_id=ID)

            assert not world.notifier.notify(swapped)
            assert not world.notifier.notify(stolen)
            assert world.notifier.named(SONG) == ()
            assert world.notifier.named(other(2)) == ()
            assert not await subscription.wait(1)

    run(scenario())


def test_an_adopted_id_does_not_keep_the_right_one_from_being_heard() -> None:
    async def scenario() -> tuple[str, ...]:
        notifier = Notifier()
        adopted = CoverTask(cover_task_id=other(1), music_task_id=SONG, adopted=True)
        with listening(notifier, adopted) as subscription:
            assert notifier.notify(NEWS)
            assert not await subscription.wait(1)  # it is no news of the adopted one
        return notifier.named(SONG)

    assert run(scenario()) == (ID,)


def test_a_flood_of_unknown_ids_is_bounded_and_pushes_out_nothing_that_is_awaited() -> None:
    async def scenario() -> None:
        notifier = Notifier()
        with notifier.expecting(SONG) as subscription:
            notifier.notify(NEWS)
            for number in range(100_000):
                notifier.notify(Callback(music_task_id=other(number), cover_task_id=other(-number)))

            assert await subscription.wait(1)
            assert notifier.named(SONG) == (ID,)
        kept = sum(bool(notifier.named(other(number))) for number in range(100_000))
        assert kept <= 4096

    run(scenario())


def test_notes_shrink_again_when_those_who_waited_have_gone() -> None:
    async def scenario() -> int:
        notifier = Notifier()
        with ExitStack() as waiting:
            for number in range(5_000):
                waiting.enter_context(notifier.expecting(other(number)))
                notifier.notify(Callback(music_task_id=other(number), cover_task_id=ID))
        notifier.notify(NEWS)
        return len(notifier._notes)

    assert run(scenario()) == 4096


def test_the_holder_of_one_token_fills_no_memory_and_evicts_no_other_song() -> None:
    notifier = Notifier()
    notifier.notify(NEWS)

    for number in range(100_000):
        notifier.notify(Callback(music_task_id=other(7), cover_task_id=other(number)))

    assert len(notifier.named(other(7))) == 4
    assert notifier.named(SONG) == (ID,)


async def test_a_notification_from_another_thread_wakes_the_waiter() -> None:
    notifier, clock = Notifier(), asyncio.get_running_loop().time
    with listening(notifier, TASK) as subscription:
        thread = threading.Timer(0.05, notifier.notify, (NEWS,))  # when the loop has gone to sleep
        thread.start()

        began = clock()
        assert await subscription.wait(began + 20)
        assert clock() < began + 10
        thread.join()


def test_a_notification_for_a_loop_that_is_closed_is_noted_for_the_next() -> None:
    notifier = Notifier()

    async def listen() -> None:
        left.enter_context(listening(notifier, TASK))

    async def listen_again() -> bool:
        with listening(notifier, TASK) as subscription:
            return await subscription.wait(1)

    with ExitStack() as left:
        run(listen())
        assert notifier.notify(NEWS)
        assert run(listen_again())


def test_a_waiter_that_is_collected_as_garbage_while_notified_blocks_nobody() -> None:
    notifier = Notifier()
    abandoned = asyncio.new_event_loop()

    async def wait_for_ever() -> None:
        with listening(notifier, TASK):
            await asyncio.Event().wait()

    task = abandoned.create_task(wait_for_ever())
    abandoned.run_until_complete(asyncio.sleep(0))
    abandoned.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task
    with notifier._lock:
        gc.collect()

    assert notifier.notify(NEWS)
    assert not notifier._subscriptions


@pytest.mark.parametrize("second", [ID, TASK])
def test_whoever_waits_after_the_cover_was_collected_has_it_at_once(
    second: CoverTask | str,
) -> None:
    async def scenario() -> tuple[float, dict[str, Any]]:
        world = World()
        world.accept()
        waiting = asyncio.create_task(world.waited())
        await asyncio.sleep(1)
        world.finish()
        await waiting
        return await world.waited(second), world.notifier._subscriptions

    assert run(scenario()) == (1, {})


def test_two_who_wait_at_two_places_for_one_cover_are_both_woken() -> None:
    """Two clients with one receiver: what one has collected, the other still has to hear of."""

    async def scenario() -> float:
        world = World()
        later = World(notifier=world.notifier)
        world.accept()
        later.accept()
        waiting = asyncio.create_task(world.waited())
        await asyncio.sleep(1)
        world.finished = later.finished = True
        world.notifier.notify(NEWS)
        await waiting
        return await later.waited()

    assert run(scenario()) == 1

"""Several waiters of one cover: one series of polls, and a deadline for each."""

import asyncio
import itertools
import random

import attrs
import pytest

from suno_cover_async import (
    Callback,
    ClientUsageError,
    CoverDetails,
    CoverStatus,
    CoverTask,
    CoverTimeoutError,
    InvalidRequestError,
    NotFoundError,
    PollPolicy,
    TransportError,
)
from suno_cover_async.covers.cover_polling import Waiter
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.poller import Poller
from suno_cover_async.covers.state import CoverState
from tests.support.polling import (
    GENERATING,
    ID,
    IMAGELESS,
    PENDING,
    SUCCESS,
    Polls,
    finished,
    poller,
    waiting,
)
from tests.support.virtual_time import run


async def statuses(waiter: Waiter) -> list[CoverStatus]:
    seen = [await waiter.after(None)]
    while not seen[-1].finished:
        seen.append(await waiter.after(seen[-1]))
    return [details.status for details in seen]


def test_each_watcher_sees_every_change_and_the_latest_first() -> None:
    async def watch(out: Poller) -> list[list[CoverStatus]]:
        async with out.waiting(ID, 900) as waiter, out.waiting(ID, 900) as late:
            return [await statuses(waiter), await statuses(late)]

    seen, _, _ = waiting(None, PENDING, PENDING, GENERATING, GENERATING, SUCCESS, then=watch)

    assert seen == [
        [CoverStatus.PENDING, CoverStatus.GENERATING, CoverStatus.SUCCESS],
        [CoverStatus.SUCCESS],
    ]


def test_a_thousand_watchers_cost_one_stream_of_polls() -> None:
    async def watch(out: Poller) -> int:
        return len(await asyncio.gather(*(finished(out) for _ in range(1000))))

    waiters, polls, _ = waiting(PENDING, GENERATING, SUCCESS, then=watch)

    assert waiters == 1000
    assert len(polls) == 3


def test_a_cancelled_watcher_takes_nothing_from_the_others() -> None:
    async def watch(out: Poller) -> CoverDetails:
        doomed = asyncio.create_task(finished(out))
        other = asyncio.create_task(finished(out))
        await asyncio.sleep(1)
        doomed.cancel()
        return await other

    outcome, _, _ = waiting(PENDING, SUCCESS, then=watch)

    assert outcome == SUCCESS


def test_each_watcher_gets_an_error_of_its_own() -> None:
    async def watch(out: Poller) -> list[object]:
        return await asyncio.gather(*(finished(out) for _ in range(50)), return_exceptions=True)

    errors, _, _ = waiting(NotFoundError("gone"), then=watch)

    assert isinstance(errors, list)
    assert len({id(error) for error in errors}) == 50
    assert all(isinstance(error, NotFoundError) for error in errors)


def test_a_new_watcher_of_a_dead_stream_gets_a_new_one() -> None:
    async def watch(out: Poller) -> CoverDetails:
        async with out.waiting(ID, 900) as dead:
            with pytest.raises(InvalidRequestError):
                await dead.finished()
            return await finished(out)

    outcome, _, _ = waiting(InvalidRequestError("odd"), SUCCESS, then=watch)

    assert outcome == SUCCESS


def test_nobody_is_polled_for_beyond_the_last_deadline() -> None:
    async def watch(out: Poller) -> None:
        async with out.waiting(ID, 100.0) as waiter:
            await waiter.after(None)
            await asyncio.sleep(10_000)  # in the middle of a `watch`

    _, polls, _ = waiting(GENERATING, then=watch)

    assert max(polls) <= 100


def test_a_later_deadline_of_another_watcher_is_kept() -> None:
    async def watch(out: Poller) -> float:
        async with out.waiting(ID, 10.0), out.waiting(ID, 500.0) as waiter:
            with pytest.raises(CoverTimeoutError):
                await waiter.finished()
        return asyncio.get_running_loop().time()

    end, polls, _ = waiting(GENERATING, then=watch)

    assert end == 500
    assert 497 <= max(polls) <= 498.001  # a poll just before the last one's time is the last one


def test_the_deadline_of_who_left_costs_no_poll() -> None:
    async def watch(out: Poller) -> None:
        async with asyncio.timeout(1):
            await finished(out, 53.0)

    async def both(out: Poller) -> object:
        other = asyncio.create_task(finished(out, 900.0))
        with pytest.raises(TimeoutError):
            await watch(out)
        return await other

    _, polls, _ = waiting(GENERATING, then=both)

    assert pytest.approx(51) not in polls


def test_whoever_comes_when_all_others_ran_out_of_time_is_polled_for() -> None:
    async def watch(out: Poller) -> float:
        async with out.waiting(ID, 10.0) as waiter:
            await waiter.after(None)
            await asyncio.sleep(1_000)
            await finished(out, 2_000)
        return asyncio.get_running_loop().time()

    end, _, _ = waiting(GENERATING, GENERATING, GENERATING, SUCCESS, then=watch)

    assert end == 1_000


def test_while_polls_queue_a_cover_is_polled_every_30_s() -> None:
    async def scenario() -> list[float]:
        polls = Polls([GENERATING])
        state = CoverState(grace=60)
        state.accepted(CoverTask(cover_task_id=ID, music_task_id="m"), 0.0)
        busy = Poller(lambda _: polls(), PollPolicy(), state, lambda: True, Notifier())
        with pytest.raises(CoverTimeoutError):
            await finished(busy, 200.0)
        return polls.at

    assert run(scenario()) == [60, 90, 120, 150, 180, 198]


def test_what_may_be_finished_long_since_is_polled_at_once_although_polls_queue() -> None:
    async def scenario() -> float:
        polls = Polls([SUCCESS])
        state = CoverState(grace=60)
        busy = Poller(lambda _: polls(), PollPolicy(), state, lambda: True, Notifier())
        await finished(busy)
        return asyncio.get_running_loop().time()

    assert run(scenario()) == 0


@pytest.mark.parametrize(("busy", "at_once"), [(False, 200), (True, 20)])
def test_few_polls_are_under_way_at_once_and_the_others_keep_their_turn(
    *, busy: bool, at_once: int
) -> None:
    order: list[str] = []
    under_way: list[int] = []

    async def ask(cover_task_id: str) -> CoverDetails:
        order.append(cover_task_id)
        under_way.append(1)
        await asyncio.sleep(1)
        assert sum(under_way) <= at_once
        under_way.append(-1)
        return CoverDetails(cover_task_id=cover_task_id, status=CoverStatus.FAILED)

    async def scenario() -> None:
        out = Poller(ask, PollPolicy(), CoverState(grace=60), lambda: busy, Notifier())

        async def one(number: int) -> None:
            await asyncio.sleep(number / 1e6)  # timers of one moment have no order
            async with out.waiting(f"{number:04}", 900) as waiter:
                await waiter.finished()

        await asyncio.gather(*map(one, range(1000)))

    run(scenario())

    assert order == sorted(order)
    assert len(order) == 1000


def test_a_poll_that_a_callback_asks_for_does_not_queue_behind_others() -> None:
    async def scenario() -> list[tuple[str, float]]:
        polls: list[tuple[str, float]] = []

        async def ask(cover_task_id: str) -> CoverDetails:
            polls.append((cover_task_id, asyncio.get_running_loop().time()))
            await asyncio.sleep(1000)
            return CoverDetails(cover_task_id=cover_task_id, status=CoverStatus.FAILED)

        notifier = Notifier("https://me.example/suno")
        out = Poller(ask, PollPolicy(), CoverState(grace=60), lambda: True, notifier)

        async def one(number: int) -> None:
            await asyncio.sleep(number / 1e6)  # timers of one moment have no order
            async with out.waiting(f"{number:04}", 9000) as waiter:
                await waiter.finished()

        waits = [asyncio.create_task(one(number)) for number in range(100)]
        await asyncio.sleep(10)
        notifier.notify(Callback(music_task_id="m", cover_task_id="0077"))
        await asyncio.gather(*waits)
        return polls

    polls = run(scenario())

    assert ("0077", 10.0) in polls
    assert [name for name, at in polls if at < 1] == [f"{number:04}" for number in range(20)]


def test_whoever_leaves_takes_the_poll_under_way_along() -> None:
    async def scenario() -> int:
        async def ask(_: str) -> CoverDetails:
            await asyncio.sleep(1000)
            return SUCCESS

        out = poller(lambda: ask(""))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await finished(out)
        return len(asyncio.all_tasks())

    assert run(scenario()) == 1


def test_a_notification_in_the_last_seconds_before_the_deadline_is_followed() -> None:
    async def scenario() -> CoverDetails:
        clock = asyncio.get_running_loop().time
        notifier = Notifier("https://me.example/suno")
        state = CoverState(grace=60)
        state.accepted(CoverTask(cover_task_id=ID, music_task_id="m"), 0.0)

        async def ask(_: str) -> CoverDetails:
            return SUCCESS if clock() > 28.5 else GENERATING

        out = Poller(ask, PollPolicy(), state, lambda: False, notifier)
        waits = asyncio.create_task(finished(out, 30.0))
        await asyncio.sleep(28.8)
        notifier.notify(Callback(music_task_id="m", cover_task_id=ID))
        return await waits

    assert run(scenario()) == SUCCESS


@pytest.mark.parametrize("timeout", [0.5, 1.5, 3.0])
def test_a_short_wait_for_an_old_cover_task_has_its_poll(timeout: float) -> None:
    async def scenario() -> CoverDetails:
        out = poller(Polls([GENERATING, SUCCESS]), first_poll=5.0)
        other = asyncio.create_task(finished(out, 900.0))
        await asyncio.sleep(8)
        details = await finished(out, 8 + timeout)
        await other
        return details

    assert run(scenario()) == SUCCESS


def test_the_last_poll_before_a_deadline_is_made_although_others_were_held_back() -> None:
    async def scenario() -> float:
        clock = asyncio.get_running_loop().time
        state = CoverState(grace=60)

        async def ask(cover_task_id: str) -> CoverDetails:
            await asyncio.sleep(29 if cover_task_id.startswith("slow") else 0)
            return CoverDetails(
                cover_task_id=cover_task_id, status=CoverStatus.SUCCESS, images=("u",)
            )

        out = Poller(ask, PollPolicy(), state, lambda: True, Notifier())

        async def one(cover_task_id: str, deadline: float) -> float:
            async with out.waiting(cover_task_id, deadline) as waiter:
                await waiter.finished()
            return clock()

        slow = [asyncio.create_task(one(f"slow {number}", 900)) for number in range(20)]
        await asyncio.sleep(0)
        state.accepted(CoverTask(cover_task_id="x", music_task_id="m"), clock())
        noticed = await one("x", 30.0)
        await asyncio.gather(*slow)
        return noticed

    assert run(scenario()) == 29


def test_polls_that_were_held_go_on_within_a_second_of_the_end_of_it() -> None:
    async def scenario() -> list[float]:
        clock = asyncio.get_running_loop().time
        busy, polls = True, list[float]()

        async def ask(cover_task_id: str) -> CoverDetails:
            if cover_task_id == "x":
                polls.append(clock())
            await asyncio.sleep(100)
            return GENERATING

        out = Poller(ask, PollPolicy(), CoverState(grace=60), lambda: busy, Notifier())

        async def one(cover_task_id: str) -> None:
            async with out.waiting(cover_task_id, 90) as waiter:
                await waiter.finished()

        waits = [asyncio.create_task(one(f"slow {number}")) for number in range(20)]
        await asyncio.sleep(0)
        waits.append(asyncio.create_task(one("x")))
        await asyncio.sleep(21)
        busy = False
        await asyncio.sleep(1)
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
        return polls

    assert len(run(scenario())) == 1


def test_deadlines_close_to_each_other_bring_no_polls_closer_than_a_second() -> None:
    async def watch(out: Poller) -> None:
        waits = (finished(out, 100 + number / 10) for number in range(100))
        await asyncio.gather(*waits, return_exceptions=True)

    _, polls, _ = waiting(GENERATING, then=watch)

    assert all(after - before >= 1 for before, after in itertools.pairwise(polls))


def test_whoever_left_costs_no_last_poll() -> None:
    async def watch(out: Poller) -> None:
        other = asyncio.create_task(finished(out, 900.0))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(97):
                await asyncio.gather(*(finished(out, 100.0) for _ in range(10)))
        with pytest.raises(CoverTimeoutError):
            await other

    _, polls, _ = waiting(GENERATING, then=watch)

    assert 98.0 not in polls


def test_notifications_near_the_deadline_of_one_cost_another_nothing() -> None:
    async def scenario() -> float:
        clock = asyncio.get_running_loop().time
        notifier, state = Notifier("https://me.example/suno"), CoverState(grace=60)

        async def ask(cover_task_id: str) -> CoverDetails:
            there = cover_task_id == "b" and clock() > 100
            return attrs.evolve(SUCCESS if there else GENERATING, cover_task_id=cover_task_id)

        out = Poller(ask, PollPolicy(), state, lambda: False, notifier)

        async def one(name: str, deadline: float) -> None:
            async with out.waiting(name, deadline) as waiter:
                await waiter.finished()

        for name in "abc":
            state.accepted(CoverTask(cover_task_id=name, music_task_id=f"m{name}"), 0.0)
        first, second = asyncio.create_task(one("a", 30.0)), asyncio.create_task(one("b", 900.0))
        for seconds in (24, 1):
            await asyncio.sleep(seconds)
            notifier.notify(Callback(music_task_id="ma", cover_task_id="a"))
        await asyncio.sleep(20)
        third = asyncio.create_task(one("c", 900.0))
        await asyncio.sleep(1)
        third.cancel()
        await second
        with pytest.raises(CoverTimeoutError):
            await first
        return clock()

    assert run(scenario()) <= 180 + 12


class Bustle:
    """Covers end, callbacks come, waiters come, dawdle and leave, at random."""

    def __init__(self, seed: int) -> None:
        random.seed(seed)  # the jitter of pauses
        self._dice = dice = random.Random(seed)
        self._clock = asyncio.get_running_loop().time
        self._took = dice.choice([0, 0.01, 0.5])
        self._busy = False
        self._ends = {f"c{number}": dice.uniform(1, 120) for number in range(dice.choice([1, 30]))}
        self._waits: list[asyncio.Task[None]] = []
        self._notifier = Notifier(dice.choice(["https://me.example/suno", None]))
        state = CoverState(grace=60)
        for name in self._ends:
            if dice.random() < 0.6:
                task = CoverTask(cover_task_id=name, music_task_id=f"m{name}")
                state.accepted(task, self._clock())
        self._out = Poller(self._ask, PollPolicy(), state, lambda: self._busy, self._notifier)
        self.late: list[str] = []

    async def _ask(self, name: str) -> CoverDetails:
        details = SUCCESS if self._clock() >= self._ends[name] else GENERATING
        await asyncio.sleep(self._dice.uniform(0, self._took))
        return attrs.evolve(details, cover_task_id=name)

    async def _wait(self, name: str, patience: float, leaves: float | None) -> None:
        deadline, spare = self._clock() + patience, min(2, patience / 5)
        seen_in_time = deadline - 1.5 * spare - self._took
        try:
            async with asyncio.timeout(leaves), self._out.waiting(name, deadline) as waiter:
                await waiter.finished()
        except CoverTimeoutError:
            could_be_seen = self._ends[name] <= seen_in_time and self._took < spare
            if could_be_seen or self._clock() > deadline + 0.01:
                self.late.append(f"{name}, until {deadline}")
        except TimeoutError:
            pass

    def step(self) -> None:
        dice = self._dice
        name, what = dice.choice(list(self._ends)), dice.random()
        if what < 0.5:
            patience, leaves = dice.choice([0.5, 3, 30, 300]), dice.choice([None, None, 0, 1, 30])
            self._waits.append(asyncio.create_task(self._wait(name, patience, leaves)))
        elif what < 0.7:
            self._notifier.notify(Callback(music_task_id=f"m{name}", cover_task_id=name))
        elif what < 0.75 and self._waits:
            dice.choice(self._waits).cancel()
        elif what < 0.8:
            self._busy = not self._busy

    async def all(self) -> None:
        for _ in range(self._dice.choice([10, 100])):
            self.step()
            await asyncio.sleep(self._dice.choice([0, 0, 0, 0.0005, 0.1, 1, 10]))
        ended = await asyncio.gather(*self._waits, return_exceptions=True)
        await asyncio.sleep(0)

        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ended)
        scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert not [timer for timer in scheduled if not timer.cancelled()]
        assert len(asyncio.all_tasks()) == 1
        assert not self._out._pollings
        assert not self._out._polls_under_way
        assert not self._notifier._subscriptions


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_nobody_waits_in_vain_and_nothing_is_left_behind(seed: int) -> None:
    async def scenario() -> list[str]:
        bustle = Bustle(seed)
        await bustle.all()
        return bustle.late

    assert run(scenario()) == []


def test_trouble_that_passed_is_not_told_at_the_deadline() -> None:
    outcome, _, _ = waiting(TransportError("no answer from there"), GENERATING)

    assert isinstance(outcome, CoverTimeoutError)
    assert "no answer" not in str(outcome)


def test_only_polls_in_a_row_without_images_count() -> None:
    outcome, _, _ = waiting(IMAGELESS, IMAGELESS, GENERATING, IMAGELESS, IMAGELESS, SUCCESS)

    assert outcome == SUCCESS


def test_a_foreign_error_ends_the_wait() -> None:
    async def poll() -> CoverDetails:
        raise ZeroDivisionError

    async def scenario() -> float:
        with pytest.raises(ZeroDivisionError):
            await finished(poller(poll))
        return asyncio.get_running_loop().time()

    assert run(scenario()) == 0


def test_whoever_leaves_a_dead_stream_disturbs_no_new_one() -> None:
    async def watch(out: Poller) -> int:
        async with out.waiting(ID, 900):
            with pytest.raises(InvalidRequestError):
                await finished(out)
            new = asyncio.create_task(finished(out))
            await asyncio.sleep(0)
        await asyncio.gather(new, finished(out))
        return len(out._pollings)

    streams, polls, _ = waiting(InvalidRequestError("odd"), GENERATING, SUCCESS, then=watch)

    assert streams == 0
    assert len(polls) == 3


def test_closing_ends_all_waits_and_leaves_no_timer() -> None:
    async def scenario() -> tuple[list[object], int]:
        out = poller(Polls([GENERATING]))

        async def one(number: int) -> None:
            async with out.waiting(f"{number:04}", 900) as waiter:
                await waiter.finished()

        waits = [asyncio.create_task(one(number)) for number in range(100)]
        await asyncio.sleep(1)
        await out.stop()
        ended = await asyncio.gather(*waits, return_exceptions=True)
        scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        return list(ended), sum(not timer.cancelled() for timer in scheduled)

    ended, timers = run(scenario())

    assert all(isinstance(end, ClientUsageError) for end in ended)
    assert timers == 0

"""The shared limiter, several of them on one file, in virtual time."""

import asyncio
import bisect
import contextlib
import logging
import random
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from suno_cover_async import ClientUsageError, RateLimiter, SharedRateLimiter, SunoCoverClient
from tests.support.limiting import fullest_window
from tests.support.virtual_time import VirtualTimeLoop, run

T = TypeVar("T")

WINDOW = 10.05


def limiter(path: Path, *, calls: int = 20, account: str = "ours") -> SharedRateLimiter:
    """Return a limiter whose clock is that of the running loop."""
    made = SharedRateLimiter(path, calls=calls, clock=asyncio.get_running_loop().time)
    made.bind(account)
    return made


class Server:
    """Notes when requests arrive, through a network with delays both ways."""

    def __init__(self, most_delay: float = 0.2) -> None:
        self.arrived: list[float] = []
        self._delays = random.Random(1)
        self._most = most_delay

    async def request(self, shared: SharedRateLimiter, *, urgent: bool = False) -> None:
        permit = await shared.acquire(urgent=urgent)
        answered = False
        try:
            await asyncio.sleep(self._delays.uniform(0, self._most))
            bisect.insort(self.arrived, asyncio.get_running_loop().time())
            await asyncio.sleep(self._delays.uniform(0, self._most))
            answered = True
        finally:
            shared.release(permit, answered=answered)

    @property
    def fullest_window(self) -> int:
        return fullest_window(self.arrived, 10)

    def share_of_rate(self) -> float:
        """Return how much of 20 calls in 10 s was used, after the first 20, which may burst."""
        return (len(self.arrived) / 20 - 1) * 10 / (self.arrived[-1] - self.arrived[0])


async def _until_taken(shared: SharedRateLimiter) -> None:
    """Return in the moment in which a permit was given to a caller that did not resume yet."""
    while not shared._held:  # noqa: ASYNC110 - a sleep of 0 is one step of the loop
        await asyncio.sleep(0)


@pytest.mark.parametrize("loads", [(100, 100, 100, 100), (400, 0, 0, 0), (250, 50, 50, 50)])
def test_four_together_use_95_percent_of_the_rate_and_never_exceed_it(
    tmp_path: Path, loads: tuple[int, ...]
) -> None:
    async def work() -> Server:
        server = Server()
        four = [limiter(tmp_path / "limit.db") for _ in loads]
        requests = [
            server.request(shared)
            for shared, load in zip(four, loads, strict=True)
            for _ in range(load)
        ]
        await asyncio.gather(*requests)
        return server

    server = run(work())

    assert len(server.arrived) == 400
    assert server.fullest_window <= 20
    assert server.share_of_rate() >= 0.95


def test_four_after_each_other_are_one_to_the_server(tmp_path: Path) -> None:
    async def work() -> Server:
        server = Server()
        for _ in range(4):
            shared = limiter(tmp_path / "limit.db")
            await asyncio.gather(*(server.request(shared) for _ in range(50)))
        return server

    server = run(work())

    assert server.fullest_window <= 20
    assert server.share_of_rate() >= 0.95


def test_one_that_dies_in_the_middle_costs_no_refusal_and_its_permits_come_back(
    tmp_path: Path,
) -> None:
    async def work() -> Server:
        server = Server(most_delay=0.0)
        dying, living = limiter(tmp_path / "limit.db"), limiter(tmp_path / "limit.db")
        for _ in range(20):  # it sends, and is killed before it is answered
            await dying.acquire()
            server.arrived.append(asyncio.get_running_loop().time())
        assert dying._renewal is not None
        dying._renewal.cancel()
        await asyncio.gather(*(server.request(living) for _ in range(40)))
        return server

    server = run(work())

    assert server.fullest_window <= 20
    assert server.arrived[20] - server.arrived[19] == pytest.approx(2.1 * WINDOW)


def test_three_use_95_percent_of_the_rate_though_a_fourth_is_killed_in_the_middle(
    tmp_path: Path,
) -> None:
    async def dies(server: Server, shared: SharedRateLimiter) -> None:
        await asyncio.gather(*(server.request(shared) for _ in range(100)))
        for _ in range(5):  # it sends, and is killed before it is answered
            await shared.acquire()
            server.arrived.append(asyncio.get_running_loop().time())
        assert shared._renewal is not None
        shared._renewal.cancel()

    async def work() -> Server:
        server = Server(most_delay=0.0)
        first, *others = [limiter(tmp_path / "limit.db") for _ in range(4)]
        requests = [server.request(shared) for shared in others for _ in range(100)]
        await asyncio.gather(dies(server, first), *requests)
        return server

    server = run(work())

    assert len(server.arrived) == 405
    assert server.fullest_window <= 20
    assert server.share_of_rate() >= 0.95


def test_a_request_that_takes_a_minute_keeps_its_permit(tmp_path: Path) -> None:
    async def work() -> float:
        slow, other = limiter(tmp_path / "limit.db", calls=1), limiter(tmp_path / "limit.db")
        permit = await slow.acquire()
        waiting = asyncio.create_task(limiter(tmp_path / "limit.db", calls=1).acquire())
        await asyncio.sleep(60)
        assert not waiting.done()
        slow.release(permit, answered=True)
        await waiting
        assert await other.acquire()
        return asyncio.get_running_loop().time()

    assert run(work()) == pytest.approx(60 + WINDOW, abs=0.1)


@pytest.mark.parametrize(("answered", "windows"), [(True, 1), (False, 2)])
def test_a_permit_is_free_one_window_after_an_answer_and_two_without(
    tmp_path: Path, answered: bool, windows: int
) -> None:
    async def work() -> float:
        first, second = (limiter(tmp_path / "limit.db", calls=1) for _ in range(2))
        first.release(await first.acquire(), answered=answered)
        assert not first._held
        await second.acquire()
        return asyncio.get_running_loop().time()

    assert run(work()) == pytest.approx(windows * WINDOW, abs=0.01)


def test_a_permit_that_was_not_used_is_free_at_once(tmp_path: Path) -> None:
    async def work() -> float:
        first, second = (limiter(tmp_path / "limit.db", calls=1) for _ in range(2))
        first.return_unused(await first.acquire())
        await asyncio.sleep(0.1)  # it is being written, and who takes one meanwhile sees it held
        await second.acquire()
        return asyncio.get_running_loop().time()

    assert run(work()) == pytest.approx(0.1)


def test_urgent_callers_go_first_and_leave_every_fourth_permit_to_others(tmp_path: Path) -> None:
    async def work() -> str:
        shared = limiter(tmp_path / "limit.db")
        served: list[str] = []

        async def call(name: str, *, urgent: bool) -> None:
            shared.release(await shared.acquire(urgent=urgent), answered=True)
            served.append(name)

        calls = [call("s", urgent=False) for _ in range(2)]
        calls += [call("p", urgent=True) for _ in range(6)]
        await asyncio.gather(*calls)
        return "".join(served)

    assert run(work()) == "pppspppss"[:8]


def test_a_pause_binds_all_processes(tmp_path: Path) -> None:
    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        refused, other = limiter(tmp_path / "limit.db"), limiter(tmp_path / "limit.db")
        refused.pause(loop.time() + 30)
        await asyncio.sleep(1)
        times: list[float] = []
        for shared in (other, refused):
            await shared.acquire()
            times.append(loop.time())
        return times

    assert run(work()) == pytest.approx([30, 30], abs=0.01)


def test_a_permit_that_comes_during_a_pause_is_not_used(tmp_path: Path) -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        shared = limiter(tmp_path / "limit.db", calls=1)
        caller = asyncio.create_task(shared.acquire())
        await asyncio.sleep(0)
        shared.pause(loop.time() + 30)
        await caller
        return loop.time()

    assert run(work()) == pytest.approx(30, abs=0.01)


def test_it_is_busy_only_while_no_permit_is_free(tmp_path: Path) -> None:
    async def work() -> None:
        shared = limiter(tmp_path / "limit.db", calls=1)
        first = asyncio.create_task(shared.acquire())
        await asyncio.sleep(0)
        assert not shared.busy
        await first
        second = asyncio.create_task(shared.acquire())
        await asyncio.sleep(1)
        assert shared.busy
        shared.release(await first, answered=True)
        shared.release(await second, answered=True)
        assert not shared.busy
        await asyncio.sleep(60)
        third = asyncio.create_task(shared.acquire())
        await asyncio.sleep(0)
        assert not shared.busy
        await third

    run(work())


def test_a_permit_that_came_for_a_caller_who_left_is_given_to_the_next(tmp_path: Path) -> None:
    async def work() -> float:
        shared = limiter(tmp_path / "limit.db", calls=1)
        leaving, staying = (asyncio.create_task(shared.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        assert leaving.cancelled()
        return asyncio.get_running_loop().time()

    assert run(work()) == 0


def test_a_permit_is_lost_neither_when_its_caller_leaves_as_it_comes(tmp_path: Path) -> None:
    async def work() -> float:
        shared = limiter(tmp_path / "limit.db", calls=1)
        leaving = asyncio.create_task(shared.acquire())
        await _until_taken(shared)
        leaving.cancel()
        await shared.acquire()
        assert leaving.cancelled()
        return asyncio.get_running_loop().time()

    assert run(work()) == 0


def test_a_permit_that_grew_old_in_a_loop_that_stood_still_is_not_used(tmp_path: Path) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        shared = limiter(tmp_path / "limit.db", calls=1)
        caller = asyncio.create_task(shared.acquire())
        await _until_taken(shared)
        loop._jumping.now += 6.0  # type: ignore[attr-defined]
        permit = await caller
        assert loop.time() - permit.acquired_at < 1

    run(work())


def test_it_serves_one_event_loop_after_the_other_but_not_two_at_once(tmp_path: Path) -> None:
    shared = SharedRateLimiter(tmp_path / "limit.db", calls=1)
    shared.bind("ours")

    async def in_another_loop() -> None:
        with pytest.raises(ClientUsageError, match="one running event loop at a time"):
            await shared.acquire()

    async def work(then: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        shared.return_unused(await shared.acquire())
        if then is not None:
            await asyncio.to_thread(asyncio.run, then())

    asyncio.run(work(in_another_loop))
    asyncio.run(work(None))


def test_a_loop_that_stops_while_a_permit_is_taken_jams_nothing(tmp_path: Path) -> None:
    shared = SharedRateLimiter(tmp_path / "limit.db")
    shared.bind("ours")

    async def begin() -> asyncio.Task[object]:
        caller = asyncio.create_task(shared.acquire())
        await asyncio.sleep(0)
        return caller

    with asyncio.Runner() as stopped:
        caller = stopped.run(begin())
        with asyncio.Runner() as other:
            assert other.run(shared.acquire())
        assert stopped.run(asyncio.wait_for(caller, 60))


class Late(ThreadPoolExecutor):
    """Begins everything 5 s late by this clock, for other work is in its queue."""

    def __init__(self, now: list[float]) -> None:
        super().__init__(1)
        self._now = now

    def submit(self, fn: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
        def late() -> T:
            self._now[0] += 5.0
            assert self._now[0] < 50, "no permit is ever used"
            return fn(*args, **options)

        return super().submit(late)


def test_an_executor_with_a_backlog_of_other_work_delays_permits_and_withholds_none(
    tmp_path: Path,
) -> None:
    now = [0.0]

    async def work() -> float:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(Late(now))
        loop.time = lambda: now[0]  # type: ignore[method-assign]
        shared = SharedRateLimiter(tmp_path / "limit.db", clock=loop.time)
        return (await shared.acquire()).acquired_at

    assert asyncio.run(work()) == 5.0


def test_a_permit_whose_return_is_written_late_is_free_a_window_after_the_answer(
    tmp_path: Path,
) -> None:
    now = [0.0]

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(Late(now))
        shared = SharedRateLimiter(tmp_path / "limit.db", calls=1, clock=lambda: now[0])
        shared.release(await shared.acquire(), answered=True)

    asyncio.run(work())  # it waits for the executor

    assert now == [10.0]
    with contextlib.closing(sqlite3.connect(tmp_path / "limit.db")) as file:
        assert file.execute("SELECT token, free_at FROM permit").fetchall() == [
            (None, pytest.approx(5.0 + WINDOW))
        ]


async def test_while_another_process_holds_the_file_the_executor_serves_others(
    tmp_path: Path,
) -> None:
    executor = ThreadPoolExecutor(2)
    asyncio.get_running_loop().set_default_executor(executor)
    shared = SharedRateLimiter(tmp_path / "limit.db")
    permits = [await shared.acquire() for _ in range(8)]
    with contextlib.closing(sqlite3.connect(tmp_path / "limit.db", isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        for permit in permits:
            shared.release(permit, answered=True)
        await asyncio.to_thread(int)  # it waits for no step that waits for the file
        assert shared._is_writing


def test_a_file_that_cannot_be_used_any_more_stops_requests_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "limit.db"

    async def work() -> float:
        shared = limiter(path)
        good = path.read_bytes()
        path.write_bytes(b"no database" * 100)
        caller = asyncio.create_task(shared.acquire())
        await asyncio.sleep(30)
        assert not caller.done()
        path.write_bytes(good)
        await caller
        return asyncio.get_running_loop().time()

    with caplog.at_level(logging.WARNING):
        assert run(work()) == pytest.approx(30, abs=1.1)
    away, back = [record.getMessage() for record in caplog.records]
    assert str(path) in away
    assert away.endswith("trying again for 60 s")
    assert back == "the limit is shared again"


def test_a_limiter_is_shown_by_its_path_and_its_limit(tmp_path: Path) -> None:
    path = str(tmp_path / "limit.db")
    shown = f"SharedRateLimiter({path!r}, calls=20, seconds=10)"
    assert repr(SharedRateLimiter(path)) == shown


def test_after_a_minute_without_the_file_callers_are_told(tmp_path: Path) -> None:
    path = tmp_path / "limit.db"

    async def work() -> None:
        shared = limiter(path)
        path.write_bytes(b"no database" * 100)
        callers = [shared.acquire() for _ in range(3)]
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert asyncio.get_running_loop().time() >= 59
        for one in outcomes:
            assert isinstance(one, ClientUsageError)
            assert "delete the file if a power cut damaged it; it was tried for 60 s" in str(one)

    run(work())


def test_another_patience_tells_callers_as_late_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "limit.db"

    async def work() -> float:
        loop = asyncio.get_running_loop()
        shared = SharedRateLimiter(path, patience=120, clock=loop.time)
        path.write_bytes(b"no database" * 100)
        with pytest.raises(ClientUsageError, match="; it was tried for 120 s"):
            await shared.acquire()
        return loop.time()

    assert run(work()) == pytest.approx(120, abs=2)
    with pytest.raises(ValueError, match="patience must be"):
        SharedRateLimiter(tmp_path / "other.db", patience=0)


def test_it_is_a_minute_too_if_each_attempt_waits_for_a_process_that_holds_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "limit.db"

    async def work() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        clock = loop._jumping

        class Slow(ThreadPoolExecutor):
            """Takes 5 s for everything, as SQLite does for a file that is locked."""

            def submit(self, fn: Callable[..., T], /, *args: Any, **options: Any) -> Future[T]:
                def slow() -> T:
                    clock.now += 5.0
                    return fn(*args, **options)

                return super().submit(slow)

        loop.set_default_executor(Slow(1))
        shared = limiter(path)
        path.write_bytes(b"no database" * 100)
        with pytest.raises(ClientUsageError):
            await shared.acquire()
        return loop.time()

    assert run(work()) == pytest.approx(65, abs=5)


def test_a_path_that_cannot_be_used_is_refused_when_the_limiter_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for path in (tmp_path, tmp_path / "file" / "limit.db"):
        with pytest.raises(ClientUsageError, match="choose a path on a local disk"):
            SharedRateLimiter(path)


@pytest.mark.parametrize(("calls", "seconds"), [(0, 10.0), (20, 0.0), (20, float("nan"))])
def test_a_wrong_limit_is_refused(tmp_path: Path, calls: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        SharedRateLimiter(tmp_path / "limit.db", calls=calls, seconds=seconds)

    assert not list(tmp_path.iterdir())


def test_a_client_binds_it_to_its_account_and_no_other_account_can_use_it(tmp_path: Path) -> None:
    shared = SharedRateLimiter(tmp_path / "limit.db")
    SunoCoverClient("key-one-123", rate_limit=shared)
    SunoCoverClient("key-one-123", rate_limit=shared)

    with pytest.raises(ValueError, match="one account"):
        SunoCoverClient("key-two-456", rate_limit=shared)
    SunoCoverClient("key-two-456", rate_limit=RateLimiter(shared.rate_limit))


def test_the_file_holds_a_fingerprint_and_never_the_key(tmp_path: Path) -> None:
    key = "secret-key-123456789"

    async def work() -> None:
        shared = SharedRateLimiter(tmp_path / "limit.db")
        client = SunoCoverClient(key, rate_limit=shared)
        shared.return_unused(await shared.acquire())
        await client.aclose()
        assert client.account.encode() in (tmp_path / "limit.db").read_bytes()

    run(work())

    assert key.encode() not in (tmp_path / "limit.db").read_bytes()

"""The user's `on_callback` function: called, bounded, and harmless when it fails."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from suno_cover_async.callbacks.handler import CallbackHandler
from suno_cover_async.models import Callback
from tests.support import virtual_time
from tests.support.callback_requests import (
    ACCEPTED,
    COVER,
    MUSIC,
    Request,
    make,
    receive,
)
from tests.support.waiting import until

CALLBACK = Callback(music_task_id=MUSIC, cover_task_id=COVER)


async def test_the_hook_gets_the_two_ids_each_time() -> None:
    called: list[Callback] = []

    answers = await receive(make(on_callback=called.append), 3)

    await until(lambda: len(called) == 3)
    assert answers == [ACCEPTED] * 3
    assert called == [Callback(music_task_id=MUSIC, cover_task_id=COVER)] * 3


def itself(later: Any) -> Any:
    return later


def a_function_around_it(later: Any) -> Any:
    def function(callback: Callback) -> Any:
        return later(callback)

    return function


however_made = pytest.mark.parametrize("wrap", [itself, a_function_around_it, partial])


class Later:
    """A callable whose call is a coroutine."""

    def __init__(self, called: list[str]) -> None:
        self.called = called

    async def __call__(self, callback: Callback) -> None:
        self.called.append(f"{threading.current_thread().name} {callback.cover_task_id}")


@however_made
async def test_a_coroutine_runs_in_the_loop_however_it_is_made(
    wrap: Callable[[Later], Any],
) -> None:
    called: list[str] = []

    (answer,) = await receive(make(on_callback=wrap(Later(called))))

    await until(lambda: called)
    assert answer == ACCEPTED
    assert called == [f"{threading.current_thread().name} {COVER}"]


@pytest.mark.parametrize("wrap", [itself, partial])
def test_a_coroutine_begins_after_the_answer_left(wrap: Callable[[Any], Any]) -> None:
    called: list[float] = []

    async def hook(_: Callback) -> None:
        called.append(asyncio.get_running_loop().time())

    async def scenario() -> float:
        await receive(make(on_callback=wrap(hook)))
        answered = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        return answered

    answered = virtual_time.run(scenario())

    assert called == [pytest.approx(answered + 0.05)]


async def test_a_coroutine_of_a_plain_function_begins_later_than_the_function() -> None:
    called: list[float] = []

    async def later() -> None:
        called.append(time.monotonic())

    def hook(_: Callback) -> Any:
        called.append(time.monotonic())
        return later()

    await receive(make(on_callback=hook))

    await until(lambda: len(called) == 2)
    assert called[1] - called[0] > 0.04  # which is so on any machine, however busy


def test_a_hook_whose_event_loop_was_stopped_and_closed_gives_its_place_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    places: list[asyncio.Future[None]] = []

    def hook(_: Callback) -> "asyncio.Future[None]":
        places.append(loop.create_future())
        return places[0]

    loop, others = asyncio.new_event_loop(), {*threading.enumerate()}
    loop.run_until_complete(receive(make(on_callback=hook)))
    (thread,) = {*threading.enumerate()} - others
    while not loop._ready:  # type: ignore[attr-defined]  # it is given work when it runs no more
        thread.join(0.01)
    loop.close()

    thread.join(10)

    assert not thread.is_alive()
    assert "event loop was closed" in caplog.text


@pytest.mark.parametrize("error", [ValueError("Oh dear"), SystemExit(3)])
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_hook_that_raises_harms_nobody_and_is_logged(
    error: BaseException, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(_: Callback) -> None:
        raise error

    async def later(callback: Callback) -> None:
        hook(callback)

    (answer,) = await receive(make(on_callback=later if is_async else hook))

    await until(lambda: caplog.records)
    (record,) = caplog.records
    assert answer == ACCEPTED
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert record.exc_info[1] is error
    assert MUSIC in record.getMessage()


def test_a_coroutine_whose_loop_ends_with_the_request_is_missed_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As under WSGI: `asyncio.run` for each request."""
    called: list[Callback] = []

    async def hook(callback: Callback) -> None:
        called.append(callback)

    receiver = make(on_callback=hook)
    asyncio.run(receiver.receive(*Request().parts()))

    assert called == []
    [warning] = caplog.records
    assert "give a plain function there" in warning.getMessage()


@pytest.mark.parametrize("is_async", [True, False])
async def test_hooks_that_hang_are_bounded_and_delay_no_answer(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[Callback] = []
    released = asyncio.Event()
    released_threads = threading.Event()

    def hang(callback: Callback) -> None:
        called.append(callback)
        released_threads.wait(20)

    async def hang_in_the_loop(callback: Callback) -> None:
        called.append(callback)
        await released.wait()

    receiver = make(on_callback=hang_in_the_loop if is_async else hang)
    answers = await receive(receiver, 130)
    await until(lambda: len(called) == 100)
    released.set()
    released_threads.set()

    assert answers == [ACCEPTED] * 130
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 30
    async with asyncio.timeout(100):
        while len(called) == 100:  # those that were released make space
            await receive(receiver)
            await asyncio.sleep(0)
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_a_hook_that_no_thread_can_be_had_for_harms_nobody() -> None:
    called: list[Callback] = []
    receiver = make(on_callback=called.append)
    old = threading.stack_size()
    threading.stack_size(2**46)  # more than there is: no thread can start
    try:
        answers = await receive(receiver, 101)
    finally:
        threading.stack_size(old)
    assert answers == [ACCEPTED] * 101
    assert not called

    await receive(receiver)
    await until(lambda: called)


@pytest.mark.parametrize("wrong", [5, None, "print"])
def test_what_cannot_be_called_is_refused_and_named(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"on_callback must be callable, not {wrong!r}"):
        CallbackHandler(wrong)


async def test_a_plain_function_runs_in_a_thread_that_holds_up_no_exit() -> None:
    threads: list[threading.Thread] = []

    CallbackHandler(lambda _: threads.append(threading.current_thread())).call(CALLBACK)

    await until(lambda: threads)
    assert threads[0] is not threading.main_thread()
    assert threads[0].daemon


def test_a_coroutine_starts_after_5_hundredths_of_a_second() -> None:
    async def started() -> float:
        came = asyncio.Event()

        async def hook(_: Callback) -> None:
            came.set()

        CallbackHandler(hook).call(CALLBACK)
        await came.wait()
        return asyncio.get_running_loop().time()

    assert virtual_time.run(started()) == pytest.approx(0.05)


def test_a_call_that_ended_makes_space_whatever_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def calls() -> int:
        called: list[Callback] = []

        async def hook(callback: Callback) -> None:
            called.append(callback)
            raise ValueError("Oh dear")

        handler = CallbackHandler(hook)
        for _ in range(3):
            for _ in range(100):
                handler.call(CALLBACK)
            await asyncio.sleep(1)
        return len(called)

    assert virtual_time.run(calls()) == 300
    assert {record.levelno for record in caplog.records} == {logging.ERROR}

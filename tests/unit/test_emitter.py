"""The emitter: what becomes of the errors of a hook, and which operation runs."""

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

from suno_cover_async import (
    CreditsRead,
    Event,
    Operation,
    OperationEnded,
    OperationStarted,
    RequestSent,
    SunoCoverClient,
    SunoCoverError,
)
from suno_cover_async.emitter import Emitter, Hook, operation
from tests.support.observed import Seen

EVENT = CreditsRead(credits=1.0)


def emitter_of(hook: Hook) -> Emitter:
    return Emitter(hook, lambda text: text.replace("secret", "[key]"))


async def coroutine_function(_: Event) -> None: ...


async def async_generator(_: Event) -> AsyncIterator[None]:
    yield


def generator(_: Event) -> Iterator[None]:
    yield


class Later:
    def call(self, event: Event) -> object:
        return coroutine_function(event)


class Asynchronous:
    async def __call__(self, _: Event) -> None: ...


@pytest.mark.parametrize(
    "hook",
    [
        coroutine_function,
        async_generator,
        generator,
        partial(coroutine_function, EVENT),
        Asynchronous(),
        "print",
        1,
    ],
    ids=lambda hook: getattr(hook, "__name__", type(hook).__name__),
)
def test_a_hook_that_would_do_nothing_when_called_is_refused_at_once(hook: Any) -> None:
    with pytest.raises(TypeError, match="on_event must be a"):
        SunoCoverClient("key-of-a-test", on_event=hook)


def test_a_coroutine_that_a_hook_returns_is_an_error_in_the_log_and_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    emitter_of(Later().call).emit(EVENT)

    assert "on_event failed for a CreditsRead" in caplog.text
    assert "returned a coroutine" in caplog.text


def test_of_each_kind_of_error_the_first_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    errors: list[type[Exception]] = [KeyError, KeyError, ValueError, KeyError]

    def hook(_: Event) -> None:
        raise errors.pop(0)

    emitter = emitter_of(hook)
    for _ in range(4):
        emitter.emit(EVENT)

    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.ERROR, logging.DEBUG, logging.ERROR, logging.DEBUG]
    assert [bool(record.exc_info) for record in caplog.records] == [True, False, True, False]


def test_a_hook_with_ever_new_kinds_of_errors_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def hook(_: Event) -> None:
        raise type("OtherError", (Exception,), {})

    emitter = emitter_of(hook)
    for _ in range(100):
        emitter.emit(EVENT)

    assert len(caplog.records) == 10


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes(error: type[BaseException]) -> None:
    def hook(_: Event) -> None:
        raise error

    with pytest.raises(error):
        emitter_of(hook).emit(EVENT)


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, MemoryError])
def test_any_other_exception_of_a_hook_is_kept_from_the_client(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def hook(_: Event) -> None:
        raise error

    emitter_of(hook).emit(EVENT)

    assert error.__name__ in caplog.text


async def test_operations_nest_and_name_their_error() -> None:
    seen = Seen()
    emitter = emitter_of(seen)

    def work() -> None:
        with operation(emitter, Operation.GENERATE, music_task_id="m"):
            with operation(emitter, Operation.SUBMIT):
                assert emitter.operation_id == seen.started(Operation.SUBMIT)[0].operation_id
            raise LookupError

    with pytest.raises(LookupError):
        work()

    outer, inner, inner_end, outer_end = seen.events
    assert isinstance(outer, OperationStarted)
    assert isinstance(inner, OperationStarted)
    assert isinstance(inner_end, OperationEnded)
    assert isinstance(outer_end, OperationEnded)
    assert inner.parent_id == outer.operation_id
    assert (inner_end.error, outer_end.error) == (None, "LookupError")
    assert (outer_end.music_task_id, outer_end.parent_id) == ("m", None)
    assert emitter.operation_id is None


async def test_without_an_emitter_an_operation_is_nothing() -> None:
    with operation(None, Operation.WAIT) as running:
        assert running is None


async def test_an_operation_may_end_in_another_context() -> None:
    seen = Seen()
    running = operation(emitter_of(seen), Operation.WAIT)
    contextvars.copy_context().run(running.__enter__)

    running.__exit__(None, None, None)

    assert len(seen.ended(Operation.WAIT)) == 1


async def test_a_task_may_be_part_of_another_operation() -> None:
    emitter = emitter_of(Seen())
    context = emitter.context("other")

    assert context.run(lambda: emitter.operation_id) == "other"
    assert emitter.operation_id is None


async def test_a_key_given_as_an_id_is_in_no_event() -> None:
    seen = Seen()
    emitter = emitter_of(seen)
    sent = emitter.request_sent(
        method="GET", origin="https://x", path="/y", attempt=1, cover_task_id="a-secret"
    )
    emitter.request_ended(sent, duration=1.0)
    with operation(emitter, Operation.WAIT, cover_task_id="a-secret"):
        pass

    assert isinstance(seen.events[0], RequestSent)
    assert seen.events[0].cover_task_id == "a-[key]"
    assert "secret" not in repr(seen.events)


async def test_a_reason_is_one_short_line() -> None:
    assert (
        emitter_of(Seen()).hidden("a\nb\x1b[31m secret" + "x" * 1_000).startswith("a?b?[31m [key]x")
    )
    assert len(emitter_of(Seen()).hidden("x" * 1_000)) == 300


async def test_a_key_that_a_limit_of_length_would_cut_is_shown_in_no_part() -> None:
    shown = emitter_of(Seen()).hidden("x" * 296 + "secret")

    assert shown == "x" * 296 + "[key"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("image https://i.example/a/1.png is gone", "image https://i.example is gone"),
        (
            "image https://i.example/a/1.png: no, it is not",
            "image https://i.example: no, it is not",
        ),
        ("image https://i.example/a/1.png", "image https://i.example"),
        ("no (https://u:p@i.example:8/a;b?c#d).", "no (https://i.example:8)."),
        ("http://[::1]:80/a and HTTPS://B/c,", "http://[::1]:80 and HTTPS://B,"),
        ("https://api.example is no api", "https://api.example is no api"),
        ("cannot GET /api/v1/credit", "cannot GET /v1/credit"),
        ('"api.example/api"', '"api.example"'),
        ("no /apis, no secret", "no /apis, no [key]"),
        ("\n" + "x" * 1_000, "?" + "x" * 299),
    ],
)
async def test_a_reason_has_no_path_of_a_url_and_none_of_the_base_url(
    message: str, reason: str
) -> None:
    emitter = Emitter(Seen(), lambda text: text.replace("secret", "[key]"), "/api")

    assert emitter.reason(SunoCoverError(message)) == reason


async def test_a_base_url_without_a_path_leaves_paths_in_reasons() -> None:
    assert emitter_of(Seen()).reason(SunoCoverError("no /api")) == "no /api"

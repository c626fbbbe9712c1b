"""The emitter: makes events, calls the user's hook with each, and knows the running operation.

It owns what an error of the hook means: nothing but a line in the log. The layers above hold an
emitter, or None without a hook, and then make no event.
"""

import asyncio
import inspect
import logging
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context, ContextVar, Token, copy_context
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from suno_cover_async.common.text import printable
from suno_cover_async.errors import SunoCoverError
from suno_cover_async.events import (
    CoverSubmitted,
    Event,
    ImagesSaved,
    Operation,
    OperationEnded,
    OperationStarted,
    RequestEnded,
    RequestRetried,
    RequestSent,
)
from suno_cover_async.log_fields import fields
from suno_cover_async.models import CoverDetails, CoverTask

Hook = Callable[[Event], object]

_log = logging.getLogger("suno_cover_async")

_MOST_REPORTED = 10  # kinds of errors of the hook that are logged with a traceback
_NO_OPERATION = nullcontext()
_URL = r"(?P<scheme>https?://)(?:[^\s/?#@]*@)?(?P<place>[^\s/?#]*)\S*?(?P<end>[.,:;)\"']*(?:\s|$))"
_COROUTINE = "on_event must be a plain function; it was called and returned a coroutine"

# The operation that the running code is part of. Tasks that are begun inside it inherit it.
_running: ContextVar[str | None] = ContextVar("_running", default=None)


class Emitter:
    """Makes the events of one client, and calls its hook."""

    def __init__(self, hook: Hook, hide: Callable[[str], str], base_path: str = "") -> None:
        """Check the hook.

        Args:
            hook: The user's function.
            hide: Removes the key from a text.
            base_path: The path of the base URL, which may be a secret; empty if it has none.

        Raises:
            TypeError: The hook cannot be called, or does nothing when it is called, as a coroutine
                function.
        """
        _check_hook(hook)
        self._hook = hook
        self._hide = hide
        # Not within `https://`: a base path /api is no part of https://api.example.
        own = rf"|(?<!/){re.escape(base_path)}(?![\w-])" if base_path else ""
        self._paths = re.compile(_URL + own, re.IGNORECASE)
        self._reported = set[type]()

    @property
    def operation_id(self) -> str | None:
        """The operation that the running code is part of; None if it is part of none."""
        return _running.get()

    def emit(self, event: Event) -> None:
        """Call the hook; log its errors, and let only KeyboardInterrupt and SystemExit pass."""
        # A CancelledError is suppressed too. A cancellation of the running task arrives where that
        # task waits; the hook is a plain function and never waits, so one that it raises is its
        # own, and would end a submit whose answer is being recorded.
        try:
            result = self._hook(event)
            if inspect.iscoroutine(result):
                self._report(event, TypeError(_COROUTINE))
                # One that has begun, as in an eager task, is left to what runs it: its close() may
                # raise any error.
                if inspect.getcoroutinestate(result) == inspect.CORO_CREATED:
                    result.close()  # otherwise Python warns that it was never awaited
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - no error of the hook may change anything
            self._report(event, error)

    def hidden(self, text: str) -> str:
        """Return a text, such as a message of the host, as one short line without the key."""
        return printable(self._hide(text))  # a key that is cut is not found

    def reason(self, error: SunoCoverError) -> str:
        """Return the message of an error, as `hidden` does, without the paths of URLs.

        Of every URL the origin is left: the path of an image's URL, and that of the base URL, may
        be secrets.
        """
        return printable(self._paths.sub(_origin, self._hide(error.message)))

    def context(self, operation_id: str | None) -> Context:
        """Return a copy of the running context for a task that is part of another operation."""
        context = copy_context()
        context.run(_running.set, operation_id)
        return context

    def request_sent(
        self,
        *,
        method: str,
        origin: str,
        path: str,
        attempt: int,
        waited: float = 0.0,
        music_task_id: str | None = None,
        cover_task_id: str | None = None,
    ) -> RequestSent:
        """Emit that a request is sent, and return the event for its end."""
        sent = RequestSent(
            request_id=_new_id(),
            operation_id=_running.get(),
            method=method,
            origin=origin,
            path=path,
            attempt=attempt,
            waited=waited,
            music_task_id=self.id(music_task_id),
            cover_task_id=self.id(cover_task_id),
        )
        self.emit(sent)
        return sent

    def request_ended(
        self,
        sent: RequestSent,
        *,
        duration: float,
        http_status: int | None = None,
        code: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Emit that a request ended."""
        ended = RequestEnded(
            request_id=sent.request_id,
            operation_id=sent.operation_id,
            method=sent.method,
            origin=sent.origin,
            path=sent.path,
            attempt=sent.attempt,
            music_task_id=sent.music_task_id,
            cover_task_id=sent.cover_task_id,
            duration=duration,
            http_status=http_status,
            code=code,
            error=name_of(error),
        )
        self.emit(ended)

    def retried(
        self,
        *,
        method: str,
        origin: str,
        path: str,
        attempt: int,
        delay: float,
        error: SunoCoverError,
    ) -> None:
        """Emit that a request failed and is sent again."""
        event = RequestRetried(
            operation_id=_running.get(),
            method=method,
            origin=origin,
            path=path,
            attempt=attempt,
            delay=delay,
            error=type(error).__name__,
            reason=self.reason(error),
            music_task_id=self.id(error.music_task_id),
            cover_task_id=self.id(error.cover_task_id),
        )
        self.emit(event)

    def submitted(self, task: CoverTask) -> None:
        """Emit that a submit was answered with a cover task."""
        event = CoverSubmitted(
            operation_id=_running.get(),
            music_task_id=self._hide(task.music_task_id),
            cover_task_id=self._hide(task.cover_task_id),
            adopted=task.adopted,
        )
        self.emit(event)

    def saved(self, details: CoverDetails, files: tuple[Path, ...]) -> None:
        """Emit that all images of a cover were saved."""
        event = ImagesSaved(
            operation_id=_running.get(),
            music_task_id=self.id(details.music_task_id),
            cover_task_id=self._hide(details.cover_task_id),
            files=files,
        )
        self.emit(event)

    def id(self, task_id: str | None) -> str | None:
        """Return an id without the key, which an older ledger may hold in its place."""
        return None if task_id is None else self._hide(task_id)

    def _report(self, event: Event, error: BaseException) -> None:
        """Log an error of the hook: the first of its class as an ERROR with its traceback."""
        # The hook is called for every request, so a hook that always fails must not fill the log.
        kind, name = type(error), type(event).__name__
        extra = fields("hook_failed", error)
        if kind in self._reported or len(self._reported) >= _MOST_REPORTED:
            _log.debug("on_event failed again for a %s: %s", name, kind.__name__, extra=extra)
            return
        self._reported.add(kind)
        _log.error(
            "on_event failed for a %s; nothing else is affected, and further errors of this kind "
            "are logged at DEBUG only",
            *(name,),
            exc_info=error,
            extra=extra,
        )


class RunningOperation:
    """Emits the start and the end of an operation; a `with` block holds the operation."""

    __slots__ = ("_began", "_clock", "_emitter", "_started", "_token", "failure")

    def __init__(self, emitter: Emitter, started: OperationStarted) -> None:
        """Emit nothing yet."""
        self._emitter = emitter
        self._started = started
        self._token: Token[str | None] | None = None
        self.failure: BaseException | None = None
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()

    def __enter__(self) -> Self:
        """Emit the start; what runs inside the block is part of the operation."""
        self._emitter.emit(self._started)
        self._token = _running.set(self._started.operation_id)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Emit the end, with the error that left the block or that was set as `failure`."""
        self._leave()
        facts = attrs.asdict(self._started, recurse=False)
        duration = self._clock() - self._began
        failure = name_of(error or self.failure)
        self._emitter.emit(OperationEnded(**facts, duration=duration, error=failure))

    def _leave(self) -> None:
        # A coroutine that is collected as garbage ends in another context, where the token is
        # not valid; the context of the operation is gone then.
        try:
            if self._token is not None:
                _running.reset(self._token)
        except ValueError:
            pass


def operation(
    emitter: Emitter | None,
    kind: Operation,
    *,
    music_task_id: str | None = None,
    cover_task_id: str | None = None,
) -> AbstractContextManager[RunningOperation | None]:
    """Return a context manager that emits the start and the end of an operation.

    Without an emitter it does nothing.
    """
    if emitter is None:
        return _NO_OPERATION
    started = OperationStarted(
        operation=kind,
        operation_id=_new_id(),
        parent_id=_running.get(),
        music_task_id=emitter.id(music_task_id),
        cover_task_id=emitter.id(cover_task_id),
    )
    return RunningOperation(emitter, started)


def _origin(url: re.Match[str]) -> str:
    """Return what is left of a URL in a text; nothing of the base URL's path alone."""
    return "".join(part or "" for part in url.group("scheme", "place", "end"))


def name_of(error: BaseException | None) -> str | None:
    """Return the name of an error's class; None without an error."""
    return None if error is None else type(error).__name__


def _new_id() -> str:
    """Return 16 random hex digits, unique among all clients that share a hook."""
    return os.urandom(8).hex()


def _check_hook(hook: object) -> None:
    if not callable(hook):
        raise TypeError(f"on_event must be a function of one event, not {hook!r:.80}")
    kinds = (
        inspect.iscoroutinefunction,
        inspect.isasyncgenfunction,
        inspect.isgeneratorfunction,
    )
    if any(is_kind(function) for function in (hook, type(hook).__call__) for is_kind in kinds):
        raise TypeError(
            "on_event must be a plain function, not an `async def` or a generator: it is called "
            "and not awaited; put the events into an asyncio.Queue to handle them elsewhere"
        )

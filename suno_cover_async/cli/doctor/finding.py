"""Define what a check found, and run checks that may hang.

It must not know what is checked.
"""

import asyncio
import contextlib
import enum
import threading
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, TypeVar

import attrs

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.common.text import in_one_line, printable

T = TypeVar("T")

SECONDS = 10.0
"""How long one check may take."""

_HANGING = "doctor: a check at work"  # the name of its thread
_LONGEST = 500  # characters of a message, which a server may have written


class State(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    NOT_CHECKED = "not checked"


@attrs.frozen(kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was checked.
        state: How it ended.
        message: What was found, in one line.
        advice: What to do; None if there is nothing to do.
        code: The exit code that a fault stands for.
    """

    check: str
    state: State
    message: str
    advice: str | None = None
    code: ExitCode = ExitCode.FAILED

    def shown(self, hide: Callable[[str], str]) -> "Finding":
        """Return the finding as one printable line without what `hide` removes."""

        def clean(text: str) -> str:
            return printable(hide(printable(in_one_line(text), 4 * _LONGEST)), _LONGEST)

        advice = None if self.advice is None else clean(self.advice)
        return attrs.evolve(self, message=clean(self.message), advice=advice)

    def record(self) -> dict[str, str | None]:
        """Return the finding as data for JSON."""
        return {
            "check": self.check,
            "state": self.state.value,
            "message": self.message,
            "advice": self.advice,
        }


def ok(check: str, message: str) -> Finding:
    """Return that all is well."""
    return Finding(check=check, state=State.OK, message=message)


def warning(check: str, message: str, advice: str) -> Finding:
    """Return what works and may not be what the user wants, and what to do."""
    return Finding(check=check, state=State.WARNING, message=message, advice=advice)


def fault(
    check: str, message: str, advice: str | None = None, *, code: ExitCode = ExitCode.FAILED
) -> Finding:
    """Return what does not work, and what to do if the message does not say that."""
    return Finding(check=check, state=State.FAULT, message=message, advice=advice, code=code)


def not_checked(check: str, because: str) -> Finding:
    """Return that a check could not be made."""
    return Finding(check=check, state=State.NOT_CHECKED, message=because)


def exit_code_of(findings: Iterable[Finding]) -> ExitCode:
    """Return the code of the weightiest fault: the key, then the command line, then others."""
    codes = {finding.code for finding in findings if finding.state is State.FAULT}
    for code in (ExitCode.KEY, ExitCode.USAGE):
        if code in codes:
            return code
    return ExitCode.FAILED if codes else ExitCode.DONE


def is_hanging() -> bool:
    """Return whether a check that was abandoned still hangs."""
    return any(thread.name == _HANGING for thread in threading.enumerate())


async def within(act: Callable[[], Coroutine[Any, Any, T]], seconds: float = SECONDS) -> T:
    """Await a coroutine in an event loop and a thread of its own, and abandon it if it hangs.

    A resolver, a disk or a driver may block a thread for minutes, and nothing can end that thread.

    Raises:
        TimeoutError: It took longer; the thread goes on.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(set_outcome: Callable[[], None]) -> None:
        if not done.done():
            set_outcome()

    def work() -> None:
        try:
            set_outcome = partial(done.set_result, asyncio.run(act()))
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            set_outcome = partial(done.set_exception, error)
        threading.current_thread().name = "ended"
        with contextlib.suppress(RuntimeError):  # the caller has gone
            loop.call_soon_threadsafe(settle, set_outcome)

    threading.Thread(target=work, daemon=True, name=_HANGING).start()
    async with asyncio.timeout(seconds):
        return await done

"""What every fuzzed input must keep to: only our errors, 50 ms of CPU, and no memory spike.

It knows how an input is judged. What the bytes are given to, and what must hold of the value that
comes out, is each target's.
"""

import time
import tracemalloc
from collections.abc import Callable, Iterable

import attrs

from suno_cover_async import SunoCoverError
from suno_cover_async.common.text import printable
from tests.proof.hostile_callbacks import CEILING, shown

__all__ = [
    "CEILING",
    "BrokenError",
    "Judgement",
    "Target",
    "hold",
    "is_shown_safely",
    "judge",
    "told",
]

_LONGEST_WORDS = 700
_WEIGHED_FROM = 4096


class BrokenError(Exception):
    """A value, or an error, that is not what was promised."""


@attrs.frozen(kw_only=True)
class Target:
    """A boundary of the package, as bytes reach it.

    Attributes:
        name: What to call it.
        feed: Passes it bytes, catches the promised errors only, and checks the value. Returns the
            outcome in a word or two.
        seeds: Inputs to begin with.
        longest: Bytes of an input at most.
        memory: Bytes that one input may take at its peak.
        weighed_from: Shorter inputs are not weighed.
    """

    name: str
    feed: Callable[[bytes], str]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 1 << 16
    memory: int = 8 << 20
    weighed_from: int = _WEIGHED_FROM


@attrs.frozen(kw_only=True)
class Judgement:
    """How an input ended.

    Attributes:
        outcome: In a word or two.
        wrong: What is wrong with that; empty when nothing is.
        seconds: Its CPU time, the least of up to three.
        peak: Its memory at the peak, in bytes; 0 when it was not weighed.
    """

    outcome: str
    wrong: str
    seconds: float
    peak: int = 0


def judge(target: Target, given: bytes, *, ceiling: float = CEILING) -> Judgement:
    """Give one input to a target, and see what it makes of it."""
    outcome, wrong, took = _timed(target, given)
    for _ in range(2):  # an input that is slow stays slow; a machine that is busy does not
        if took > ceiling / 2:
            took = min(took, _timed(target, given)[2])
    peak = _peak(target, given) if len(given) >= target.weighed_from else 0
    if not wrong and took > ceiling:
        wrong = f"took {took * 1000:.0f} ms"
    if not wrong and peak > target.memory:
        wrong = f"took {peak / 1e6:.1f} MB for {len(given):,} bytes"
    return Judgement(outcome=outcome, wrong=wrong, seconds=took, peak=peak)


def _timed(target: Target, given: bytes) -> tuple[str, str, float]:
    began = time.thread_time()
    try:
        outcome, wrong = target.feed(given), ""
    except BrokenError as error:
        outcome, wrong = "broken", shown(str(error))
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        outcome, wrong = "broken", f"raised {type(error).__name__}: {shown(error)}"
    return outcome, wrong, time.thread_time() - began


def _peak(target: Target, given: bytes) -> int:
    tracemalloc.start()
    try:
        _timed(target, given)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def hold(claim: object, what: str) -> None:
    """Insist on something."""
    if not claim:
        raise BrokenError(what)


def is_shown_safely(words: str, longest: int = _LONGEST_WORDS) -> bool:
    """Whether it is one short line without control characters, so that it is safe to print."""
    return words == printable(words, longest)


def told(error: SunoCoverError) -> str:
    """Make sure that an error of ours can be shown, and name it."""
    hold(is_shown_safely(str(error)), f"{type(error).__name__} says {shown(str(error))}")
    hold(str(error), f"{type(error).__name__} says nothing")
    return type(error).__name__

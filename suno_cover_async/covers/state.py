"""The state of covers that a client keeps between calls, across event loops.

It holds values and times; it makes no request and never waits.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import attrs

from suno_cover_async.covers.durations import Durations
from suno_cover_async.errors import (
    ClientUsageError,
    CoverExistsError,
    SunoCoverError,
    UnexpectedResponseError,
)
from suno_cover_async.models import CoverDetails, CoverTask
from suno_cover_async.resilience.retry import SOONEST_RESUBMIT

V = TypeVar("V")


@attrs.frozen
class PossiblyBilled:
    """A submit that may have been billed, while its cover task is not known.

    Attributes:
        since: When that submit ended, by the loop's clock; None if that is not known.
    """

    since: float | None = None

    def delay(self, now: float) -> float:
        """Return the seconds until the music task may be submitted again; 0 or less means now.

        The host must have finished the earlier submit by then. `since` may come from another
        event loop's clock, so a `since` later than `now` is ignored.
        """
        if self.since is None or self.since > now:
            return SOONEST_RESUBMIT
        return SOONEST_RESUBMIT - (now - self.since)


class CoverState:
    """Holds unclaimed cover tasks, possibly billed submits, task ages and cover durations.

    Attributes:
        unclaimed: Accepted cover tasks whose cover no caller has received, by music task id.
        possibly_billed: Possibly billed submits, by music task id.
        under_way: Music tasks that are being submitted.
        guards: Say at the last moment why a submit must not be sent yet, by music task id; None
            if it may be.
        durations: How long covers have been taking.
    """

    def __init__(self, grace: float) -> None:
        """Keep ages for `grace` seconds, while `data: null` means "not visible yet"."""
        self._grace = grace
        self._births: dict[str, float] = {}
        self._owners: dict[str, tuple[str, float]] = {}
        self.unclaimed: dict[str, CoverTask] = {}
        self.possibly_billed: dict[str, PossiblyBilled] = {}
        self.under_way: set[str] = set()
        self.guards: dict[str, Callable[[], str | None]] = {}
        self.durations: Durations = Durations()

    def accepted(self, task: CoverTask, now: float) -> None:
        """Record a cover task when its submit is answered; it stays unclaimed until claimed."""
        self.unclaimed[task.music_task_id] = task
        self.possibly_billed.pop(task.music_task_id, None)
        self._forget_old(now)
        self._owners.setdefault(task.cover_task_id, (task.music_task_id, now))
        if not task.adopted:
            self._births.setdefault(task.cover_task_id, now)

    def keep(self, task: CoverTask) -> None:
        """Record a paid cover task that no caller waits for yet."""
        self.unclaimed[task.music_task_id] = task

    def left_under_way(self) -> None:
        """Mark submits that will never end as possibly billed, since their event loop is closed."""
        self.possibly_billed |= dict.fromkeys(self.under_way, PossiblyBilled())
        self.under_way.clear()

    def owner_of(self, cover_task_id: str) -> str | None:
        """Return the music task for which a cover task was accepted, within the grace; or None."""
        owner = self._owners.get(cover_task_id)
        return None if owner is None else owner[0]

    def is_possibly_billed(self, music_task_id: str) -> bool:
        """Return whether a submit is under way, recently answered, or possibly billed.

        "Recently" means within the grace.
        """
        noted = music_task_id in self.possibly_billed or music_task_id in self.under_way
        return noted or any(owner == music_task_id for owner, _ in self._owners.values())

    def claim(self, music_task_id: str) -> CoverTask | None:
        """Return the accepted cover task of a music task, and forget it; None without one."""
        return self.unclaimed.pop(music_task_id, None)

    @contextmanager
    def holding(self, task: CoverTask) -> Generator[None, None, None]:
        """Keep a cover task unclaimed inside the block, in which its cover is awaited.

        It is claimed at the end, unless the wait ended by a cancellation or an error after which
        the cover may still come.
        """
        self.unclaimed[task.music_task_id] = task
        try:
            yield
        except SunoCoverError as error:
            if not (error.retryable or isinstance(error, ClientUsageError)):
                self.claim(task.music_task_id)
                if isinstance(error, UnexpectedResponseError):
                    # The accepted cover task belongs to other music, so the one that this submit
                    # may have paid for is not known.
                    self.possibly_billed[task.music_task_id] = PossiblyBilled()
            raise
        self.claim(task.music_task_id)

    def ended(self, task: CoverTask | str, error: SunoCoverError) -> None:
        """Record that a cover task belongs to other music, if that is what the error says."""
        if not isinstance(task, CoverTask):
            return
        if isinstance(error, CoverExistsError | UnexpectedResponseError):
            self._owners.pop(task.cover_task_id, None)
        if isinstance(error, CoverExistsError):
            self.possibly_billed[task.music_task_id] = PossiblyBilled()

    def settle(self, details: CoverDetails) -> None:
        """Forget an unclaimed cover task whose last status was received."""
        claimant = details.music_task_id or ""
        kept = self.unclaimed.get(claimant)
        if kept is not None and kept.cover_task_id == details.cover_task_id:
            del self.unclaimed[claimant]

    def born(self, cover_task_id: str, now: float) -> float | None:
        """Return when a cover task was accepted, by the loop's clock; None if not recently."""
        self._forget_old(now)
        return self._births.get(cover_task_id)

    def learn(self, details: CoverDetails) -> None:
        """Record how long a finished cover took; forget its age: it needs no callback any more."""
        if not details.finished:
            return
        self._births.pop(details.cover_task_id, None)
        if (duration := details.duration) is not None:
            self.durations.learn(duration.total_seconds())

    def _forget_old(self, now: float) -> None:
        since = now - self._grace
        _drop_while(self._births, lambda born: born < since)
        _drop_while(self._owners, lambda owner: owner[1] < since)


def _drop_while(noted: dict[str, V], is_old: Callable[[V], bool]) -> None:
    """Remove the oldest entries, in order of insertion, while they are old."""
    while noted and is_old(noted[oldest := next(iter(noted))]):
        del noted[oldest]

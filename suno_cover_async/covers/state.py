"""What a client remembers from one call to the next, in whichever event loop.

It knows values and moments; it asks nobody and waits for nothing.
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
    """A submit that was sent, and that the API did not answer.

    Attributes:
        since: When it ended so, by the loop's clock; None where nobody knows.
    """

    since: float | None = None

    def delay(self, now: float) -> float:
        """Return the seconds until the music task may be submitted again; 0 or less for at once.

        The host must be done with the earlier submit by then. `since` may be of another loop's
        clock, so nothing that seems to be later than `now` is believed.
        """
        if self.since is None or self.since > now:
            return SOONEST_RESUBMIT
        return SOONEST_RESUBMIT - (now - self.since)


class CoverState:
    """Cover tasks that nobody has the cover of, their ages, and how long covers take.

    Attributes:
        unclaimed: What was accepted, by music task id.
        possibly_billed: Music tasks that may have been billed, for all that was answered.
        under_way: Music tasks that are being submitted.
        durations: How long covers have been taking.
    """

    def __init__(self, grace: float) -> None:
        """Remember births for `grace` seconds, while `data: null` means "not visible yet"."""
        self._grace = grace
        self._births: dict[str, float] = {}
        self._owners: dict[str, tuple[str, float]] = {}
        self.unclaimed: dict[str, CoverTask] = {}
        self.possibly_billed: dict[str, PossiblyBilled] = {}
        self.under_way: set[str] = set()
        self.durations: Durations = Durations()

    def accepted(self, task: CoverTask, now: float) -> None:
        """Remember a cover task from the moment its submit was answered, until it is claimed."""
        self.unclaimed[task.music_task_id] = task
        self.possibly_billed.pop(task.music_task_id, None)
        self._forget_old(now)
        self._owners.setdefault(task.cover_task_id, (task.music_task_id, now))
        if not task.adopted:
            self._births[task.cover_task_id] = now

    def keep(self, task: CoverTask) -> None:
        """Remember a cover task that is paid for, and that nobody waits for yet."""
        self.unclaimed[task.music_task_id] = task

    def left_under_way(self) -> None:
        """Note that what is being submitted never ends: it may have been billed."""
        self.possibly_billed |= dict.fromkeys(self.under_way, PossiblyBilled())
        self.under_way.clear()

    def owner_of(self, cover_task_id: str) -> str | None:
        """Tell for which music task a cover task was accepted, if that was within the grace."""
        owner = self._owners.get(cover_task_id)
        return None if owner is None else owner[0]

    def is_possibly_billed(self, music_task_id: str) -> bool:
        """Whether a submit is under way, was answered within the grace, or ended in doubt."""
        noted = music_task_id in self.possibly_billed or music_task_id in self.under_way
        return noted or any(owner == music_task_id for owner, _ in self._owners.values())

    def claim(self, music_task_id: str) -> CoverTask | None:
        """Hand over what was accepted for a music task, once."""
        return self.unclaimed.pop(music_task_id, None)

    @contextmanager
    def holding(self, task: CoverTask) -> Generator[None, None, None]:
        """Keep a cover task unclaimed while its cover is waited for, unless it cannot come."""
        self.unclaimed[task.music_task_id] = task
        try:
            yield
        except SunoCoverError as error:
            if not (error.retryable or isinstance(error, ClientUsageError)):
                self.claim(task.music_task_id)
                if isinstance(error, UnexpectedResponseError):
                    self.possibly_billed[task.music_task_id] = (
                        PossiblyBilled()
                    )  # its own is not found
            raise
        self.claim(task.music_task_id)

    def ended(self, task: CoverTask | str, error: SunoCoverError) -> None:
        """Note music whose cover task turned out to be of other music."""
        if not isinstance(task, CoverTask):
            return
        if isinstance(error, CoverExistsError | UnexpectedResponseError):
            self._owners.pop(task.cover_task_id, None)
        if isinstance(error, CoverExistsError):
            self.possibly_billed[task.music_task_id] = PossiblyBilled()

    def settle(self, details: CoverDetails) -> None:
        """Forget a cover task that was waited for to its end."""
        claimant = details.music_task_id or ""
        kept = self.unclaimed.get(claimant)
        if kept is not None and kept.cover_task_id == details.cover_task_id:
            del self.unclaimed[claimant]

    def born(self, cover_task_id: str, now: float) -> float | None:
        """Tell when a cover task was accepted, if that was within the grace."""
        self._forget_old(now)
        return self._births.get(cover_task_id)

    def learn(self, details: CoverDetails) -> None:
        """Learn how long a finished cover took, and that no callback of it is to be awaited."""
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
    """Forget what was noted first, as long as it is old."""
    while noted and is_old(noted[oldest := next(iter(noted))]):
        del noted[oldest]

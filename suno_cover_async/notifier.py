"""A callback wakes the one who waits.

It knows ids, and who waits for which; it knows neither HTTP nor signatures, and asks nobody. It may
be rung from any thread, and whoever waits is woken in an event loop of its own.

No ring is lost: it is noted before anybody is woken, and whoever begins to wait later hears it at
once. Notes are kept, since several may wait, each in its own time; those that nobody waits for are
bounded: the oldest give way.
"""

import asyncio
import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Self

from suno_cover_async.durations import Trust
from suno_cover_async.models import Callback, CoverTask

_MOST_NOTES = 4096
_MOST_NAMED = 4  # cover tasks that callbacks may name for one music task

_log = logging.getLogger("suno_cover_async")


class Bell:
    """What one who waits has hung up: whom it concerns, and what to do when it rings."""

    __slots__ = ("_certain", "_hear", "_loop", "cover_task_id", "music_task_id")

    def __init__(
        self,
        music_task_id: str | None,
        cover_task_id: str | None,
        hear: Callable[[], object],
        *,
        certain: bool = False,
    ) -> None:
        """Belong to the running event loop, where `hear` is called.

        Args:
            music_task_id: Which music task it concerns; None for any.
            cover_task_id: Which cover task it concerns; None for any.
            hear: Called for each ring.
            certain: The two are known to belong to each other.
        """
        self.music_task_id: str | None = music_task_id
        self.cover_task_id: str | None = cover_task_id
        self._hear = hear
        self._certain = certain
        self._loop = asyncio.get_running_loop()

    @classmethod
    def of(cls, task: CoverTask | str, hear: Callable[[], object]) -> Self:
        """Make one that concerns a cover task."""
        if isinstance(task, str):
            return cls(None, task, hear)
        return cls(task.music_task_id, task.cover_task_id, hear, certain=not task.adopted)

    def concerns(self, callback: Callback) -> bool:
        """Whether it is what this one waits for."""
        return self.music_task_id in {None, callback.music_task_id} and self.cover_task_id in {
            None,
            callback.cover_task_id,
        }

    def contradicts(self, callback: Callback) -> bool:
        """Whether it names another cover task of this music, or other music of this cover task."""
        same_music = self.music_task_id == callback.music_task_id
        return self._certain and same_music != (self.cover_task_id == callback.cover_task_id)

    def ring(self) -> None:
        """Have whoever waits hear it; from any thread."""
        with contextlib.suppress(RuntimeError):  # its event loop is closed
            self._loop.call_soon_threadsafe(self._hear)


class Ear:
    """Hears rings, for one who awaits them."""

    def __init__(self) -> None:
        """Have heard nothing yet."""
        self._rang = asyncio.Event()
        self.hear: Callable[[], None] = self._rang.set

    async def heard(self, until: float) -> bool:
        """Wait for a ring until a moment of the loop's clock; whether it rang since last time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._rang.wait()
        rang = self._rang.is_set()
        self._rang.clear()
        return rang


class Doorbell:
    """Between those who bring callbacks and those who wait for covers."""

    def __init__(self, address: str | None = None) -> None:
        """Begin; one without an address is not expected to ring.

        Args:
            address: Where callbacks come in, for people to read.
        """
        self._address = address
        self._trust = Trust() if address else Trust(patience=0)
        self._refusals = 0
        self._last_refusal = ""
        self._notes: dict[str, tuple[str, ...]] = {}
        self._bells: dict[str, list[Bell]] = {}
        self._left: deque[Bell] = deque()
        self._lock = threading.Lock()

    @property
    def may_ring(self) -> bool:
        """Whether anybody can bring callbacks here."""
        return self._address is not None

    @property
    def reliable(self) -> bool:
        """Whether covers that finish can be expected to ring."""
        return self._trust.given

    def ring(self, callback: Callback) -> bool:
        """Note a callback and wake who waits for it; False, and nothing done, if it cannot be true.

        It cannot when we know the music's own cover task, or the cover task's own music, and it
        says otherwise.
        """
        with self._locked():
            ids = (callback.music_task_id, callback.cover_task_id)
            bells = {bell for one in ids for bell in self._bells.get(one, ())}
            if any(bell.contradicts(callback) for bell in bells):
                return False
            self._note(callback)
            concerned = [bell for bell in bells if bell.concerns(callback)]
            for bell in concerned:
                bell.ring()
            if concerned:  # the callbacks of covers waited for elsewhere say nothing of ours
                self._trust.came()
        return True

    def refused(self, reason: str) -> None:
        """Note that something came in that was no callback, in case callbacks are missed."""
        self._refusals += 1
        self._last_refusal = reason

    @contextlib.contextmanager
    def expecting(self, music_task_id: str) -> Generator[Ear, None, None]:
        """Listen for a callback to a submit that was not answered yet."""
        ear = Ear()
        bell = Bell(music_task_id, None, ear.hear)
        self.hang(bell)
        try:
            yield ear
        finally:
            self.take_down(bell)

    def hang(self, bell: Bell) -> None:
        """Have a bell ring for what it concerns, at once if that came already."""
        with self._locked():
            for one in _ids(bell):
                self._bells.setdefault(one, []).append(bell)
            if self._is_noted(bell):
                bell.ring()

    def take_down(self, bell: Bell) -> None:
        """Let a bell ring no more."""
        self._left.append(bell)
        if not self._lock.locked():
            with self._locked():
                pass

    def named(self, music_task_id: str) -> tuple[str, ...]:
        """Tell which cover tasks callbacks named for a music task, the latest first; unproven."""
        with self._locked():
            return self._notes.get(music_task_id, ())[::-1]

    def forget(self, music_task_id: str, cover_task_id: str) -> None:
        """Drop a cover task that was named, and disproved."""
        with self._locked():
            named = self._notes.pop(music_task_id, ())
            left = tuple(one for one in named if one != cover_task_id)
            if left:
                self._notes[music_task_id] = left

    def missed(self) -> None:
        """Note that a cover finished, and that a look found out before any callback."""
        if self._trust.missed():
            _log.warning(
                "covers finish without their callbacks at %s: %s Looking as often as without a "
                "receiver until one comes",
                self._address,
                self._suspicion(),
            )

    def _suspicion(self) -> str:
        if not self._refusals:
            return "can the API reach it?"
        return (
            f"{self._refusals} requests were refused there, the last because {self._last_refusal}; "
            "is the secret the same everywhere, and the hmac_key right?"
        )

    @contextlib.contextmanager
    def _locked(self) -> Generator[None, None, None]:
        """Have everything for oneself, without the bells of those who left.

        Whoever leaves never waits for the lock: a waiter of a dead event loop leaves when it is
        collected as garbage, which may be in the middle of a ring, on the very thread that holds
        the lock.
        """
        with self._lock:
            while self._left:
                bell = self._left.popleft()
                for one in _ids(bell):
                    others = [other for other in self._bells[one] if other is not bell]
                    if others:
                        self._bells[one] = others
                    else:
                        del self._bells[one]
            yield

    def _is_noted(self, bell: Bell) -> bool:
        if bell.music_task_id is None:
            return any(bell.cover_task_id in named for named in self._notes.values())
        named = self._notes.get(bell.music_task_id, ())
        return bool(named) if bell.cover_task_id is None else bell.cover_task_id in named

    def _note(self, callback: Callback) -> None:
        """Keep what was named, the latest last; what somebody waits for never gives way."""
        named = self._notes.pop(callback.music_task_id, ())
        others = [one for one in named if one != callback.cover_task_id]
        self._notes[callback.music_task_id] = (*others, callback.cover_task_id)[-_MOST_NAMED:]
        too_many = max(len(self._notes) - _MOST_NOTES, 0)
        unwanted = (one for one in self._notes if one not in self._bells)
        for one in list(itertools.islice(unwanted, too_many)):
            del self._notes[one]


def _ids(bell: Bell) -> list[str]:
    both = (bell.music_task_id, bell.cover_task_id)
    return [one for one in dict.fromkeys(both) if one is not None]

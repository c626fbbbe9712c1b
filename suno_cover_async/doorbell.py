"""A callback wakes the one who waits.

It knows ids, and who waits for which; it knows neither HTTP nor signatures, and asks nobody. It may
be rung from any thread, and whoever waits is woken in an event loop of its own.

No ring is lost: it is noted before anybody is woken, and whoever begins to wait later hears it at
once. Notes are kept, since several may wait, each in its own time; those that nobody waits for are
bounded: the oldest give way.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Generator

from suno_cover_async.models import Callback, CoverTask

_MOST_NOTES = 4096
_MOST_CLAIMS = 4  # cover tasks that callbacks may name for one music task
_FIRST_TRUST = 5  # covers that may finish without a callback before callbacks are not counted on
_MOST_TRUST = 25  # as many, once so many callbacks have come

_log = logging.getLogger("suno_cover_async")


class Bell:
    """What one who waits hears."""

    def __init__(self, music_task_id: str | None, task: CoverTask | str | None) -> None:
        """Belong to the running event loop."""
        certain = isinstance(task, CoverTask) and not task.adopted
        self.music_task_id = music_task_id
        self.cover_task_id = task.cover_task_id if isinstance(task, CoverTask) else task
        self._knows_both = certain
        self._rung = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def concerns(self, callback: Callback) -> bool:
        """Whether it is what this one waits for."""
        return self.music_task_id in {None, callback.music_task_id} and self.cover_task_id in {
            None,
            callback.cover_task_id,
        }

    def contradicts(self, callback: Callback) -> bool:
        """Whether it names another cover task of this music, or other music of this cover task."""
        same_music = self.music_task_id == callback.music_task_id
        return self._knows_both and same_music != (self.cover_task_id == callback.cover_task_id)

    def ring(self) -> None:
        """Wake whoever waits; from any thread."""
        with contextlib.suppress(RuntimeError):  # its event loop is closed
            self._loop.call_soon_threadsafe(self._rung.set)

    async def heard(self, until: float) -> bool:
        """Wait for a ring until a moment of the loop's clock; whether it rang since last time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._rung.wait()
        rang = self._rung.is_set()
        self._rung.clear()
        return rang


class Doorbell:
    """Between those who bring callbacks and those who wait for covers."""

    def __init__(self, address: str | None = None) -> None:
        """Begin; one without an address is not expected to ring.

        Args:
            address: Where callbacks come in, for people to read.
        """
        self._address = address
        self._trust = 0 if address is None else _FIRST_TRUST
        self._refusals = 0
        self._last_refusal = ""
        self._notes: dict[str, tuple[str, ...]] = {}
        self._bells: dict[str, list[Bell]] = {}
        self._lock = threading.Lock()

    @property
    def reliable(self) -> bool:
        """Whether covers that finish can be expected to ring."""
        return self._trust > 0

    def ring(self, callback: Callback) -> bool:
        """Note a callback and wake who waits for it; False, and nothing done, if it cannot be true.

        It cannot when we know the music's own cover task, or the cover task's own music, and it
        says otherwise.
        """
        with self._lock:
            ids = (callback.music_task_id, callback.cover_task_id)
            bells = {bell for one in ids for bell in self._bells.get(one, ())}
            if any(bell.contradicts(callback) for bell in bells):
                return False
            self._note(callback)
            concerned = [bell for bell in bells if bell.concerns(callback)]
            for bell in concerned:
                bell.ring()
            if concerned:  # the callbacks of covers waited for elsewhere say nothing of ours
                self._trust = min(self._trust + 1, _MOST_TRUST) if self._trust else _FIRST_TRUST
        return True

    def refused(self, reason: str) -> None:
        """Note that something came in that was no callback, in case callbacks are missed."""
        self._refusals += 1
        self._last_refusal = reason

    @contextlib.contextmanager
    def expecting(self, music_task_id: str) -> Generator[Bell, None, None]:
        """Listen for a callback to a submit that was not answered yet."""
        with self._listening(Bell(music_task_id, None)) as bell:
            yield bell

    @contextlib.contextmanager
    def listening(self, task: CoverTask | str) -> Generator[Bell, None, None]:
        """Listen for the callback of a cover task."""
        music_task_id = task.music_task_id if isinstance(task, CoverTask) else None
        with self._listening(Bell(music_task_id, task)) as bell:
            yield bell

    def claims(self, music_task_id: str) -> tuple[str, ...]:
        """Name the cover tasks that callbacks named for a music task; none of them is proven."""
        with self._lock:
            return self._notes.get(music_task_id, ())[::-1]

    def forget(self, music_task_id: str, cover_task_id: str) -> None:
        """Drop a claim that was disproved."""
        with self._lock:
            claims = self._notes.pop(music_task_id, ())
            left = tuple(one for one in claims if one != cover_task_id)
            if left:
                self._notes[music_task_id] = left

    def missed(self) -> None:
        """Note that a cover finished, and that a look found out before any callback."""
        with self._lock:
            fell_silent = self._trust == 1
            self._trust = max(self._trust - 1, 0)
        if fell_silent:
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
    def _listening(self, bell: Bell) -> Generator[Bell, None, None]:
        ids = [one for one in (bell.music_task_id, bell.cover_task_id) if one is not None]
        with self._lock:
            for one in ids:
                self._bells.setdefault(one, []).append(bell)
            if self._is_noted(bell):
                bell.ring()
        try:
            yield bell
        finally:
            with self._lock:
                for one in ids:
                    self._bells[one].remove(bell)
                    if not self._bells[one]:
                        del self._bells[one]

    def _is_noted(self, bell: Bell) -> bool:
        if bell.music_task_id is None:
            return any(bell.cover_task_id in claims for claims in self._notes.values())
        claims = self._notes.get(bell.music_task_id, ())
        return bool(claims) if bell.cover_task_id is None else bell.cover_task_id in claims

    def _note(self, callback: Callback) -> None:
        """Keep a claim, the newest last; what somebody waits for never gives way."""
        claims = self._notes.pop(callback.music_task_id, ())
        others = [one for one in claims if one != callback.cover_task_id]
        self._notes[callback.music_task_id] = (*others, callback.cover_task_id)[-_MOST_CLAIMS:]
        if len(self._notes) > _MOST_NOTES:
            unwanted = (one for one in self._notes if one not in self._bells)
            self._notes.pop(next(unwanted, ""), None)

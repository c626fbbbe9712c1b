"""Submitting: at most one submit per music task under way, and no cover task lost on the way.

It owns what becomes of a submit: joined by others, left by its callers, answered, or completed from
its callback. How a request is made, and made again, is `transport.py`'s.

Each submit runs in a task that no caller owns. When its last caller is cancelled, that task is
cancelled once: an attempt that was not sent is taken back, one on the wire is finished and its
answer kept, and no further attempt is made.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable
from functools import partial

import attrs

from suno_cover_async import requests
from suno_cover_async.doorbell import Doorbell, Ear
from suno_cover_async.errors import CoverExistsError, SunoCoverError, WrongAddressError
from suno_cover_async.memory import Memory
from suno_cover_async.models import CoverStatus, CoverTask
from suno_cover_async.pace import PollSchedule
from suno_cover_async.polling import Lookout
from suno_cover_async.retry import SOONEST_RESUBMIT
from suno_cover_async.sharing import Shared
from suno_cover_async.transport import Transport


@attrs.frozen(kw_only=True, eq=False)
class SubmitDesk:
    """Takes the submits of one event loop.

    Attributes:
        transport: Makes the requests.
        lookout: Looks at what callbacks name.
        memory: What the client remembers.
        doorbell: Where callbacks ring.
        callback_url: Where the host shall call for a music task.
        poll: How often to look at what a callback named.
        loop: The event loop.
    """

    transport: Transport
    lookout: Lookout
    memory: Memory
    doorbell: Doorbell
    callback_url: Callable[[str], str]
    poll: PollSchedule
    loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop, init=False)
    _under_way: dict[str, Shared[CoverTask]] = attrs.field(
        factory=dict[str, Shared[CoverTask]], init=False
    )

    async def submit(self, music_task_id: str, patience: float) -> CoverTask:
        """Submit, or join a submit of this music task that is under way.

        Args:
            music_task_id: The music task.
            patience: The most seconds to wait for the callback of a submit whose answer is lost.
        """
        shared = self._under_way.get(music_task_id)
        if shared is None or not shared.joinable:
            work = self._submit(music_task_id, patience, ending=shared)
            forget = partial(self._forget_ended, music_task_id)
            self.memory.under_way.add(music_task_id)
            shared = self._under_way[music_task_id] = Shared(work, forget)
        task = await shared.join()
        self.memory.claim(music_task_id)
        return task

    async def settled(self, music_task_id: str) -> None:
        """Wait for a submit that all its callers have left, and that nobody has joined since."""
        shared = self._under_way.get(music_task_id)
        if shared is not None and not shared.joinable:
            await shared.ended()

    async def stop(self) -> None:
        """End all that is under way: nothing more is sent, and what is on the wire is finished."""
        submits = list(self._under_way.values())
        for shared in submits:
            shared.stop()
        for shared in submits:
            await shared.ended()

    def _forget_ended(self, music_task_id: str) -> None:
        shared = self._under_way.get(music_task_id)
        if shared is not None and shared.has_ended:
            del self._under_way[music_task_id]
            self.memory.under_way.discard(music_task_id)

    async def _submit(
        self, music_task_id: str, patience: float, *, ending: Shared[CoverTask] | None
    ) -> CoverTask:
        """Submit, unless the cover task is known: a cancelled submit, or a callback, brought it."""
        if ending is not None:
            try:
                await ending.ended()
            except asyncio.CancelledError:
                # It may be on the wire. `_under_way` holds this task in its place, so whoever waits
                # for all that is under way, as closing does, waits for both.
                await ending.ended()
                raise
        unclaimed = self.memory.unclaimed.get(music_task_id)
        if unclaimed is not None:
            return unclaimed
        with self.doorbell.expecting(music_task_id) as ear:
            failed: set[str] = set()  # earlier: what is submitted now is not among them
            known = await self._confirmed(music_task_id, failed)
            return known or await self._sent(music_task_id, ear, patience, failed)

    async def _sent(
        self, music_task_id: str, ear: Ear, patience: float, failed: set[str]
    ) -> CoverTask:
        in_doubt = music_task_id in self.memory.uncertain
        call = requests.submit(
            music_task_id, self.callback_url(music_task_id), self.memory.owner_of
        )
        if in_doubt:
            await self._not_too_soon(music_task_id)
        try:
            return await self.transport.submit(call, keep=self._keep, doubt=self._doubt)
        except SunoCoverError as error:
            trouble = error
        if isinstance(trouble, WrongAddressError):
            raise trouble
        exists = isinstance(trouble, CoverExistsError)
        if trouble.perhaps_billed or (in_doubt and (exists or trouble.retryable)):
            if not exists:  # nothing but the callback can name one that exists
                patience = min(patience, self.lookout.safety_look)
            task = await self._called_back(music_task_id, ear, patience, failed)
            if task is not None:
                return task
        if exists and not trouble.perhaps_billed:
            self.memory.uncertain.pop(music_task_id, None)
        elif in_doubt:
            trouble.perhaps_billed = True  # this refusal tells nothing of the earlier submit
        raise trouble

    async def _not_too_soon(self, music_task_id: str) -> None:
        """Wait until the host must be done with a submit that ended in doubt."""
        ended = self.memory.uncertain[music_task_id]
        passed = 0.0 if ended is None else _now() - ended  # below 0 by another loop's clock
        await asyncio.sleep(SOONEST_RESUBMIT - max(passed, 0.0))

    async def _called_back(
        self, music_task_id: str, ear: Ear, patience: float, failed: set[str]
    ) -> CoverTask | None:
        """Wait for the callback of a submit that may have been billed."""
        if not self.doorbell.reliable:
            return await self._confirmed(music_task_id, failed)
        clock = asyncio.get_running_loop().time
        until, next_look = clock() + patience, -math.inf
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while True:
                    unconfirmed = self.doorbell.named(music_task_id)
                    await ear.heard(next_look if unconfirmed else until)
                    await asyncio.sleep(next_look - clock())
                    next_look = clock() + self.poll.shortest
                    task = await self._confirmed(music_task_id, failed)
                    if task is not None:
                        return task
        return None

    async def _confirmed(self, music_task_id: str, failed: set[str]) -> CoverTask | None:
        """Find the cover task among those that callbacks named; its details must confirm it.

        One is forgotten only when it is disproved. One that failed is no reason not to submit,
        unless it may be what a lost answer of ours would have named.
        """
        for cover_task_id in self.doorbell.named(music_task_id):
            if cover_task_id in failed:
                continue
            task = CoverTask(cover_task_id=cover_task_id, music_task_id=music_task_id, adopted=True)
            try:
                found = await self.lookout.look(task)
            except CoverExistsError:  # it belongs to other music
                self.doorbell.forget(music_task_id, cover_task_id)
                continue
            except SunoCoverError:
                continue
            if found is None or found.music_task_id != music_task_id:
                continue
            if found.status is CoverStatus.FAILED and music_task_id not in self.memory.uncertain:
                failed.add(cover_task_id)
                continue
            self._keep(task)
            return task
        return None

    def _keep(self, task: CoverTask) -> None:
        self.memory.accepted(task, _now())

    def _doubt(self, call: requests.Call[CoverTask]) -> None:
        if not self.loop.is_closed():  # else the next event loop takes note of it as it begins
            self.memory.uncertain[call.music_task_id or ""] = self.loop.time()


def _now() -> float:
    return asyncio.get_running_loop().time()

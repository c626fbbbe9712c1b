"""The submitter: keeps one submit per music task under way, and loses no accepted cover task.

It owns the life of a submit: joined by further callers, abandoned by its callers, answered, or
completed from its callback. `transport.py` makes and repeats the request.

Each submit runs in a task that no caller owns. When its last caller is cancelled, that task is
cancelled once: an attempt that was not sent is withdrawn, one on the wire is finished and its
answer kept, and no further attempt is made.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable
from functools import partial

import attrs

from suno_cover_async.common.tasks import SingleFlight
from suno_cover_async.covers.notifier import CallbackEvent, Notifier
from suno_cover_async.covers.poller import Poller
from suno_cover_async.covers.state import CoverState, PossiblyBilled
from suno_cover_async.emitter import Emitter, operation
from suno_cover_async.errors import (
    ClientUsageError,
    CoverExistsError,
    SunoCoverError,
    WrongAddressError,
)
from suno_cover_async.events import Operation
from suno_cover_async.http.transport import Transport
from suno_cover_async.models import CoverStatus, CoverTask
from suno_cover_async.policies import PollPolicy, RetryPolicy
from suno_cover_async.protocol import requests


@attrs.frozen(kw_only=True, eq=False)
class Submitter:
    """Makes the submits of one event loop.

    Attributes:
        transport: Sends the requests.
        poller: Polls the cover tasks that callbacks name.
        state: What the client remembers of covers.
        notifier: Delivers callbacks.
        callback_url: Returns the callback URL of a music task.
        poll: How often to poll a cover task that a callback named.
        events: Calls the client's hook; None without one.
        loop: The event loop.
    """

    transport: Transport
    poller: Poller
    state: CoverState
    notifier: Notifier
    callback_url: Callable[[str], str]
    poll: PollPolicy
    events: Emitter | None = None
    loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop, init=False)
    _under_way: dict[str, SingleFlight[CoverTask]] = attrs.field(
        factory=dict[str, SingleFlight[CoverTask]], init=False
    )

    async def submit(
        self, music_task_id: str, callback_timeout: float, policy: RetryPolicy | None = None
    ) -> CoverTask:
        """Submit, or join a submit of this music task that is under way.

        Args:
            music_task_id: The music task.
            callback_timeout: The most seconds to wait for the callback of a submit whose answer
                is lost.
            policy: How often to try; None uses the account's policy. If a joined submit, begun
                under another policy, ends in a retryable error, another one begins under this
                policy.
        """
        while True:
            known = self._under_way.get(music_task_id)
            joined = known if known is not None and known.joinable else None
            flight = joined or self._begin(music_task_id, callback_timeout, policy, ending=known)
            try:
                task = await flight.join()
            except SunoCoverError as error:
                if joined is None or policy is None or not error.retryable:
                    raise
            else:
                self.state.claim(music_task_id)
                return task

    async def settled(self, music_task_id: str) -> None:
        """Wait for a submit that all its callers have left, and that no caller has joined since."""
        flight = self._under_way.get(music_task_id)
        if flight is not None and not flight.joinable:
            await flight.ended()

    async def stop(self) -> None:
        """End all submits: send nothing more, and finish what is on the wire."""
        submits = list(self._under_way.values())
        for flight in submits:
            flight.stop()
        for flight in submits:
            await flight.ended()

    def _begin(
        self,
        music_task_id: str,
        callback_timeout: float,
        policy: RetryPolicy | None,
        *,
        ending: SingleFlight[CoverTask] | None,
    ) -> SingleFlight[CoverTask]:
        """Begin a submit, which first waits for the one that is `ending`."""
        work = self._submit(music_task_id, callback_timeout, policy, ending=ending)
        forget = partial(self._forget_ended, music_task_id)
        self.state.under_way.add(music_task_id)
        flight = SingleFlight(work, ended=forget, stopped=_stopped)
        self._under_way[music_task_id] = flight
        return flight

    def _forget_ended(self, music_task_id: str) -> None:
        flight = self._under_way.get(music_task_id)
        if flight is not None and flight.has_ended:
            del self._under_way[music_task_id]
            self.state.under_way.discard(music_task_id)

    async def _submit(
        self,
        music_task_id: str,
        callback_timeout: float,
        policy: RetryPolicy | None,
        *,
        ending: SingleFlight[CoverTask] | None,
    ) -> CoverTask:
        with operation(self.events, Operation.SUBMIT, music_task_id=music_task_id):
            if ending is not None:
                await _ended(ending)
            return await self._find_or_send(music_task_id, callback_timeout, policy)

    async def _find_or_send(
        self, music_task_id: str, callback_timeout: float, policy: RetryPolicy | None
    ) -> CoverTask:
        """Submit, unless a cancelled submit or a callback has named the cover task already."""
        unclaimed = self.state.unclaimed.get(music_task_id)
        if unclaimed is not None:
            return unclaimed
        with self.notifier.expecting(music_task_id) as event:
            failed: set[str] = set()  # cover tasks that failed before this submit
            known = await self._find_confirmed(music_task_id, failed)
            return known or await self._send(music_task_id, event, callback_timeout, failed, policy)

    async def _send(
        self,
        music_task_id: str,
        event: CallbackEvent,
        callback_timeout: float,
        failed: set[str],
        policy: RetryPolicy | None,
    ) -> CoverTask:
        # A possibly billed submit may have made a paid cover whose id is not known, so its error
        # is not final yet: the callback may still name the cover task. And a refusal of this
        # submit proves nothing about an earlier lost one, so the music task stays possibly billed
        # until its cover task is found or the API says that a cover exists.
        was_possibly_billed = music_task_id in self.state.possibly_billed
        call = requests.submit(music_task_id, self.callback_url(music_task_id), self.state.owner_of)
        if music_task_id in self.state.guards:
            call = call._replace(guard=self.state.guards[music_task_id])
        if was_possibly_billed:
            # The host must have finished the earlier submit before this one arrives.
            await asyncio.sleep(self.state.possibly_billed[music_task_id].delay(_now()))
        try:
            return await self.transport.submit(
                call, keep=self._keep, on_possibly_billed=self._mark_possibly_billed, policy=policy
            )
        except SunoCoverError as error:
            trouble = error
        if isinstance(trouble, WrongAddressError):
            raise trouble
        exists = isinstance(trouble, CoverExistsError)
        if trouble.possibly_billed or (was_possibly_billed and (exists or trouble.retryable)):
            if not exists:  # if it exists, only the callback can name it: wait the full time
                callback_timeout = min(callback_timeout, self.poller.fallback_delay)
            task = await self._wait_for_callback(music_task_id, event, callback_timeout, failed)
            if task is not None:
                return task
        if exists and not trouble.possibly_billed:
            self.state.possibly_billed.pop(music_task_id, None)
        elif was_possibly_billed:
            trouble.possibly_billed = True  # this refusal says nothing about the earlier submit
        raise trouble

    async def _wait_for_callback(
        self, music_task_id: str, event: CallbackEvent, callback_timeout: float, failed: set[str]
    ) -> CoverTask | None:
        """Wait for the callback of a possibly billed submit; return its confirmed cover task."""
        if not self.notifier.is_reliable:
            return await self._find_confirmed(music_task_id, failed)
        # The cover tasks that callbacks named and no details disproved are polled again every
        # `min_interval` seconds, because the API may show a task later than its callback comes.
        # `next_poll` begins at minus infinity, so that one which is named already is polled at
        # once. While none is named, only a callback ends the wait. The sleep after the event
        # keeps polls `min_interval` apart, however many callbacks come: a flood of them, true or
        # forged, makes no poll come sooner.
        clock = asyncio.get_running_loop().time
        until, next_poll = clock() + callback_timeout, -math.inf
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while True:
                    unconfirmed = self.notifier.named(music_task_id)
                    await event.wait(next_poll if unconfirmed else until)
                    await asyncio.sleep(next_poll - clock())
                    next_poll = clock() + self.poll.min_interval
                    task = await self._find_confirmed(music_task_id, failed)
                    if task is not None:
                        return task
        return None

    async def _find_confirmed(self, music_task_id: str, failed: set[str]) -> CoverTask | None:
        """Return the cover task that callbacks named and its details confirm; None without one.

        A named task is forgotten only if its details show other music. A failed one is skipped, so
        that a new submit is made, unless the music task is possibly billed: then it may be the
        very task that the lost answer would have named.
        """
        for cover_task_id in self.notifier.named(music_task_id):
            if cover_task_id in failed:
                continue
            task = CoverTask(cover_task_id=cover_task_id, music_task_id=music_task_id, adopted=True)
            try:
                found = await self.poller.poll(task)
            except CoverExistsError:  # it belongs to other music
                self.notifier.forget(music_task_id, cover_task_id)
                continue
            except SunoCoverError:
                continue
            if found is None or found.music_task_id != music_task_id:
                continue
            if (
                found.status is CoverStatus.FAILED
                and music_task_id not in self.state.possibly_billed
            ):
                failed.add(cover_task_id)
                continue
            self._keep(task)
            return task
        return None

    def _keep(self, task: CoverTask) -> None:
        self.state.accepted(task, _now())
        if self.events is not None:
            self.events.submitted(task)

    def _mark_possibly_billed(self, call: requests.Call[CoverTask]) -> None:
        if not self.loop.is_closed():  # else the next event loop records it when it opens
            self.state.possibly_billed[call.music_task_id or ""] = PossiblyBilled(self.loop.time())


async def _ended(earlier: SingleFlight[CoverTask]) -> None:
    """Wait for the end of an earlier submit, also if the caller is cancelled meanwhile."""
    try:
        await earlier.ended()
    except asyncio.CancelledError:
        # The earlier submit may be on the wire, and `_under_way` holds this task in its place. So
        # this task must not end first: closing waits for the tasks in `_under_way` only, and would
        # drop the earlier submit's answer.
        await earlier.ended()
        raise


def _stopped() -> ClientUsageError:
    return ClientUsageError("the client was closed during a submit; see `unclaimed`")


def _now() -> float:
    return asyncio.get_running_loop().time()

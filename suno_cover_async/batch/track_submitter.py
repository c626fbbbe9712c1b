"""Submit a track of the ledger, and record what became of it before anything else happens.

It owns the order in which a submit becomes durable. `covers/submitter.py` sends the request and
knows which submits are possibly billed.
"""

import asyncio
from contextlib import suppress

from suno_cover_async.batch.run_state import RunState
from suno_cover_async.covers.service import CoverService
from suno_cover_async.errors import SunoCoverError
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import CoverTask
from suno_cover_async.policies import RetryPolicy

_SUBMITS_AT_ONCE = 20  # the documented limit: polls do not queue behind hundreds of submits
_NOT_HEARD_OF = "the ledger has not answered lately, so nothing was submitted"


class TrackSubmitter:
    """Submits tracks for one run, 20 at once."""

    def __init__(
        self,
        covers: CoverService,
        ledger: Ledger,
        run: RunState,
        retry: RetryPolicy,
        *,
        max_covers: int | None = None,
    ) -> None:
        """Create it for one run; `retry` applies to each submit.

        The ledger counts at most `max_covers` submits in its life; None is no limit.
        """
        self._covers = covers
        self._ledger = ledger
        self._run = run
        self._retry = retry
        self._max_covers = max_covers
        self._under_way = _UnderWay()
        self._turns = asyncio.Semaphore(_SUBMITS_AT_ONCE)

    async def turn_is_free(self) -> None:
        """Wait until fewer than 20 submits are under way.

        A run takes no track before that: other runs which share its ledger could submit it now.
        """
        async with self._turns:
            pass

    async def submit(self, entry: LedgerEntry) -> CoverTask | None:
        """Submit the track, and record the result before doing anything else.

        Returns:
            Its cover task; None if no submit was sent, since the run finishes or the limit of
            covers is reached.

        Raises:
            SunoCoverError: The submit failed.
            LedgerError: The ledger cannot be written.
        """
        # The submit runs in a separate task, so a cancellation here cannot separate the answer from
        # its record. When this task is cancelled, it still waits for an answer to a submit that was
        # sent and writes it to the ledger; otherwise a paid cover task would be lost.
        async with self._turns:
            if self._run.finishing:
                return None
            submit = asyncio.create_task(self._record_and_submit(entry))
            try:
                await self._run.unless_finishing(submit)
            except asyncio.CancelledError:
                with suppress(SunoCoverError):
                    await self._record(entry, submit)
                raise
            else:
                return await self._record(entry, submit)
            finally:
                self._under_way.end(entry)

    async def _may_submit(self, entry: LedgerEntry) -> bool:
        """Record that a submit may be sent; return whether the limit of covers allows it."""
        # Where the limit is reached, a submit that is under way may still be taken off the count:
        # it is refused, or never sent. So wait for those before the run gives up; otherwise a
        # catalog that begins with a wrong id would get fewer covers than the limit allows.
        while not self._run.reached_max_covers or entry.state is TrackState.SUBMITTING:
            changed = self._under_way.changed
            if await self._ledger.submitting(entry, at_most=self._max_covers):
                self._under_way.begin(entry)
                return True
            if self._run.finishing:  # the entry was released
                return False
            if not self._under_way.numbers and not changed.is_set():
                self._run.reach_max_covers()
                break
            await changed.wait()
        return False

    async def _record_and_submit(self, entry: LedgerEntry) -> CoverTask | None:
        """Record that a submit may be sent, then submit; return None if the limit is reached.

        When cancelled, it ends once the request that was sent is answered.
        """
        # The order matters. SUBMITTING is on the disk before the request is sent: after a crash
        # between the two, the next run knows that the track is possibly billed and repeats the
        # submit without paying twice. In the other order, a crash would leave a paid cover that
        # the ledger lists as never sent.
        if not await self._may_submit(entry):
            return None
        if entry.state is TrackState.SUBMITTING:
            self._covers.mark_possibly_billed(entry.music_task_id, failed=entry.task)
        # A process that stands still before it sends the request may find that another run has its
        # track by then, and is sending the same one.
        guards = self._covers.state.guards
        guards[entry.music_task_id] = self._not_heard_of
        try:
            return await self._covers.submit(
                entry.music_task_id, callback_timeout=self._covers.poll.timeout, policy=self._retry
            )
        except asyncio.CancelledError:
            await self._covers.settled(entry.music_task_id)
            raise
        finally:
            del guards[entry.music_task_id]

    def _not_heard_of(self) -> str | None:
        """Return why no submit may be sent for the moment; None if it may be."""
        return None if self._ledger.has_its_tracks() else _NOT_HEARD_OF

    async def _record(
        self, entry: LedgerEntry, submit: asyncio.Task[CoverTask | None]
    ) -> CoverTask | None:
        """Record the cover task of a submit, or that none was sent; raise the submit's error."""
        # A track becomes WAITING again only when it is certain that nothing was billed: no submit
        # was sent, or the API refused it. If the submit did not end, or the track was or is
        # possibly billed, it stays SUBMITTING, so the next run treats it as possibly billed.
        error: BaseException | None = None
        if submit.done() and not submit.cancelled():
            error = submit.exception()
            if error is None:
                task = submit.result()
                return None if task is None else await self._submitted(entry, task)
        task = self._covers.state.unclaimed.get(entry.music_task_id)
        if task is not None:
            return await self._submitted(entry, task)
        possibly_billed = not submit.done() or entry.state is TrackState.SUBMITTING
        if not possibly_billed and not self._covers.state.is_possibly_billed(entry.music_task_id):
            await self._ledger.unsent(entry)
        if error is not None:
            raise error
        return None

    async def _submitted(self, entry: LedgerEntry, task: CoverTask) -> CoverTask:
        self._run.progress.adopted += task.adopted
        self._run.progress.billed += not task.adopted
        self._covers.state.keep(task)  # `unclaimed`, until it is waited for
        await self._ledger.submitted(entry, task, base_url=self._covers.account.base_url)
        return task


class _UnderWay:
    """The submits of a run that are recorded as begun, and whose result is not recorded yet."""

    def __init__(self) -> None:
        self.numbers: set[int] = set()
        self.changed = asyncio.Event()

    def begin(self, entry: LedgerEntry) -> None:
        """Add a submit."""
        self.numbers.add(entry.number)

    def end(self, entry: LedgerEntry) -> None:
        """Remove a submit whose result is recorded, and wake whoever waits for `changed`."""
        if entry.number in self.numbers:
            self.numbers.discard(entry.number)
            self.changed.set()
            self.changed = asyncio.Event()

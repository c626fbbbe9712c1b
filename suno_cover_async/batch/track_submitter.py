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


class TrackSubmitter:
    """Submits tracks for one run, 20 at once."""

    def __init__(
        self, covers: CoverService, ledger: Ledger, run: RunState, retry: RetryPolicy
    ) -> None:
        """Create it for one run; `retry` applies to each submit."""
        self._covers = covers
        self._ledger = ledger
        self._run = run
        self._retry = retry
        self._turns = asyncio.Semaphore(_SUBMITS_AT_ONCE)

    async def submit(self, entry: LedgerEntry) -> CoverTask | None:
        """Submit the track, and record the result before doing anything else.

        Returns:
            Its cover task; None if the run finishes and no submit was sent.

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
            return await self._record(entry, submit)

    async def _record_and_submit(self, entry: LedgerEntry) -> CoverTask:
        """Record that a submit may be sent, then submit.

        When cancelled, it ends once the request that was sent is answered.
        """
        # The order matters. SUBMITTING is on the disk before the request is sent: after a crash
        # between the two, the next run knows that the track is possibly billed and repeats the
        # submit without paying twice. In the other order, a crash would leave a paid cover that
        # the ledger lists as never sent.
        if entry.state is TrackState.SUBMITTING:
            self._covers.mark_possibly_billed(entry.music_task_id, failed=entry.task)
        await self._ledger.submitting(entry)
        try:
            return await self._covers.submit(
                entry.music_task_id, callback_timeout=self._covers.poll.timeout, policy=self._retry
            )
        except asyncio.CancelledError:
            await self._covers.settled(entry.music_task_id)
            raise

    async def _record(
        self, entry: LedgerEntry, submit: asyncio.Task[CoverTask]
    ) -> CoverTask | None:
        """Record the cover task of a submit, or that none was sent; raise the submit's error."""
        # A track becomes WAITING again only when it is certain that nothing was billed: no submit
        # was sent, or the API refused it. If the submit did not end, or the track was or is
        # possibly billed, it stays SUBMITTING, so the next run treats it as possibly billed.
        error: BaseException | None = None
        if submit.done() and not submit.cancelled():
            error = submit.exception()
            if error is None:
                return await self._submitted(entry, submit.result())
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

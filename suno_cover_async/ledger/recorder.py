"""Define the steps of a catalog's run, as futures that are done once a step is on the disk.

This module owns which step is repeated if its commit fails. `steps.py` defines what each changes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.reader import LedgerReader
from suno_cover_async.ledger.run_steps import Intake, Others, OthersAtWorkError
from suno_cover_async.ledger.steps import Outlook, Totals
from suno_cover_async.ledger.store import Store, Work
from suno_cover_async.log_fields import fields
from suno_cover_async.models import CoverDetails, CoverTask, Track

T = TypeVar("T")

_log = logging.getLogger("suno_cover_async")

_AGAIN_SECONDS = 1.0  # between two questions whether a silent run was given up


class Recorder(LedgerReader):
    """The steps of a run; `Ledger` adds the opening and the account.

    Each method does its work in the order of calls, whether or not its future is awaited; the
    future is done once the step is on the disk. A step that must have the ledger alone is a
    coroutine: it waits while a silent run is in its way, which is given up after half of the time
    that a run may be silent.
    """

    def __init__(self, store: Store) -> None:
        """Record into this store, as no run yet."""
        super().__init__(store)
        self._run = 0
        self._has_worked = False  # whether the run may have added, held or changed anything

    def end_run(self, *, keep: bool = False) -> "asyncio.Future[None]":
        """Release what this run holds, but for tracks with a submit that may be on its way.

        A lease does so at its end; this is for a process that ends before. A run that was refused,
        or had nothing to do, is forgotten. With `keep`, it is tried again when the ledger is closed
        if it cannot be written now.
        """
        end = run_steps.end_run if self._has_worked else run_steps.forget_run
        return self._store.do(end(self._run), keep=keep)

    def note_balance(
        self, *, before: float | None = None, after: float | None = None
    ) -> "asyncio.Future[None]":
        """Record the account's credits before or after the latest run, where known."""
        columns = {"balance_before": before, "balance_after": after}
        known = {name: value for name, value in columns.items() if value is not None}
        self._has_worked = True
        return self._store.do(steps.change_run(self._run, **known))

    def outlook(self) -> "asyncio.Future[Outlook]":
        """Return what a run would find, and what earlier runs spent."""
        return self._store.do(steps.outlook)

    def count(self) -> "asyncio.Future[Totals]":
        """Return the number of music tasks in each state."""
        return self._store.do(steps.count)

    def others_at_work(self) -> "asyncio.Future[Others]":
        """Return what other runs are at work."""
        return self._store.do(run_steps.others(self._run))

    async def begin_intake(self, fingerprint: str | None) -> Intake:
        """Begin to work on a catalog, and return what to do about adding it.

        Raises:
            LedgerError: Other runs work on another catalog.
        """
        work = run_steps.begin_intake(self._run, fingerprint, self._store.name)
        return await _after_silent_runs(lambda: self._do(work))

    async def follow(self) -> None:
        """Begin to add tracks as they arrive.

        Raises:
            LedgerError: Other runs work on a catalog.
        """
        work = run_steps.follow(self._run, self._store.name)
        await _after_silent_runs(lambda: self._do(work))

    def forget_waiting(self) -> "asyncio.Future[int]":
        """Drop the tracks for which nothing was sent.

        Returns:
            How many music tasks were dropped.
        """
        return self._noted(self._do(steps.forget_waiting))

    def take_in(self, tracks: Sequence[Track]) -> "asyncio.Future[int]":
        """Add tracks in order; a known music task gets the title, if that is new.

        Returns:
            How many music tasks were added.

        Raises:
            TypeError: A column's value has no form in JSON.
            ValueError: Columns are nested too deeply.
        """
        return self._noted(self._do(steps.take_in(tracks)))

    def took_in(self, fingerprint: str | None) -> "asyncio.Future[None]":
        """Record that a catalog was added completely."""
        self._has_worked |= fingerprint is not None
        return self._do(lambda there: there.set_catalog(fingerprint))

    async def retry_failed(self) -> None:
        """Start again the entries that failed or need attention.

        An entry with a cover task that did not fail is polled again. The others are submitted
        again, which may be billed again; one that had a cover is possibly billed until then.

        Raises:
            LedgerError: Other runs are at work.
        """
        work = run_steps.retry_failed(self._run)
        await _after_silent_runs(lambda: self._noted(self._do(work)))

    def retry_refused(self, entry: LedgerEntry) -> "asyncio.Future[bool]":
        """Let an entry wait again whose submit was refused, so that nothing was billed for it.

        Returns:
            Whether it is such an entry; otherwise nothing is changed.
        """
        return self._noted(self._do(run_steps.retry_refused(entry.number)))

    def next_open(
        self, state: TrackState, after: int, limit: int
    ) -> "asyncio.Future[list[LedgerEntry]]":
        """Return entries in this state whose number is above `after`, in order."""
        return self._store.do(steps.page([state], after, limit))

    def claim(
        self, states: Sequence[TrackState], limit: int
    ) -> "asyncio.Future[list[LedgerEntry]]":
        """Hold entries that no run holds and return them, in order.

        They are of the first of these states that has any. Each is returned once in a run, unless
        it is released.
        """
        return self._noted(self._do(run_steps.claim(states, self._run, limit)))

    def claim_unsaved(self, limit: int) -> "asyncio.Future[list[LedgerEntry]]":
        """Hold covers whose images are not saved and return them, oldest first."""
        return self._noted(self._do(run_steps.claim_unsaved(self._run, limit)))

    def others_hold(self, states: Iterable[TrackState]) -> "asyncio.Future[bool]":
        """Return whether other runs work on entries in these states that may come to this one."""
        names = [state.value for state in states]
        run = self._run
        return self._do(lambda there: there.others_hold(names, run))

    def release(self, entry: LedgerEntry) -> "asyncio.Future[None]":
        """Let other runs take an entry, which this one claims no more."""
        number, run = entry.number, self._run
        return self._do(lambda there: there.release(number, run))

    def release_waiting(self) -> "asyncio.Future[None]":
        """Let other runs take the entries that this one holds and sent nothing for."""
        run = self._run
        return self._do(lambda there: there.release_all(TrackState.WAITING.value, run))

    def submits(self) -> "asyncio.Future[int]":
        """Return how many submits were started in the life of the ledger, over all catalogs.

        One that is repeated because its answer was lost counts once, one that was refused not.
        """
        return self._store.do(lambda there: there.submits())

    def submitting(
        self, entry: LedgerEntry, *, at_most: int | None = None
    ) -> "asyncio.Future[bool]":
        """Record that a submit may be sent; send it only after this future returned True.

        Args:
            entry: The entry, which this run holds.
            at_most: If the ledger counts this many `submits` already, a further one is not
                recorded. A submit that is repeated because its answer was lost is recorded always.
        """
        return self._do(steps.submitting(entry.number, self._run, at_most))

    def unsent(self, entry: LedgerEntry) -> "asyncio.Future[None]":
        """Record that no submit was sent after all."""
        return self._fact(steps.unsent(entry.number, self._run))

    def submitted(
        self, entry: LedgerEntry, task: CoverTask, *, base_url: str | None = None
    ) -> "asyncio.Future[None]":
        """Record a cover task, which is paid for, and the base URL where the API accepted it."""
        return self._fact(
            steps.Submitted(number=entry.number, task=task, run=self._run, base_url=base_url)
        )

    def has_answered(self, base_url: str) -> "asyncio.Future[bool]":
        """Return whether the API ever accepted a submit of this account at this base URL."""
        return self._store.do(lambda there: there.has_base_url(base_url))

    def covered(self, entry: LedgerEntry, details: CoverDetails) -> "asyncio.Future[None]":
        """Record a finished cover."""
        return self._fact(steps.covered(entry.number, self._run, details))

    def saved(self, entry: LedgerEntry, files: Sequence[Path]) -> "asyncio.Future[None]":
        """Record the files of a cover; one that got another title meanwhile is not saved yet."""
        return self._fact(steps.saved(entry, self._run, files))

    def put_off(self, entry: LedgerEntry) -> "asyncio.Future[None]":
        """Leave an entry to the next run."""
        return self._fact(steps.put_off(entry.number, self._run))

    def ended(
        self, entry: LedgerEntry, state: TrackState, error: Exception, *, task_known: bool = True
    ) -> "asyncio.Future[None]":
        """Record that an entry failed or needs attention.

        `task_known=False` removes its cover task, which belongs to another song.
        """
        return self._fact(steps.ended(entry.number, self._run, state, error, task_known=task_known))

    def _noted(self, step: "asyncio.Future[T]") -> "asyncio.Future[T]":
        """Note that the run has worked, unless the step found nothing, or was refused.

        A step that failed may have taken effect, if the answer to its commit was lost.
        """

        def note(step: "asyncio.Future[T]") -> None:
            error = None if step.cancelled() else step.exception()
            if not isinstance(error, OthersAtWorkError):
                self._has_worked |= step.cancelled() or error is not None or bool(step.result())

        step.add_done_callback(note)
        return step

    def _do(self, work: Work[T]) -> "asyncio.Future[T]":
        """Queue a step of this run, which does nothing once the run was given up."""
        return self._store.do(run_steps.HeldBy(self._run, work))

    def _fact(self, work: Work[T]) -> "asyncio.Future[T]":
        """Queue a step that states a fact: it is repeated if its commit fails."""
        self._has_worked = True
        return self._store.do(run_steps.HeldBy(self._run, work), keep=True)


async def _after_silent_runs(do: Callable[[], Awaitable[T]]) -> T:
    """Do a step; do it again while a silent run is in its way, and say so once."""
    told = False
    while True:
        try:
            return await do()
        except OthersAtWorkError as error:
            if not error.is_silent:
                raise
            if not told:
                _log.warning("%s", error, extra=fields("waiting_for_other_runs", error))
            told = True
        await asyncio.sleep(_AGAIN_SECONDS)

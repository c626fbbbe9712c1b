"""Run a catalog: cover it, show the progress, and report the result at the end.

`batch`, `generate` and `demo` are such runs. It knows `cover_catalog`; `output/` has the words.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from suno_cover_async import (
    CatalogRun,
    Covered,
    Failed,
    InFlight,
    Ledger,
    LedgerEntry,
    LedgerError,
    Outcome,
    Progress,
    Step,
    SunoCoverClient,
    SunoCoverError,
    Track,
    TrackState,
    cover_catalog,
)
from suno_cover_async.cli.actions.credits_used import CreditsUsed
from suno_cover_async.cli.actions.held_back import pause_of, why_queued
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.failures import exit_code, explain
from suno_cover_async.cli.ledger_path import LedgerPath, is_database
from suno_cover_async.cli.output.console import is_live, say, stderr
from suno_cover_async.cli.output.progress import Standing, progress
from suno_cover_async.cli.output.records import OutcomeRecord, SummaryRecord
from suno_cover_async.cli.output.report import FollowUp, Report, say_finishing, summarise
from suno_cover_async.cli.output.results import Results
from suno_cover_async.cli.output.throughput import Throughput
from suno_cover_async.ledger.ledger import Totals

_UNPAID = (TrackState.SUBMITTING, TrackState.WAITING)
_PAID = (TrackState.SUBMITTED, TrackState.COVERED)
_PAGE = 1_000
_LONGEST_DRAIN = 20.0  # seconds for answers to submits that are on the wire
_LONGEST_RELEASE = 5.0  # seconds for the ledger after that
_SHORTEST_SHARED = 60.0  # seconds before a rate: at first each run has the whole limit at once
_CHECK_EVERY = 0.1  # seconds, whether submits are on the wire


@attrs.define(eq=False, kw_only=True)
class Batch:
    """One run over a catalog.

    Attributes:
        client: The client to use; it is closed at the end.
        tracks: The catalog, checked already.
        ledger_path: The ledger: a file, or a database that other runs may share. None keeps it in
            memory, for this run only: then each track without an outcome is named at the end, the
            balance is not requested, and an outage is not waited out for longer than retries and
            timeouts allow.
        into: The folder of the images.
        results: Writes to standard output.
        follow_up: Reports what failed, and how to continue.
        retry_failed: Submit again what failed before.
        max_covers: The most submits in the life of the ledger; None is no limit.
        bad_lines: How many lines of the catalog name no track.
        refused: The errors of arguments that name no track.
        file_name: Returns the stem of a track's files; None takes title and id.
    """

    client: SunoCoverClient
    tracks: Iterable[Track]
    ledger_path: LedgerPath | None
    into: Path
    results: Results
    follow_up: FollowUp
    retry_failed: bool = False
    max_covers: int | None = None
    bad_lines: int = 0
    refused: Sequence[Exception] = ()
    file_name: Callable[[Track], str] | None = None
    _ledger: Ledger = attrs.field(init=False)
    _throughput: Throughput = attrs.field(init=False)
    _run: CatalogRun | None = attrs.field(default=None, init=False)
    _credits_used: CreditsUsed | None = attrs.field(default=None, init=False)
    _errors: dict[type[Exception], Exception] = attrs.field(init=False)
    _reason: Exception | None = attrs.field(default=None, init=False)
    _with_outcome: set[str] = attrs.field(factory=set[str], init=False)
    _unfinished: Sequence[LedgerEntry] = attrs.field(default=(), init=False)
    _waiting: int = attrs.field(default=0, init=False)
    _ended_before: int = attrs.field(default=0, init=False)
    _saved: int = attrs.field(default=0, init=False)
    _was_idle: bool = attrs.field(default=False, init=False)
    _can_finish: bool = attrs.field(default=False, init=False)
    _finishing: bool = attrs.field(default=False, init=False)
    _concluded: bool = attrs.field(default=False, init=False)
    _stopped_by: str = attrs.field(default="interrupted", init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare; nothing is opened yet."""
        self._ledger = Ledger(self.ledger_path)
        self._throughput = Throughput(_SHORTEST_SHARED) if self._is_shared else Throughput()
        self._errors = {type(error): error for error in self.refused}

    async def run(self) -> int:
        """Cover the catalog, and return the exit code."""
        try:
            await self._cover()
        except (SunoCoverError, OSError) as error:
            if self._run is None:
                raise
            self._reason = error
        except asyncio.CancelledError:
            say(stderr(), self._stopped_by, "yellow")
            raise
        finally:
            if self._run is not None:
                self._conclude(self._run.progress)
        return self._code()

    def finish(self) -> bool:
        """Submit nothing more and finish what is paid for; return False if that is not possible.

        It is not possible before the run has begun, or after its last outcome.
        """
        if self._run is None or not self._can_finish:
            return False
        self._run.finish()
        self._finishing = True
        if self._is_shared:  # the ledger counts the covers of other runs as well
            steps = [one.step for one in self._run.in_flight.values()]
            say_finishing(stderr(), len(steps) - steps.count(Step.SUBMIT))
        else:
            self._ledger.count().add_done_callback(_say_counted)
        return True

    async def drain(self) -> bool:
        """Submit nothing more, and wait for submits on the wire, for 20 s at most, after SIGTERM.

        Other runs that share the ledger get at once what nothing was sent for.

        Returns:
            Whether every submit that was sent is answered, and its answer recorded.
        """
        self._stopped_by = "stopped by SIGTERM"
        if self._run is None or not self._can_finish:
            return True
        self._run.finish()
        self._finishing = True
        what = "what is not submitted is given back; waiting up to 20 s for submits on the wire"
        say(stderr(), f"ending: {what}", "yellow")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_DRAIN):
                while any(one.step is Step.SUBMIT for one in self._run.in_flight.values()):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(_CHECK_EVERY)
                return True
        return False

    async def abandon(self) -> None:
        """Release all but the submits without an answer, for 5 s at most, and report."""
        if self._run is None:
            return
        with contextlib.suppress(LedgerError, TimeoutError):
            async with asyncio.timeout(_LONGEST_RELEASE):
                await self._ledger.end_run()
                await self._run.count()
        self._conclude(self._run.progress)

    @property
    def _is_shared(self) -> bool:
        """Whether other runs may work with the ledger at the same time."""
        return is_database(self.ledger_path)

    @property
    def billed(self) -> int:
        """How many covers this run was billed for."""
        return 0 if self._run is None else self._run.progress.billed

    async def _cover(self) -> None:
        # The ledger is entered first, so that it closes last: closing the client finishes submits
        # that are on the wire, and their cover task ids must still be written. A ledger in memory
        # is gone once it is closed, so the unfinished tracks are read after the client has closed
        # and before the ledger does.
        async with self._ledger:
            try:
                async with self.client:
                    await self._cover_with_all_open()
            finally:
                if self.ledger_path is None:
                    self._unfinished = await self._without_outcome()

    async def _cover_with_all_open(self) -> None:
        work = cover_catalog(
            self.client,
            self.tracks,
            ledger=self._ledger,
            into=self.into,
            retry_failed=self.retry_failed,
            max_covers=self.max_covers,
            file_name=self.file_name,
            wait_out_outages=self.ledger_path is not None,
        )
        try:
            async with work as self._run:
                self._ended_before = self._run.progress.done + self._run.progress.failed
                self._was_idle = not self._run.progress.left
                await self._follow(self._run)
        except asyncio.CancelledError:
            # Leaving the block has finished what was on the wire. Outcomes of that are not read
            # yet; without them the report would call finished tracks unfinished.
            if self._run is not None:
                await self._add_the_rest(self._run)
            raise

    async def _follow(self, run: CatalogRun) -> None:
        """Process every outcome, up to the last one or the error that stops the run."""
        self._can_finish = True
        async with contextlib.AsyncExitStack() as stack:
            show = _nothing if self._was_idle else stack.enter_context(self._progress())
            await self._watch_the_balance(run, stack)
            try:
                async for outcome in run:
                    self._add(outcome)
                    show(outcome)
            except SunoCoverError as error:
                self._reason = error
        self._can_finish = False
        if run.reached_max_covers:
            with contextlib.suppress(LedgerError):
                found = await self._ledger.outlook()
                self._waiting = found.totals[TrackState.WAITING] + found.again

    async def _watch_the_balance(self, run: CatalogRun, stack: contextlib.AsyncExitStack) -> None:
        """Request the balance, if this run may be billed and has a ledger."""
        if self.ledger_path is None:
            return
        self._credits_used = CreditsUsed(
            self.client.credits, run.progress, self._ledger, shared=self._is_shared
        )
        totals = await self._ledger.count()
        if any(totals[state] for state in _UNPAID):
            await stack.enter_async_context(self._credits_used.watched())

    async def _add_the_rest(self, run: CatalogRun) -> None:
        """Process the outcomes that arrived while the run was being stopped."""
        with contextlib.suppress(SunoCoverError):
            async for outcome in run:
                self._add(outcome)

    def _add(self, outcome: Outcome) -> None:
        self.results.add(OutcomeRecord.of(outcome))
        self.follow_up.add(outcome)
        self._saved += isinstance(outcome, Covered)
        if isinstance(outcome, Failed):
            self._errors.setdefault(type(outcome.error), outcome.error)
        if self.ledger_path is None:
            self._with_outcome.add(outcome.track.music_task_id)

    async def _without_outcome(self) -> list[LedgerEntry]:
        """Return the tracks that had no outcome in this run, those that are paid for first."""
        found: list[LedgerEntry] = []
        with contextlib.suppress(LedgerError):
            for state in (*_PAID, *_UNPAID):
                after = 0
                while page := await self._ledger.next_open(state, after, _PAGE):
                    after = page[-1].number
                    found += [one for one in page if one.music_task_id not in self._with_outcome]
        return found

    def _progress(self) -> contextlib.AbstractContextManager[Callable[[Outcome], None]]:
        live = is_live(stderr()) and not self.results.tear_a_display
        return progress(stderr(), self._standing, live=live)

    def _standing(self) -> Standing:
        numbers = Progress() if self._run is None else self._run.progress
        in_flight: Mapping[str, InFlight] = {} if self._run is None else self._run.in_flight
        now = time.monotonic()  # as the event loop does; this may be called in another thread
        ended = numbers.done + numbers.failed
        if ended > self._ended_before:  # by any run that shares the ledger
            self._throughput.note(now, ended - self._ended_before)
        others_may_work = numbers.other_runs > 0 or (self._is_shared and ended > 0)
        return Standing(
            total=numbers.total,
            done=numbers.done,
            failed=numbers.failed,
            in_flight=in_flight,
            queued_by=None
            if self._finishing
            else why_queued(self.client, in_flight, now, shared=others_may_work),
            per_minute=self._throughput.per_minute(now),
            credits_used=None if self._credits_used is None else self._credits_used.used,
            finishing=self._finishing,
            pause=pause_of(self.client),
            trouble=self._ledger.trouble or self.client.limiter.trouble,
            other_runs=numbers.other_runs,
        )

    def _conclude(self, numbers: Progress) -> None:
        if self._concluded:
            return
        self._concluded = True
        report = Report(
            into=self.into,
            numbers=numbers,
            was_idle=self._was_idle,
            bad_lines=self.bad_lines,
            credits_used=None if self._credits_used is None else self._credits_used.used,
            reason=self._reason,
            unwritten=self._ledger.unwritten,
            unfinished=self._unfinished,
            waiting=self._waiting,
            shared=self._is_shared,
            saved=self._saved,
        )
        self.results.end(
            map(OutcomeRecord.unfinished, self._unfinished),
            SummaryRecord.of(
                numbers,
                credits_used=report.credits_used,
                reason=report.reason,
                bad_lines=report.bad_lines,
                waiting=report.waiting,
            ),
        )
        summarise(stderr(), report, self.follow_up.noun)
        self.follow_up.say_next(report)
        if self.results.trouble is not None:
            say(stderr(), f"Error: {explain(self.results.trouble)}", "red")

    def _code(self) -> ExitCode:
        """Return the exit code; tracks that failed in earlier runs count as failures too."""
        ended_by = [error for error in (self._reason, self.results.trouble) if error is not None]
        code = exit_code([*ended_by, *self._errors.values()])
        numbers = Progress() if self._run is None else self._run.progress
        if code is ExitCode.DONE:
            is_left = numbers.left > self._waiting
            return ExitCode.FAILED if numbers.failed or is_left else ExitCode.DONE
        return ExitCode.FAILED if code is ExitCode.TIMED_OUT and numbers.failed else code


def _nothing(_: Outcome) -> None:
    """Show nothing."""


def _say_counted(counted: "asyncio.Future[Totals]") -> None:
    if not counted.cancelled() and counted.exception() is None:
        say_finishing(stderr(), sum(counted.result()[state] for state in _PAID))

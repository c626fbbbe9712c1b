"""`batch`: cover a whole catalog, show how it goes, and say in the end where all stands.

It knows `cover_catalog` and when to ask for the balance; how things look and read is the business
of the modules beside it.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import attrs

from suno_cover_async import (
    Failed,
    Ledger,
    OutageGate,
    Outcome,
    Outcomes,
    SunoCoverClient,
    SunoCoverError,
    Tally,
    TrackState,
    cover_catalog,
)
from suno_cover_async.cli.catalog_display import Pause, Standing, progress
from suno_cover_async.cli.catalog_report import (
    Command,
    Failures,
    Report,
    summarise,
    write_json,
    write_paths,
    write_summary,
)
from suno_cover_async.cli.console import is_live, say, stderr
from suno_cover_async.cli.credits_used import CreditsUsed
from suno_cover_async.cli.exits import ExitCode, exit_code, explain
from suno_cover_async.cli.intake import Intake
from suno_cover_async.cli.speed import Speed
from suno_cover_async.ledger import Totals

_UNPAID = (TrackState.WAITING, TrackState.SUBMITTING)
_PAID = (TrackState.SUBMITTED, TrackState.COVERED)


@attrs.define(eq=False, kw_only=True)
class Batch:
    """One run of `batch`.

    Attributes:
        client: What to cover with; closed in the end.
        ledger: Where to remember; closed in the end.
        intake: The catalog, judged already.
        into: The folder of the images.
        retry_failed: Begin anew with what failed before.
        as_json: Write all about each outcome, not just its files.
        command: How it was started.
    """

    client: SunoCoverClient
    ledger: Ledger
    intake: Intake
    into: Path
    retry_failed: bool
    as_json: bool
    command: Command
    _failures: Failures = attrs.field(init=False)
    _speed: Speed = attrs.field(factory=Speed, init=False)
    _outcomes: Outcomes | None = attrs.field(default=None, init=False)
    _credits_used: CreditsUsed | None = attrs.field(default=None, init=False)
    _reason: Exception | None = attrs.field(default=None, init=False)
    _unwritable: OSError | None = attrs.field(default=None, init=False)
    _ended_before: int = attrs.field(default=0, init=False)
    _was_idle: bool = attrs.field(default=False, init=False)
    _can_finish: bool = attrs.field(default=False, init=False)
    _finishing: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare; nothing is said yet."""
        self._failures = Failures(stderr(), self.command)

    async def run(self) -> int:
        """Cover it, and return the exit code."""
        try:
            await self._cover()
        except (SunoCoverError, OSError) as error:
            if self._outcomes is None:
                raise
            self._reason = error
        except asyncio.CancelledError:
            say(stderr(), "interrupted", "yellow")
            raise
        finally:
            if self._outcomes is not None:
                self._conclude(self._outcomes)
        return ExitCode.DONE if self._outcomes is None else self._code(self._outcomes.tally)

    def finish(self) -> bool:
        """Submit nothing more and end with what is paid for; tells whether that is possible."""
        if self._outcomes is None or not self._can_finish:
            return False
        self._outcomes.finish()
        self._finishing = True
        self.ledger.count().add_done_callback(_say_finishing)
        return True

    @property
    def billed(self) -> int:
        """How many covers this run was billed for."""
        return 0 if self._outcomes is None else self._outcomes.tally.billed

    async def _cover(self) -> None:
        work = cover_catalog(
            self.client,
            self.intake.catalog,
            ledger=self.ledger,
            into=self.into,
            retry_failed=self.retry_failed,
        )
        async with self.ledger, self.client:
            try:
                async with work as outcomes:
                    self._begin(outcomes)
                    await self._follow(outcomes)
            except asyncio.CancelledError:
                if self._outcomes is not None:
                    await self._hear_the_rest(self._outcomes)
                raise

    def _begin(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes
        self._ended_before = outcomes.tally.done + outcomes.tally.failed
        self._was_idle = not outcomes.tally.left

    async def _follow(self, outcomes: Outcomes) -> None:
        """Hear of every outcome, up to the last one or the reason to stop."""
        totals = await self.ledger.count()
        self._credits_used = CreditsUsed(self.client.credits, outcomes.tally, self.ledger)
        self._can_finish = True
        async with contextlib.AsyncExitStack() as stack:
            show = _nothing if self._was_idle else stack.enter_context(self._progress())
            if any(totals[state] for state in _UNPAID):
                await stack.enter_async_context(self._credits_used.watched())
            try:
                async for outcome in outcomes:
                    self._hear(outcome)
                    show()
            except SunoCoverError as error:
                self._reason = error
        self._can_finish = False

    async def _hear_the_rest(self, outcomes: Outcomes) -> None:
        """Hear of what ended while it was being stopped."""
        with contextlib.suppress(SunoCoverError):
            async for outcome in outcomes:
                self._hear(outcome)

    def _hear(self, outcome: Outcome) -> None:
        try:
            if self.as_json:
                write_json(outcome)
            elif not self._is_watched():  # paths would tear the bar; the folder is named in the end
                write_paths(outcome)
        except OSError as error:  # said in the end; later results go nowhere
            self._unwritable = error
        if isinstance(outcome, Failed):
            self._failures.tell(outcome)
        if self._outcomes is not None:
            tally = self._outcomes.tally
            self._speed.note(time.monotonic(), tally.done + tally.failed - self._ended_before)

    def _is_watched(self) -> bool:
        """Whether results and the bar would share a terminal."""
        return is_live(stderr()) and sys.stdout.isatty()

    def _progress(self) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Show how far it is: by a bar, unless JSON goes to the same terminal."""
        bar = is_live(stderr()) and not (self.as_json and self._is_watched())
        return progress(stderr(), self._standing, bar=bar)

    def _standing(self) -> Standing:
        tally = Tally() if self._outcomes is None else self._outcomes.tally
        return Standing(
            total=tally.total,
            done=tally.done,
            failed=tally.failed,
            in_flight=tally.in_flight,
            per_minute=self._speed.per_minute(time.monotonic()),
            credits_used=None if self._credits_used is None else self._credits_used.used,
            finishing=self._finishing,
            pause=self._pause(),
        )

    def _pause(self) -> Pause | None:
        gates = (self.client.outage, self.client.submit_outage, self.client.image_outage)
        return next(filter(None, map(_pause, gates)), None)

    def _conclude(self, outcomes: Outcomes) -> None:
        report = Report(
            command=self.command,
            into=self.into,
            tally=outcomes.tally,
            was_idle=self._was_idle,
            bad_lines=self.intake.bad,
            credits_used=None if self._credits_used is None else self._credits_used.used,
            reason=self._reason,
            unwritten=self.ledger.unwritten,
            failures=self._failures,
        )
        summarise(stderr(), report)
        if self.as_json:
            try:
                write_summary(report)
            except OSError as error:
                self._unwritable = error
        if self._unwritable is not None:
            say(stderr(), f"Error: {explain(self._unwritable)}", "red")

    def _code(self, tally: Tally) -> ExitCode:
        troubles = [error for error in (self._reason, self._unwritable) if error is not None]
        if troubles:
            return exit_code(troubles)
        return ExitCode.FAILED if tally.failed or tally.left else ExitCode.DONE


def _nothing() -> None:
    """Show nothing."""


def _pause(gate: OutageGate) -> Pause | None:
    since, trouble = gate.since, gate.trouble
    if since is None or trouble is None:
        return None
    ago = timedelta(seconds=time.monotonic() - since)
    since_then = datetime.now().astimezone() - ago
    return Pause(what=gate.what, since=since_then, trouble=explain(trouble))


def _say_finishing(counted: "asyncio.Future[Totals]") -> None:
    if counted.cancelled() or counted.exception() is not None:
        return
    paid = sum(counted.result()[state] for state in _PAID)
    covers = "1 cover that is" if paid == 1 else f"{paid:,} covers that are"
    what = f"finishing {covers} paid for" if paid else "finishing what is under way"
    more = "Ctrl-C again stops now, nothing is lost: the same command goes on"
    say(stderr(), f"{what}; {more}", "yellow")

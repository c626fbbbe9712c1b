"""Write the next steps after a run with a ledger file: the commands that continue it.

The ledger file records each track, so these commands need no ids. It knows outcomes and how the
run was started; it knows no client and no ledger.
"""

import shlex
from collections.abc import Sequence

import attrs
from rich.console import Console

from suno_cover_async import CoverExpiredError, CoverTimeoutError, Failed, Outcome, Track
from suno_cover_async.cli.output.console import copyable, say
from suno_cover_async.cli.output.report import Report, are, count, say_failure
from suno_cover_async.cli.output.rows import named
from suno_cover_async.common.text import printable

_MOST_SHOWN = 50  # failures that are written at once
_MOST_EXPIRED = 20
_LONGEST_COMMAND = 10_000


@attrs.frozen(kw_only=True)
class Command:
    """How this run was started, to write the command for the next run.

    Attributes:
        catalog: The catalog argument.
        ledger: The ledger's path.
        options: All options but `--retry-failed`, since a failed track must not be retried twice.
        longer: The same options with a longer `--timeout`, for a run in which covers timed out.
        max_covers: The limit of covers, which is no option above; None if there is none.
    """

    catalog: str
    ledger: str
    options: Sequence[str]
    longer: Sequence[str] = ()
    max_covers: int | None = None

    def again(self, *more: str, timed_out: bool = False, limited: bool = True) -> str:
        """Return the command that continues the run.

        Args:
            more: Further options.
            timed_out: Whether covers timed out; the command waits longer then.
            limited: Whether to keep the limit of covers.
        """
        options = ["--ledger", self.ledger, *(self.longer if timed_out else self.options)]
        if limited and self.max_covers is not None:
            options += ["--max-covers", str(self.max_covers)]
        options += more
        if self.catalog.startswith("-") and self.catalog != "-":
            return command_line("batch", *options, "--", self.catalog)
        return command_line("batch", self.catalog, *options)

    def show(self) -> str:
        """Return the command that shows what failed."""
        return command_line("ledger", "show", *self._ledger())

    def review(self) -> str:
        """Return the command with which a person chooses images."""
        return command_line("review", *self._ledger())

    def _ledger(self) -> Sequence[str]:
        return ["--", self.ledger] if self.ledger.startswith("-") else [self.ledger]


class LedgerFollowUp:
    """Writes the first failures at once, and the commands that list all failures or continue."""

    noun = "track"

    def __init__(self, console: Console, command: Command) -> None:
        """Write nothing yet."""
        self._console = console
        self._command = command
        self._shown = 0
        self._timed_out = False
        self._expired = 0
        self._first_expired: list[Track] = []

    def add(self, outcome: Outcome) -> None:
        """Write a failure as one line; after 50, write once which command lists all of them."""
        if not isinstance(outcome, Failed):
            return
        self._note_if_expired(outcome)
        self._timed_out = self._timed_out or isinstance(outcome.error, CoverTimeoutError)
        self._shown += 1
        if self._shown <= _MOST_SHOWN:
            say_failure(self._console, outcome)
        elif self._shown == _MOST_SHOWN + 1:
            say(self._console, "further failures are counted only; this command lists them:", "red")
            copyable(self._console, self._command.show())

    def say_next(self, report: Report) -> None:
        """Write what expired, was skipped, failed and is left, with the commands to run next."""
        if self._expired:
            self._say_expired()
        if report.bad_lines:
            lines = count(report.bad_lines, "line")
            say(self._console, f"left out: {lines} of the catalog without a track", "yellow")
        if report.numbers.failed:
            self._say_failed(report.numbers.failed)
        if report.waiting:
            self._say_waiting(report.waiting)
        left = report.numbers.left - report.waiting
        if report.is_outdated:
            self._say_unknown()
        elif left:
            self._say_left(left, report.numbers.other_runs)
        if report.numbers.done and not (left or report.is_outdated):
            say(self._console, "next, choose one image of each cover, on a page in your browser:")
            copyable(self._console, self._command.review())

    def _note_if_expired(self, failed: Failed) -> None:
        if isinstance(failed.error, CoverExpiredError) and not failed.error.retryable:
            self._expired += 1
            if len(self._first_expired) < _MOST_EXPIRED:
                self._first_expired.append(failed.track)

    def _say_expired(self) -> None:
        many = f"{count(self._expired, 'cover')} expired"
        gone = f"{many}: the images are gone for good, and there is no second set"
        say(self._console, gone, "red")
        for track in self._first_expired:
            say(self._console, named(track), indent=2)
        more = self._expired - len(self._first_expired)
        if more:
            say(self._console, f"and {more:,} more", indent=2)

    def _say_failed(self, many: int) -> None:
        needs = "needs" if many == 1 else "need"
        what = f"{count(many, 'track')} failed or {needs} attention; to list them with reasons:"
        say(self._console, what, "red")
        copyable(self._console, self._command.show())
        say(self._console, "to try again (a cover that failed may be billed again):")
        copyable(self._console, self._command.again("--retry-failed"))

    def _say_waiting(self, many: int) -> None:
        wait = "waits" if many == 1 else "wait"
        reached = f"--max-covers {self._command.max_covers} is reached"
        advice = "look at the covers, then run again with a larger --max-covers, or without:"
        say(self._console, f"{reached}: {count(many, 'track')} {wait}; {advice}")
        copyable(self._console, self._command.again(limited=False))

    def _say_unknown(self) -> None:
        what = "once the ledger can be read, the same command goes on with what is left, and"
        say(self._console, f"{what} never pays twice:", "yellow")
        copyable(self._console, self._command.again(timed_out=self._timed_out))

    def _say_left(self, many: int, other_runs: int) -> None:
        how = "waiting longer, this command" if self._timed_out else "the same command"
        what = f"{count(many, 'track')} {are(many)} left; {how} continues, and never pays twice:"
        if other_runs:
            who = f"{count(other_runs, 'other run')} {'goes' if other_runs == 1 else 'go'} on with"
            what = f"{who} the {count(many, 'track')} left; {how} joins in, and never pays twice:"
        say(self._console, what, "yellow")
        copyable(self._console, self._command.again(timed_out=self._timed_out))


def command_line(*words: str) -> str:
    """Return a command, quoted for a shell."""
    return printable(shlex.join(["suno-cover", *words]), _LONGEST_COMMAND)

"""What is said of a catalog: each outcome as it comes, and in the end where all stands.

Nothing that was paid for may be forgotten, and what to do next is ready to be copied. It knows
outcomes and their tally; it knows no client.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

import attrs
from rich.console import Console

from suno_cover_async import Covered, CoverTask, Failed, Outcome, Tally, Track
from suno_cover_async.cli.catalog_display import amount
from suno_cover_async.cli.console import copyable, path_result, result, say
from suno_cover_async.cli.exits import advise, explain
from suno_cover_async.cli.records import LastRecord, OutcomeRecord, SummaryRecord, as_json
from suno_cover_async.errors import CoverExpiredError
from suno_cover_async.text import printable

_MOST_TOLD = 50  # failures, as they come
_MOST_EXPIRED = 20
_MOST_UNWRITTEN = 100
_LONGEST_COMMAND = 10_000


@attrs.frozen(kw_only=True)
class Command:
    """How this run was started, for whoever starts the next one.

    Attributes:
        catalog: The catalog, as given.
        ledger: The ledger's path.
        options: All options but `--retry-failed`: what it retried must not be retried twice.
    """

    catalog: str
    ledger: str
    options: Sequence[str]

    def again(self, *more: str) -> str:
        """Write the command that goes on."""
        options = ["--ledger", self.ledger, *self.options, *more]
        if self.catalog.startswith("-") and self.catalog != "-":
            return _line("batch", *options, "--", self.catalog)
        return _line("batch", self.catalog, *options)

    def show(self) -> str:
        """Write the command that shows what failed."""
        dashed = ["--"] if self.ledger.startswith("-") else []
        return _line("ledger", "show", *dashed, self.ledger)


def write_paths(outcome: Outcome) -> None:
    """Write the paths of a track's images to standard output."""
    if isinstance(outcome, Covered):
        for file in outcome.files:
            path_result(file)


def write_json(outcome: Outcome) -> None:
    """Write all about an outcome to standard output, as one line of JSON."""
    result(as_json(OutcomeRecord.of(outcome)))


class Failures:
    """Says what fails as it comes, the first of it; and remembers what is gone for good."""

    def __init__(self, console: Console, command: Command) -> None:
        """Say nothing yet."""
        self._console = console
        self._command = command
        self._told = 0
        self.expired: int = 0
        self.first_expired: list[Track] = []

    def tell(self, failed: Failed) -> None:
        """Say it in one line."""
        error = failed.error
        if isinstance(error, CoverExpiredError) and not error.retryable:
            self.expired += 1
            if len(self.first_expired) < _MOST_EXPIRED:
                self.first_expired.append(failed.track)
        self._told += 1
        if self._told <= _MOST_TOLD:
            what, style = ("left for now", "yellow") if error.retryable else ("failed", "red")
            say(self._console, f"{what}: {named(failed.track)}: {explain(error)}", style)
        elif self._told == _MOST_TOLD + 1:
            say(self._console, "further failures are counted only; they are named by:", "red")
            copyable(self._console, self._command.show())


@attrs.frozen(kw_only=True)
class Report:
    """Where all stands when a run ends.

    Attributes:
        command: How it was started.
        into: The folder of the images.
        tally: How far it is.
        was_idle: There was nothing to do.
        bad_lines: The catalog's lines that name no track.
        credits_used: By this run; None where that is not known.
        reason: Why it stopped before all was done, where an error was why.
        unwritten: Cover tasks that are paid for, and that the ledger could not note.
        failures: What failed in this run.
    """

    command: Command
    into: Path
    tally: Tally
    was_idle: bool
    bad_lines: int
    credits_used: float | None
    reason: Exception | None
    unwritten: Sequence[CoverTask]
    failures: Failures


def write_summary(report: Report) -> None:
    """Write it to standard output, as one line of JSON."""
    summary = SummaryRecord.of(
        report.tally,
        credits_used=report.credits_used,
        reason=report.reason,
        bad_lines=report.bad_lines,
    )
    result(as_json(LastRecord(summary=summary)))


def summarise(console: Console, report: Report) -> None:
    """Say it, and what to do next."""
    tally = report.tally
    if report.was_idle:
        say(console, f"nothing left to do: {_saved(tally)} {_are(tally.done)} saved", "green")
    else:
        where = printable(str(report.into))
        say(console, f"saved {_saved(tally)} in {where}", "green" if tally.done else "")
    if report.failures.expired:
        _say_expired(console, report.failures)
    if not report.was_idle:
        _say_numbers(console, report)
    if report.bad_lines:
        lines = _count(report.bad_lines, "line")
        say(console, f"left out: {lines} of the catalog without a track", "yellow")
    if report.reason is not None:
        _say_reason(console, report.reason)
    if report.unwritten:
        _say_unwritten(console, report.unwritten)
    if tally.failed:
        _say_failed(console, report)
    if tally.left:
        are = f"{_count(tally.left, 'track')} {_are(tally.left)} left"
        say(console, f"{are}; the same command goes on, and never pays twice:", "yellow")
        copyable(console, report.command.again())


def named(track: Track) -> str:
    """Name a track for people."""
    return printable(track.title, 80) or track.music_task_id


def _say_numbers(console: Console, report: Report) -> None:
    tally = report.tally
    numbers = [
        f"billed {tally.billed:,}",
        f"adopted {tally.adopted:,}",
        f"ambiguous {tally.ambiguous:,}",
        f"failed {tally.failed:,}",
        f"left {tally.left:,}",
    ]
    if report.credits_used is not None:
        numbers.append(f"credits used {amount(report.credits_used)}")
    say(console, ", ".join(numbers))
    if tally.ambiguous:
        words = "ambiguous: perhaps billed; the next run finds out, never paying twice"
        say(console, words, "yellow", indent=2)


def _say_reason(console: Console, reason: Exception) -> None:
    say(console, f"Error: {explain(reason)}", "bold red")
    advice = advise(reason)
    if advice is not None:
        say(console, f"next: {advice}")


def _say_expired(console: Console, failures: Failures) -> None:
    many = _count(failures.expired, "cover")
    say(console, f"{many} expired: the images are gone for good, and there is no second set", "red")
    for track in failures.first_expired:
        say(console, named(track), indent=2)
    more = failures.expired - len(failures.first_expired)
    if more:
        say(console, f"and {more:,} more", indent=2)


def _say_unwritten(console: Console, unwritten: Sequence[CoverTask]) -> None:
    say(console, "paid for, and not in the ledger; the next run finds them again:", "red")
    for task in unwritten[:_MOST_UNWRITTEN]:
        music, cover = printable(task.music_task_id), printable(task.cover_task_id)
        say(console, f"music task {music}: cover task {cover}", indent=2)
    more = len(unwritten) - _MOST_UNWRITTEN
    if more > 0:
        say(console, f"and {more:,} more", indent=2)


def _say_failed(console: Console, report: Report) -> None:
    many = report.tally.failed
    needs = "needs" if many == 1 else "need"
    say(console, f"{_count(many, 'track')} failed or {needs} attention; which, and why:", "red")
    copyable(console, report.command.show())
    say(console, "to try again; a cover that failed may be billed again:")
    copyable(console, report.command.again("--retry-failed"))


def _saved(tally: Tally) -> str:
    return f"{tally.done:,} of {_count(tally.total, 'track')}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _line(*words: str) -> str:
    return printable(shlex.join(["suno-cover", *words]), _LONGEST_COMMAND)

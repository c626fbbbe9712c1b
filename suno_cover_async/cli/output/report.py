"""Write the report at the end of a run: what is finished, was saved, cost, and why it stopped.

It knows the numbers of a run. A `FollowUp` writes what is left and how to continue, since that
differs with and without a ledger file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import attrs
from rich.console import Console

from suno_cover_async import CoverTask, Failed, LedgerEntry, Outcome, Progress
from suno_cover_async.cli.failures import advise, explain
from suno_cover_async.cli.output.console import say
from suno_cover_async.cli.output.progress import amount
from suno_cover_async.cli.output.rows import named
from suno_cover_async.common.text import printable

_MOST_UNWRITTEN = 100


@attrs.frozen(kw_only=True)
class Report:
    """The result of a run.

    Attributes:
        into: The folder of the images.
        numbers: The counts of the run.
        was_idle: Whether there was nothing to do.
        bad_lines: How many lines of the catalog name no track.
        credits_used: The credits used by this run; None if unknown.
        reason: The error that stopped the run before all was done; None if there was none.
        unwritten: Cover tasks that are paid for, but could not be written to the ledger.
        unfinished: Tracks without an outcome in this run; empty if there is a ledger file.
        waiting: Tracks that were not submitted since the limit of covers is reached; part of what
            is left.
        shared: Whether other runs may have worked with the ledger at the same time.
        saved: How many tracks this run saved itself.
    """

    into: Path
    numbers: Progress
    was_idle: bool
    bad_lines: int
    credits_used: float | None
    reason: Exception | None
    unwritten: Sequence[CoverTask]
    unfinished: Sequence[LedgerEntry]
    waiting: int = 0
    shared: bool = False
    saved: int = 0

    @property
    def is_outdated(self) -> bool:
        """Whether what all runs have done is not known, since the ledger cannot be read."""
        return self.shared and self.numbers.outdated_since is not None


class FollowUp(Protocol):
    """Writes what failed, what is left, and how to continue.

    Attributes:
        noun: The word for a track in messages: "track" or "song".
    """

    noun: str

    def add(self, outcome: Outcome) -> None:
        """Record an outcome; may write at once that a track failed."""

    def say_next(self, report: Report) -> None:
        """Write what is left, and what to do next."""


def summarise(console: Console, report: Report, noun: str) -> None:
    """Write what was saved, what it cost, and why the run stopped."""
    numbers = report.numbers
    saved = f"{numbers.done:,} of {count(numbers.total, noun)}"
    if report.was_idle and numbers.total:
        say(console, f"nothing left to do: {saved} {are(numbers.done)} saved", "green")
    elif report.is_outdated:
        _say_own_numbers(console, report, noun)
    elif numbers.total:
        where = printable(str(report.into))
        place = f"; the images of this run are in {where}" if report.shared else f" in {where}"
        say(console, f"saved {saved}{place}", "green" if numbers.done else "")
        _say_numbers(console, report)
    if report.reason is not None:
        _say_reason(console, report.reason)
    if report.unwritten:
        _say_unwritten(console, report.unwritten)


def say_finishing(console: Console, paid: int) -> None:
    """Write that a run submits nothing more, and finishes so many covers that are paid for."""
    what = f"finishing {count(paid, 'cover')} that {are(paid)} paid for"
    more = "Ctrl-C again stops now, nothing is lost: the same command continues"
    say(console, f"{what if paid else 'finishing what is under way'}; {more}", "yellow")


def say_failure(console: Console, failed: Failed) -> None:
    """Write in one line that a track failed, or is left to the next run, and why."""
    error = failed.error
    what, style = ("left for now", "yellow") if error.retryable else ("failed", "red")
    reason = explain(error, alone=not failed.track.title)
    say(console, f"{what}: {named(failed.track)}: {reason}", style)


def count(number: int, noun: str) -> str:
    """Format a number with its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def are(number: int) -> str:
    """Return "is" for 1, else "are"."""
    return "is" if number == 1 else "are"


def _say_numbers(console: Console, report: Report) -> None:
    numbers = report.numbers
    words = [
        f"billed {numbers.billed:,}",
        f"adopted {numbers.adopted:,}",
        f"possibly billed {numbers.possibly_billed:,}",
        f"failed {numbers.failed:,}",
        f"left {numbers.left:,}",
    ]
    if report.credits_used is not None:
        words.append(f"credits used {amount(report.credits_used)}")
    say(console, ", ".join(words))
    if numbers.possibly_billed:
        who = "another run, or the next one," if report.shared else "the next run"
        hint = f"possibly billed: {who} finds out, and never pays twice"
        say(console, hint, "yellow", indent=2)


def _say_own_numbers(console: Console, report: Report, noun: str) -> None:
    """Write what the run itself did, and of when the numbers of all runs are."""
    numbers, where = report.numbers, printable(str(report.into))
    say(console, f"this run saved {count(report.saved, noun)} in {where}")
    words = (
        f"billed {numbers.billed:,}",
        f"adopted {numbers.adopted:,}",
        f"possibly billed {numbers.possibly_billed:,}",
    )
    say(console, ", ".join(words))
    if numbers.outdated_since is not None:
        saved = f"{numbers.done:,} of {count(numbers.total, noun)} saved"
        when = f"{numbers.outdated_since.astimezone():%H:%M:%S}"
        had = f"at {when} it had {saved}, {numbers.failed:,} failed"
        say(console, f"the ledger cannot be read; {had}", "yellow")


def _say_reason(console: Console, reason: Exception) -> None:
    say(console, f"Error: {explain(reason)}", "bold red")
    advice = advise(reason)
    if advice is not None:
        say(console, f"next: {advice}")


def _say_unwritten(console: Console, unwritten: Sequence[CoverTask]) -> None:
    say(console, "paid for, and not in the ledger; the next run finds them again:", "red")
    for task in unwritten[:_MOST_UNWRITTEN]:
        music, cover = printable(task.music_task_id), printable(task.cover_task_id)
        say(console, f"music task {music}: cover task {cover}", indent=2)
    more = len(unwritten) - _MOST_UNWRITTEN
    if more > 0:
        say(console, f"and {more:,} more", indent=2)

"""Say which covers of a ledger are not downloaded yet, and how long their images are still kept.

It owns the limit below which it warns. It reads the ledger; `ledger.py` beside it writes the rest.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import attrs
from rich.console import Console

from suno_cover_async import Ledger, LedgerEntry
from suno_cover_async.cli.output.console import copyable, say
from suno_cover_async.cli.output.follow_up import command_line
from suno_cover_async.cli.output.report import are, count

_SOON = 48  # hours
_READ = 1_000  # of the oldest covers


@attrs.frozen(kw_only=True)
class Unsaved:
    """Covers whose images are not downloaded yet.

    Attributes:
        covers: How many there are.
        hours_left: The whole hours until the first of their images is deleted; None if no age is
            known, or if all are beyond the 14 days.
        gone: How many are beyond the 14 days, counted among the 1,000 oldest.
    """

    covers: int
    hours_left: int | None = None
    gone: int = 0

    @classmethod
    def of(cls, covers: int, oldest: Iterable[LedgerEntry], now: datetime) -> "Unsaved":
        """Count from the oldest covers of a ledger."""
        left = [entry.kept_until - now for entry in oldest if entry.kept_until is not None]
        kept = [one for one in left if one > timedelta()]
        return cls(
            covers=covers,
            hours_left=min(kept) // timedelta(hours=1) if kept else None,
            gone=len(left) - len(kept),
        )

    def fields(self) -> tuple[str, ...]:
        """Return the fields of a line for programs; hours that are unknown are empty."""
        hours = "" if self.hours_left is None else str(self.hours_left)
        return ("unsaved", str(self.covers), hours, str(self.gone))


async def unsaved_of(ledger: Ledger, covers: int) -> Unsaved:
    """Read what is not downloaded yet, of so many covers; raises as `Ledger.unsaved` does."""
    oldest = await ledger.unsaved(_READ) if covers else []
    return Unsaved.of(covers, oldest, datetime.now(UTC))


def say_unsaved(console: Console, unsaved: Unsaved) -> None:
    """Write how many covers are not downloaded yet, and the hours that are left."""
    if not unsaved.covers:
        return
    line = f"{count(unsaved.covers, 'cover')} {are(unsaved.covers)} not downloaded yet"
    if unsaved.hours_left is not None:
        line += f"; {count(unsaved.hours_left, 'hour')} left of the 14 days that images are kept"
    say(console, line)


def warn_of_expiry(console: Console, unsaved: Unsaved, ledger: str) -> None:
    """Warn of images that are deleted within 48 hours, or may be gone; say how to save them."""
    soon = unsaved.hours_left is not None and unsaved.hours_left < _SOON
    if unsaved.gone:
        what = f"{count(unsaved.gone, 'cover')} {are(unsaved.gone)} older than 14 days"
        say(console, f"{what}: the images may be gone", "red")
    if soon:
        what = f"images are deleted in {count(unsaved.hours_left or 0, 'hour')}"
        say(console, f"{what}, for good: there is no second set", "bold red")
    if soon or unsaved.gone:
        say(console, "to download what is there, and submit nothing, run this with your catalog:")
        command = ("batch", "CATALOG", "--ledger", ledger, "--max-covers", "0")
        copyable(console, command_line(*command))

"""Check a ledger: that it can be read, whose it is, who works with it, and what is left in it.

It reads the ledger through the public API, and opens none for writing.
"""

from pathlib import Path

from suno_cover_async import Ledger, LedgerCondition, LedgerError, LedgerHolder, TrackState
from suno_cover_async.cli.actions.unsaved import Unsaved, unsaved_of
from suno_cover_async.cli.doctor.finding import Finding, fault, not_checked, ok, warning
from suno_cover_async.cli.ledger_path import LedgerPath, is_database
from suno_cover_async.cli.output.report import count
from suno_cover_async.common.text import printable

_SOON = 48  # hours
_MOST_NAMED = 3


async def check_ledger(path: LedgerPath, account: str | None) -> list[Finding]:
    """Check a ledger.

    Args:
        path: The file, or the URL of the database.
        account: The fingerprint of the account; None if there is no key.
    """
    ledger = Ledger(path)
    if isinstance(path, Path) and not path.exists():
        advice = "check the path, or let suno-cover batch make it there"
        return [warning("ledger", f"there is none at {ledger.name}", advice)]
    try:
        condition = await ledger.condition(account)
        totals, holders = await ledger.totals(), await ledger.holders()
        unsaved = await unsaved_of(ledger, totals[TrackState.COVERED])
    except LedgerError as error:
        return [fault("ledger", str(error))]
    at_work = bool(holders) or condition.in_use_by is not None
    return [
        ok("ledger", f"{ledger.name} can be read, {count(sum(totals.values()), 'track')}"),
        _of_version(condition),
        *_of_rights(condition, is_database(path)),
        _of_account(condition, account, ledger.name),
        _of_use(condition, holders),
        _of_tracks(
            totals[TrackState.WAITING] + totals[TrackState.SUBMITTED],
            totals[TrackState.SUBMITTING],
            at_work=at_work,
        ),
        _of_images(unsaved),
    ]


def _of_version(condition: LedgerCondition) -> Finding:
    if condition.version < condition.newest:
        words = f"{condition.version}; the next batch moves it to {condition.newest}"
        return ok("ledger version", f"{words}, and older software then refuses it")
    return ok("ledger version", str(condition.version))


def _of_rights(condition: LedgerCondition, in_database: bool) -> list[Finding]:
    if condition.missing_rights:
        lacking = ", ".join(condition.missing_rights)
        advice = "its owner gives them by the GRANT statements of suno-cover ledger init"
        return [fault("ledger rights", f"the role lacks {lacking}", advice)]
    return [ok("ledger rights", "the role has all that a run needs")] if in_database else []


def _of_account(condition: LedgerCondition, account: str | None, name: str) -> Finding:
    if account is None:
        return not_checked("ledger account", "there is no valid key")
    if condition.is_foreign:
        return fault(
            "ledger account",
            "it belongs to another account (another key, or another host)",
            "use that key and that host; if that account only got a new key: suno-cover ledger "
            f"forget-account {name}",
        )
    if condition.foreign_tracks:
        many = count(condition.foreign_tracks, "track")
        return warning(
            "ledger account",
            f"{many} of it belong to other accounts, and are left to their runs",
            "if an account only got a new key: suno-cover ledger forget-account, with the URL",
        )
    return ok("ledger account", "this key's account may use it")


def _of_use(condition: LedgerCondition, holders: tuple[LedgerHolder, ...]) -> Finding:
    if condition.in_use_by is not None:
        words = f"{condition.in_use_by} works with it, and one process at a time may"
        return warning("ledger use", words, "wait for it to end, or stop it")
    if not holders:
        return ok("ledger use", "no run is at work with it")
    named = [f"run {one.run} on {printable(one.host, 60)}" for one in holders[:_MOST_NAMED]]
    more = f" and {len(holders) - _MOST_NAMED} more" if len(holders) > _MOST_NAMED else ""
    return ok("ledger use", f"{', '.join(named)}{more}, at work or with tracks left")


def _of_tracks(waiting: int, submitting: int, *, at_work: bool) -> Finding:
    words = f"{waiting:,} waiting, {submitting:,} possibly billed"
    if submitting and not at_work:
        advice = "run suno-cover batch again: it finds out, and never pays twice"
        return warning("ledger tracks", words, advice)
    return ok("ledger tracks", words)


def _of_images(unsaved: Unsaved) -> Finding:
    words = f"{count(unsaved.covers, 'cover')} not downloaded yet"
    if unsaved.hours_left is not None:
        words += f", {count(unsaved.hours_left, 'hour')} left until the first is deleted"
    if unsaved.gone:
        words += f", {unsaved.gone:,} beyond the 14 days that images are kept"
    if unsaved.gone or (unsaved.hours_left is not None and unsaved.hours_left < _SOON):
        return warning("ledger images", words, "run suno-cover batch with this ledger now")
    return ok("ledger images", words)

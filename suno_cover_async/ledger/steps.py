"""Define each step of a ledger: which state follows which, and what is recorded with it.

This module owns the rules. The store owns transactions, files and durability.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from platform import node
from typing import Any

import attrs

from suno_cover_async.errors import CoverFailedError, LedgerError, SunoCoverError
from suno_cover_async.ledger.entry import (
    LedgerEntry,
    Plain,
    TrackRow,
    TrackState,
    read_decision,
    read_entry,
    read_run,
    read_state,
    read_track,
    write_columns,
)
from suno_cover_async.ledger.store import Transaction, Work
from suno_cover_async.models import Choice, CoverDetails, CoverTask, Decision, Track

Totals = dict[TrackState, int]

_PAGE = 1_000
_ALL = 1_000_000_000
_NO_RUN = 0  # the first run has the number 1
_ENDED = (TrackState.FAILED, TrackState.ATTENTION)


def change_run(number: int, **values: Any) -> Work[None]:
    """Record values of a run."""
    columns = write_columns(**values)
    return lambda there: there.change_run(number, columns)


def forget_account(there: Transaction) -> None:
    """Remove the account, and the base URLs where the API answered that account.

    Raises:
        LedgerError: Runs are at work.
    """
    there.lock_catalog()
    for number, host, *_ in there.others(_NO_RUN):
        raise LedgerError(
            f"run {number} on {host} is at work: let that end first; if it is dead, give it up by "
            "`suno-cover ledger release`"
        )
    there.forget_account()
    there.drop_base_urls()


def count(there: Transaction) -> Totals:
    """Return the number of music tasks in each state."""
    counted = {read_state(first, state): many for state, many, first in there.counts()}
    return {state: counted.get(state, 0) for state in TrackState}


@attrs.frozen(kw_only=True)
class Outlook:
    """What a run would find, and what earlier runs spent.

    Attributes:
        totals: The number of music tasks in each state.
        again: How many of those in SUBMITTING had a cover that failed, and start again.
        submits: How many submits were begun.
        credits_used: The credits that runs used, where both balances are known.
        credits_covers: The submits that were billed in these runs.
    """

    totals: Totals
    again: int
    submits: int
    credits_used: float
    credits_covers: int


def outlook(there: Transaction) -> Outlook:
    """Return what a run would find, and what earlier runs spent."""
    runs = [run for run in map(read_run, there.runs(_ALL)) if run.submitted]
    measured = [run for run in runs if run.credits_used is not None]
    return Outlook(
        totals=count(there),
        again=there.count_retried(),
        submits=there.submits(),
        credits_used=sum(run.credits_used or 0 for run in measured),
        credits_covers=sum(run.submitted for run in measured),
    )


def page(states: Iterable[TrackState], after: int, limit: int) -> Work[list[LedgerEntry]]:
    """Return entries in these states whose number is above `after`, in order."""
    names = [state.value for state in states]
    return lambda there: [read_entry(row) for row in there.page(names, after, limit)]


def unsaved(limit: int) -> Work[list[LedgerEntry]]:
    """Return covers whose images are not saved, oldest first."""
    return lambda there: [read_entry(row) for row in there.unsaved(limit)]


def forget_waiting(there: Transaction) -> int:
    """Drop the tracks for which nothing was sent, and return how many there were."""
    there.set_catalog(None)
    return there.drop(TrackState.WAITING.value)


def take_in(tracks: Sequence[Track]) -> Work[int]:
    """Add tracks in order, and return how many music tasks were new.

    Raises:
        TypeError: Immediately: a column's value has no form in JSON.
        ValueError: Immediately: columns are nested too deeply.
    """
    try:
        rows = [(track.music_task_id, _names({track.title: track.columns})) for track in tracks]
    except RecursionError:
        raise ValueError("a track's columns are nested too deeply") from None

    def work(there: Transaction) -> int:
        known = there.add(rows)
        for row in known:
            _merge(there, *row)
        return len(rows) - len(known)

    return work


def _merge(there: Transaction, music_task_id: str, names: str) -> None:
    """Add the title of a track to the one of the same music task, if that is new."""
    known = read_track(there.find(music_task_id))
    new: dict[str, dict[str, object]] = json.loads(names)
    changes: dict[str, Plain] = {"names": _names(known.names | new)}
    if known.state is TrackState.SAVED and not new.keys() <= known.names.keys():
        changes |= write_columns(state=TrackState.COVERED)  # the new title needs files too
    there.change(known.number, changes)


def _names(columns: Mapping[str, Mapping[str, object]]) -> str:
    return str(write_columns(names=columns)["names"])


def begin_anew(there: Transaction) -> bool:
    """Start again the entries that failed or need attention; return whether there were any."""
    ended, after = [state.value for state in _ENDED], 0
    while rows := there.page(ended, after, _PAGE):
        for row in map(read_track, rows):
            there.change(row.number, _begun_anew(row))
            after = row.number
    return after > 0


def _begun_anew(row: TrackRow) -> dict[str, Plain]:
    """Return the columns of an entry that starts again.

    An entry with a cover task that did not fail is polled again; the others are submitted again.
    """
    # WAITING means that nothing was sent, so it is right only for an entry without any cover. Where
    # there was a cover, or one may exist, the entry becomes SUBMITTING: it stays possibly billed,
    # and a run that is interrupted before the new submit never counts it as unsent.
    has_failed = row.error == CoverFailedError.__name__
    state = TrackState.WAITING
    if has_failed or (row.cover_task_id is None and row.state is TrackState.ATTENTION):
        state = TrackState.SUBMITTING
    elif row.cover_task_id is not None:
        state = TrackState.SUBMITTED
    return write_columns(state=state, error=None, reason=None, retried=row.retried or has_failed)


def submitting(number: int, run: int, at_most: int | None = None) -> Work[bool]:
    """Record that a submit may be sent; count it, unless it repeats one that may have been sent.

    Returns:
        A step that returns whether it may be sent. It records nothing and returns False if the run
        does not hold the track, or if the submit would be counted, and `at_most` submits were
        counted in the life of the ledger.
    """

    def work(there: Transaction) -> bool:
        row = read_track(there.track(number))
        begins = row.retried or row.state is TrackState.WAITING
        if not there.holds(number, run) or (begins and not there.add_submits(1, at_most)):
            return False
        changes = write_columns(
            state=TrackState.SUBMITTING, submits=row.submits + begins, retried=False
        )
        there.change(number, changes)
        there.own(number, run)
        return True

    return work


def unsent(number: int, run: int) -> Work[None]:
    """Record that no submit was sent after all, and remove it from the count.

    Nothing is recorded if the run does not hold the track: it was released before a submit was
    recorded, and another run may be submitting it.
    """

    def work(there: Transaction) -> None:
        row = read_track(there.track(number))
        if row.state is TrackState.SUBMITTING and there.holds(number, run):
            there.change(number, write_columns(state=TrackState.WAITING, submits=row.submits - 1))
            there.disown(number)
            there.add_submits(-1)

    return work


@attrs.frozen(kw_only=True)
class Submitted:
    """The step that records a cover task, which is paid for.

    It is a class, so that `Ledger.unwritten` can list the tasks of steps that were not written. It
    reads no value of the row: a fact that costs money is written even if the row is damaged. One
    that was written already, by a commit whose answer was lost for too long, is not counted again.
    """

    number: int
    task: CoverTask
    run: int
    base_url: str | None

    def __call__(self, there: Transaction) -> None:
        """Write the task, count the submit, and record the base URL that accepted it."""
        if there.has_task(self.number, self.task.cover_task_id):
            return
        there.change(
            self.number,
            write_columns(
                state=TrackState.SUBMITTED,
                cover_task_id=self.task.cover_task_id,
                adopted=self.task.adopted,
            ),
        )
        there.count_submit(self.run, adopted=self.task.adopted)
        if self.base_url is not None:
            there.add_base_url(self.base_url)


def covered(number: int, run: int, details: CoverDetails) -> Work[None]:
    """Record a finished cover; nothing is recorded if the run does not hold the track.

    It was recorded already then, by a commit whose answer was lost for too long, and another run
    may have gone on.
    """
    columns = write_columns(
        state=TrackState.COVERED,
        images=details.images,
        created_at=details.created_at,
        completed_at=details.completed_at or datetime.now(UTC),
    )
    return _finished(number, run, columns)


def saved(entry: LedgerEntry, run: int, files: Sequence[Path]) -> Work[None]:
    """Record the files of a cover; one that got another title meanwhile is not saved yet.

    As `covered`, it does nothing unless the run holds the track.
    """
    titles = {track.title for track in entry.tracks}
    columns = write_columns(files=tuple(files), saved_on=node())

    def work(there: Transaction) -> None:
        if not there.holds(entry.number, run):
            return
        is_whole = read_track(there.track(entry.number)).names.keys() <= titles
        state = TrackState.SAVED if is_whole else TrackState.COVERED
        there.change(entry.number, columns | write_columns(state=state))
        there.release(entry.number, run)

    return work


def ended(
    number: int, run: int, state: TrackState, error: Exception, *, task_known: bool = True
) -> Work[None]:
    """Record that an entry failed or needs attention.

    `task_known=False` removes its cover task, which belongs to another song. As `covered`, it does
    nothing unless the run holds the track.
    """
    words = error.message if isinstance(error, SunoCoverError) else str(error)
    reason = words.encode(errors="replace").decode()  # UTF-8 has no unpaired surrogates
    columns = write_columns(state=state, error=type(error).__name__, reason=reason)
    if not task_known:
        columns |= write_columns(cover_task_id=None)
    return _finished(number, run, columns)


def put_off(number: int, run: int) -> Work[None]:
    """Leave a track to the next run; this one holds it until it ends."""
    return lambda there: there.change(number, {"put_off": run})


def _finished(number: int, run: int, columns: Mapping[str, Plain]) -> Work[None]:
    """Change columns of a track that the run holds, and let other runs take it."""

    def work(there: Transaction) -> None:
        if there.holds(number, run):
            there.change(number, columns)
            there.release(number, run)

    return work


def pairs(
    decisions: Iterable[Decision], search: str, after: int, limit: int
) -> Work[list[LedgerEntry]]:
    """Return saved covers with these decisions (none means all) numbered above `after`."""
    names = [decision.value for decision in decisions]
    return lambda there: [read_entry(row) for row in there.pairs(names, search, after, limit)]


def count_decisions(search: str) -> Work[dict[Decision, int]]:
    """Return the number of saved covers with each decision."""

    def work(there: Transaction) -> dict[Decision, int]:
        found = there.decisions(search)
        counted = {read_decision(first, decision): many for decision, many, first in found}
        return {decision: counted.get(decision, 0) for decision in Decision}

    return work


def decide(number: int, cover_task_id: str, choice: Choice) -> Work[bool]:
    """Record a choice if it follows the one that stands; return whether it was recorded."""
    columns = write_columns(**attrs.asdict(choice))
    before = choice.revision - 1
    return lambda there: there.decide(number, cover_task_id, columns, revision=before)

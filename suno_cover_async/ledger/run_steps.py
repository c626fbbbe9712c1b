"""Define the steps by which runs share a ledger: begin, hold tracks, take in a catalog, end.

This module owns which run may do what beside others. `steps.py` defines what happens to a track.
"""

import enum
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Generic, TypeAlias, TypeVar, cast

import attrs

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.entry import (
    LedgerEntry,
    TrackState,
    read_entry,
    read_track,
    write_columns,
)
from suno_cover_async.ledger.steps import begin_anew
from suno_cover_async.ledger.store import Transaction, Work

T = TypeVar("T")

NO_RUN = 0
"""The number of no run: the first one has the number 1."""

_GIVEN_UP = (
    "run {} was given up for dead, since the ledger heard nothing of it for too long, or somebody "
    "released it; other runs go on with its tracks, and what it was paid for is found again"
)
_SILENT = "; it is silent: waiting until it comes back, or is given up for dead"
_FEED = "tracks as they arrive"
_Other: TypeAlias = tuple[int, str, str | None, bool]
"""Another run: number, host, the catalog that it works on, and whether it is silent."""


class OthersAtWorkError(LedgerError):
    """Another run keeps this one from a step, which changed nothing.

    Attributes:
        is_silent: Whether that run is silent, so that it is given up soon.
    """

    def __init__(self, message: str, *, is_silent: bool) -> None:
        """Say why."""
        super().__init__(message + _SILENT * is_silent)
        self.is_silent = is_silent


@attrs.frozen
class HeldBy(Generic[T]):
    """A step of a run, which does its work only while the run has its tracks.

    Attributes:
        run: The run.
        work: The step.
    """

    run: int
    work: Work[T]

    def __call__(self, there: Transaction) -> T:
        """Do the work.

        Raises:
            LedgerError: The run was given up for dead; nothing was changed.
        """
        if not there.is_at_work(self.run):
            raise LedgerError(_GIVEN_UP.format(self.run))
        return self.work(there)


def work_of(step: Work[object]) -> Work[object]:
    """Return the work of a step of a run; a step of no run is its own work."""
    return cast("HeldBy[object]", step).work if isinstance(step, HeldBy) else step


@attrs.frozen
class Begun:
    """A run that began.

    Attributes:
        number: Its number.
        beat_seconds: How often it must say that it is alive; None if it need not.
        foreign: How many tracks without a finished cover belong to other accounts.
    """

    number: int
    beat_seconds: float | None
    foreign: int


def begin_run(account: str, ledger: str) -> Work[Begun]:
    """Begin a run of this account; a ledger without an account becomes this account's.

    Raises:
        LedgerError: By the step: the ledger belongs to another account, and no run was begun.
    """
    began_at = datetime.now(UTC).timestamp()

    def work(there: Transaction) -> Begun:
        if not there.take_account(account):
            raise LedgerError(
                f"the ledger {ledger} belongs to another account (another key or another host), "
                "and nothing was sent: use that key and that host; if that account only got a new "
                f"key, run `suno-cover ledger forget-account {ledger}` and begin again"
            )
        return Begun(
            number=there.add_run(began_at, account),
            beat_seconds=there.beat_seconds(),
            foreign=there.count_foreign(account),
        )

    return work


def end_run(run: int) -> Work[None]:
    """Record that a run ended, and release its tracks."""
    ended_at = datetime.now(UTC).timestamp()
    return lambda there: there.end_run(run, ended_at)


def forget_run(run: int) -> Work[None]:
    """Forget a run that was refused, or had no work; one that holds a track ends as any other."""
    end = end_run(run)
    return lambda there: None if there.drop_run(run) else end(there)


@attrs.frozen(kw_only=True)
class Others:
    """The other runs at work with a ledger; silent ones are left out.

    Attributes:
        hosts: Their hosts, one for each run.
        submitting: How many tracks they and runs that ended hold with a submit that may be on its
            way.
    """

    hosts: tuple[str, ...]
    submitting: int


def others(run: int) -> Work[Others]:
    """Return the other runs at work."""

    def work(there: Transaction) -> Others:
        hosts = tuple(host for _, host, _, is_silent in there.others(run) if not is_silent)
        return Others(hosts=hosts, submitting=there.others_submitting(run))

    return work


def beat(run: int) -> Work[None]:
    """Record that a run is alive."""
    return HeldBy(run, lambda there: there.beat(run))


def claim(states: Sequence[TrackState], run: int, limit: int) -> Work[list[LedgerEntry]]:
    """Hold tracks for a run and return them: of the first of these states that has any, in order.

    What silent runs hold is released first.
    """

    def work(there: Transaction) -> list[LedgerEntry]:
        there.give_up_silent_runs(run)
        for state in states:
            if rows := there.claim(state.value, run, limit):
                return [read_entry(row) for row in rows]
        return []

    return work


def claim_unsaved(run: int, limit: int) -> Work[list[LedgerEntry]]:
    """Hold covers whose images are not saved and return them, oldest first."""
    return lambda there: [read_entry(row) for row in there.claim_unsaved(run, limit)]


class Intake(enum.Enum):
    """What a run does about its catalog.

    Attributes:
        NONE: The ledger has it completely.
        OURS: This run adds it.
        WAIT: Another run is adding it.
    """

    NONE = "none"
    OURS = "ours"
    WAIT = "wait"


def begin_intake(run: int, fingerprint: str | None, ledger: str) -> Work[Intake]:
    """Begin to work on a catalog: join the runs that work on it, or begin to add it.

    Raises:
        OthersAtWorkError: By the step: another run works on another catalog.
    """
    catalog = fingerprint or f"a catalog without a file, of run {run}"

    def work(there: Transaction) -> Intake:
        others = _with_a_catalog(there, run)
        _refuse_another(others, catalog, ledger)
        if fingerprint is not None and there.catalog() == fingerprint:
            there.work_on(run, catalog)
            return Intake.NONE
        if others:
            return Intake.WAIT
        there.work_on(run, catalog)
        there.set_catalog(None)
        return Intake.OURS

    return work


def follow(run: int, ledger: str) -> Work[None]:
    """Begin to add tracks as they arrive, beside other runs that do the same.

    Raises:
        OthersAtWorkError: By the step: another run works on a catalog.
    """

    def work(there: Transaction) -> None:
        _refuse_another(_with_a_catalog(there, run), _FEED, ledger)
        there.work_on(run, _FEED)

    return work


def retry_failed(run: int) -> Work[bool]:
    """Start again the entries that failed or need attention; return whether there were any.

    Raises:
        OthersAtWorkError: By the step: another run is at work, and would take part in it unasked.
    """

    def work(there: Transaction) -> bool:
        _refuse_any(_with_a_catalog(there, run))
        return begin_anew(there)

    return work


def retry_refused(number: int) -> Work[bool]:
    """Let a track wait again whose submit was refused; return whether it was one.

    Nothing was billed for it: it has no cover task, and no submit of it is counted.
    """

    def work(there: Transaction) -> bool:
        row = read_track(there.track(number))
        if row.state is not TrackState.FAILED or row.cover_task_id is not None or row.submits:
            return False
        there.change(number, write_columns(state=TrackState.WAITING, error=None, reason=None))
        return True

    return work


def check(fingerprint: str | None, ledger: str, *, retry_failed: bool) -> Work[None]:
    """Find out whether a new run over this catalog would be refused; nothing is changed.

    Silent runs are left out, since a run waits until they are given up.

    Raises:
        OthersAtWorkError: By the step: it would be refused.
    """

    def work(there: Transaction) -> None:
        everybody = there.others(NO_RUN)
        others = [other for other in everybody if other[2] is not None and not other[3]]
        _refuse_another(others, fingerprint, ledger)
        if retry_failed:
            _refuse_any(others)

    return work


def _refuse_any(others: Sequence[_Other]) -> None:
    """Raise OthersAtWorkError if there is another run."""
    for number, host, _, is_silent in others:
        raise OthersAtWorkError(
            f"run {number} on {host} is at work: failed tracks can be started again by a run that "
            "has the ledger alone; wait, or leave --retry-failed out",
            is_silent=is_silent,
        )


def _refuse_another(others: Sequence[_Other], catalog: str | None, ledger: str) -> None:
    """Raise OthersAtWorkError if another run works on another catalog."""
    for number, host, its, is_silent in others:
        if its != catalog:
            raise OthersAtWorkError(
                f"run {number} on {host} works on another catalog with the ledger {ledger}: wait "
                "until it ends (if it died, 40 s after its last sign of life), or use another "
                "ledger",
                is_silent=is_silent,
            )


def _with_a_catalog(there: Transaction, run: int) -> Sequence[_Other]:
    """Return the other runs that work on a catalog, those that are silent last.

    Silent ones are given up first, where that may be. One that may not be given up yet is among
    them: it may only be cut off, and is fenced off no sooner. No run begins to work on a catalog
    until this transaction ends.
    """
    there.lock_catalog()
    there.give_up_silent_runs(run)
    others = [other for other in there.others(run) if other[2] is not None]
    return sorted(others, key=lambda other: other[3])

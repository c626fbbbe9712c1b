"""Define the data of one music task and of one run in a ledger, and how rows hold it.

This module owns the states, the meaning of each column, and the check for damaged rows: any program
may have written to the file. `steps.py` defines which rows change, and when.
"""

import contextlib
import enum
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import attrs

from suno_cover_async.common.records import JSON_TEXT, Record, make_converter
from suno_cover_async.common.validation import task_id
from suno_cover_async.errors import LedgerError
from suno_cover_async.models import Choice, CoverDetails, CoverStatus, CoverTask, Decision, Track

T = TypeVar("T")
Plain = str | int | float | None
Row = Mapping[str, object]

_KEPT = timedelta(days=14)  # [documented]
_SURELY_KEPT = timedelta(days=13)
_NONSENSE = (
    *(ValueError, TypeError, LookupError, AttributeError),
    *(ArithmeticError, RecursionError, OSError),
)


class TrackState(enum.Enum):
    """How far a track is; the ledger's file and the command line use these values.

    Attributes:
        WAITING: Nothing was sent for it.
        SUBMITTING: A submit may have been sent, and its result is unknown: the track is possibly
            billed. The next run submits it again, which never pays twice.
        SUBMITTED: It has a cover task, which is paid for and not finished yet.
        COVERED: The cover is finished; its images are not saved.
        SAVED: Its images are saved as files.
        FAILED: It has no cover, or no longer has one, for a known reason.
        ATTENTION: A person must check it. Either a cover exists that cannot be found or fetched, or
            one may exist: the answer to a submit was lost, and the next submit was refused.
    """

    WAITING = "waiting"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    COVERED = "covered"
    SAVED = "saved"
    FAILED = "failed"
    ATTENTION = "attention"


@attrs.frozen(kw_only=True)
class LedgerEntry(Record):
    """The data of one music task in a ledger.

    Attributes:
        number: Its position in the ledger, from 1.
        tracks: Its titles, at least one, each with the columns of the last line that named it.
        state: How far it is.
        task: Its cover task, once known; while SUBMITTING, the last one that failed.
        images: The image URLs, once the cover is finished.
        created_at: When the host created the cover task, in UTC; None if the host did not say.
        completed_at: When the cover was finished, in UTC, by the host's clock or else by ours.
        files: The saved images.
        saved_on: The name of the machine that saved them, if known.
        error: The name of the error that it ended with, such as `CoverFailedError`.
        reason: That error's message.
        submits: How many submits were started. A submit that is repeated because its answer was
            lost counts once.
        choice: What a person decided about its images.
    """

    number: int
    tracks: tuple[Track, ...]
    state: TrackState
    task: CoverTask | None = None
    images: tuple[str, ...] = ()
    created_at: datetime | None = None
    completed_at: datetime | None = None
    files: tuple[Path, ...] = ()
    saved_on: str | None = None
    error: str | None = None
    reason: str | None = None
    submits: int = 0
    choice: Choice = attrs.field(factory=Choice)

    @property
    def music_task_id(self) -> str:
        """Return the id of the music task."""
        return self.tracks[0].music_task_id

    def files_of(self, track: Track) -> tuple[Path, ...]:
        """Return the saved images under the title of one of `tracks`, in the API's order."""
        images = len(self.images)
        first = self.tracks.index(track) * images
        return self.files[first : first + images]

    @property
    def is_young(self) -> bool:
        """Return whether the API surely still keeps its images: 13 of the 14 days [documented]."""
        made = self.completed_at
        return made is not None and datetime.now(UTC) - made < _SURELY_KEPT

    @property
    def kept_until(self) -> datetime | None:
        """Return when the API deletes its images, 14 days after the cover; None if unknown."""
        return None if self.completed_at is None else self.completed_at + _KEPT

    @property
    def details(self) -> CoverDetails:
        """Return the details of a finished cover, as far as the ledger knows them."""
        return CoverDetails(
            cover_task_id=self.task.cover_task_id if self.task else "",
            music_task_id=self.music_task_id,
            status=CoverStatus.SUCCESS,
            images=self.images,
            created_at=self.created_at,
            completed_at=self.completed_at,
        )


def credits_used(before: float | None, after: float | None) -> float | None:
    """Return the credits used between two balances; None if unknown, as after a top-up."""
    if before is None or after is None or after > before:
        return None
    return before - after


@attrs.frozen(kw_only=True)
class LedgerRun(Record):
    """What one run did: it covers one catalog, until it ends or crashes.

    Attributes:
        number: The number of the run in this ledger, from 1.
        began_at: When it began, in UTC.
        ended_at: When it ended; None while it runs, and forever if it was killed.
        balance_before: The account's credits before the run used any, if they were requested.
        balance_after: The account's credits at the end. Other uses of the account, and top-ups,
            during the run are included.
        submitted: Submits that the API accepted as new: these were billed.
        adopted: Submits that returned a cover task which existed already.
    """

    number: int
    began_at: datetime
    ended_at: datetime | None
    balance_before: float | None
    balance_after: float | None
    submitted: int
    adopted: int

    @property
    def credits_used(self) -> float | None:
        """Return the credits the account lost during the run; None if unknown (a top-up)."""
        return credits_used(self.balance_before, self.balance_after)


@attrs.frozen(kw_only=True)
class LedgerHolder(Record):
    """A run that shares a ledger with others, on this machine or another one.

    Attributes:
        run: The number of the run.
        host: The name of its machine.
        process: Its process id there.
        began_at: When it began, in UTC.
        has_ended: Whether it ended, and keeps tracks only until no submit of it can be on its way.
        heard_at: When the ledger last heard of it, in UTC, by the clock of the database.
        tracks: How many tracks it holds.
        holds_since: Since when it holds the first of them, by the same clock; None without any.
        submitted: Its submits so far, new and adopted.
    """

    run: int
    host: str
    process: int
    began_at: datetime
    has_ended: bool
    heard_at: datetime
    tracks: int
    holds_since: datetime | None
    submitted: int

    @property
    def per_minute(self) -> float:
        """Return its submits per minute, since it began."""
        minutes = (self.heard_at - self.began_at).total_seconds() / 60
        return self.submitted / minutes if minutes > 0 else 0.0


@attrs.frozen(kw_only=True)
class TrackRow:
    """A row of the table `tracks`, column by column.

    Attributes:
        names: The columns of each title.
        retried: Its cover failed and is to be made again; no submit was started since.
    """

    number: int
    music_task_id: str
    names: Annotated[dict[str, dict[str, object]], JSON_TEXT] = attrs.field(
        validator=attrs.validators.min_len(1)
    )
    state: TrackState
    cover_task_id: str | None
    adopted: bool
    images: Annotated[tuple[str, ...], JSON_TEXT]
    created_at: datetime | None
    completed_at: datetime | None
    files: Annotated[tuple[Path, ...], JSON_TEXT]
    saved_on: str | None
    error: str | None
    reason: str | None
    submits: int
    retried: bool

    def entry(self, choice: Choice) -> LedgerEntry:
        """Return the entry that the row holds, with the choice about its images."""
        return LedgerEntry(
            number=self.number,
            tracks=tuple(
                Track(self.music_task_id, title=title, columns=columns)
                for title, columns in self.names.items()
            ),
            state=self.state,
            task=self._task,
            images=self.images,
            created_at=self.created_at,
            completed_at=self.completed_at,
            files=self.files,
            saved_on=self.saved_on,
            error=self.error,
            reason=self.reason,
            submits=self.submits,
            choice=choice,
        )

    @property
    def _task(self) -> CoverTask | None:
        if self.cover_task_id is None:
            return None
        return CoverTask(
            cover_task_id=task_id("cover_task_id", self.cover_task_id),
            music_task_id=self.music_task_id,
            adopted=self.adopted,
        )


_CONVERTER = make_converter(datetimes="seconds")
_read_track: Callable[[Row, type[TrackRow]], TrackRow] = _CONVERTER.get_structure_hook(TrackRow)
_read_choice: Callable[[Row, type[Choice]], Choice] = _CONVERTER.get_structure_hook(Choice)
_read_run: Callable[[Row, type[LedgerRun]], LedgerRun] = _CONVERTER.get_structure_hook(LedgerRun)
_read_holder: Callable[[Row, type[LedgerHolder]], LedgerHolder] = _CONVERTER.get_structure_hook(
    LedgerHolder
)
_WRITERS = {
    name: _CONVERTER.get_unstructure_hook(field.type)
    for kind in (TrackRow, LedgerRun, Choice)
    for name, field in attrs.fields_dict(kind).items()
}

TRACK_COLUMNS = tuple(attrs.fields_dict(TrackRow))
RUN_COLUMNS = tuple(attrs.fields_dict(LedgerRun))
HOLDER_COLUMNS = tuple(attrs.fields_dict(LedgerHolder))
CHOICE_COLUMNS = tuple(attrs.fields_dict(Choice))


def read_track(row: Row) -> TrackRow:
    """Read a row of `tracks`; raise LedgerError for values that this package never writes."""
    return _known(f"entry {row['number']}", lambda: _read_track(row, TrackRow))


def read_entry(row: Row) -> LedgerEntry:
    """Read the entry in a row of `tracks` with its choice; raises as `read_track` does."""
    return _known(
        f"entry {row['number']}",
        lambda: _read_track(row, TrackRow).entry(_read_choice(row, Choice)),
    )


def read_run(row: Row) -> LedgerRun:
    """Read a row of `runs`; raises as `read_track` does."""
    return _known(f"run {row['number']}", lambda: _read_run(row, LedgerRun))


def read_holder(row: Row) -> LedgerHolder:
    """Read a row about a run that shares the ledger; raises as `read_track` does."""
    return _known(f"run {row['run']}", lambda: _read_holder(row, LedgerHolder))


def read_state(number: int, state: object) -> TrackState:
    """Read a state of the entry `number`; raises as `read_track` does."""
    return _known(f"entry {number}", lambda: TrackState(state))


def read_decision(number: int, decision: object) -> Decision:
    """Read a decision about the entry `number`; raises as `read_track` does."""
    return _known(f"entry {number}", lambda: Decision(decision))


def write_columns(**values: Any) -> dict[str, Plain]:
    """Convert values to the form that the columns of these names hold.

    Raises:
        TypeError: A catalog's column holds a value that has no form in JSON.
        RecursionError: A value is nested too deeply.
    """
    return {name: _WRITERS[name](value) for name, value in values.items()}


def _known(what: str, read: Callable[[], T]) -> T:
    with contextlib.suppress(*_NONSENSE):
        return read()
    raise LedgerError(
        f"the ledger's {what} is damaged: restore a copy of the ledger, or move it away and "
        "start again, which costs requests and never a second payment"
    )

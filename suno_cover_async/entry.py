"""What a ledger says of one music task, and how its file writes that down.

It owns the states, what a row's columns mean, and what is refused as damaged: anybody may have
written to the file. What is done to rows, and when, is `ledger.py`'s.
"""

import contextlib
import enum
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import attrs

from suno_cover_async.arguments import task_id
from suno_cover_async.errors import LedgerError
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask, Track

T = TypeVar("T")

_KEPT = timedelta(days=14)
_NONSENSE = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, OSError)


class TrackState(enum.Enum):
    """How far a track is.

    Attributes:
        WAITING: Nothing was sent for it.
        SUBMITTING: A submit may have gone out; what it came to is not known. It is submitted again
            by the next run, which never pays twice.
        SUBMITTED: It has a cover task, which is paid for and to be waited for.
        COVERED: The cover is finished; its images are not saved.
        SAVED: Its images are files.
        FAILED: It has no cover, or none any more, and why is known.
        ATTENTION: Somebody must look: there is a cover that cannot be found or fetched, or there
            may be, of a submit whose answer was lost, and the next one was refused.
    """

    WAITING = "waiting"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    COVERED = "covered"
    SAVED = "saved"
    FAILED = "failed"
    ATTENTION = "needs attention"


CODES = {
    TrackState.WAITING: 0,
    TrackState.SUBMITTING: 1,
    TrackState.SUBMITTED: 2,
    TrackState.COVERED: 3,
    TrackState.SAVED: 4,
    TrackState.FAILED: 5,
    TrackState.ATTENTION: 6,
}
"""The states as they are in every file and every statement."""

COLUMNS = (
    "number, music_task_id, names, state, cover_task_id, adopted, images, created_at, "
    "completed_at, files, error, reason"
)
"""What `read_entry` reads."""

_STATES = {code: state for state, code in CODES.items()}


@attrs.frozen(kw_only=True)
class LedgerEntry:
    """What a ledger says of one music task.

    Attributes:
        number: Its place in the ledger, from 1.
        tracks: Its titles, at least one, each with the columns of the last line that gave it.
        state: How far it is.
        task: Its cover task, once that is known; the last one that failed, while SUBMITTING.
        images: The image URLs, once the cover is finished.
        created_at: When the host created the cover task, where it said so, in UTC.
        completed_at: When the cover was finished, by the host's clock or else by ours, in UTC.
        files: The saved images.
        error: The name of the error that it ended in, such as `CoverFailedError`.
        reason: That error's message.
    """

    number: int
    tracks: tuple[Track, ...]
    state: TrackState
    task: CoverTask | None = None
    images: tuple[str, ...] = ()
    created_at: datetime | None = None
    completed_at: datetime | None = None
    files: tuple[Path, ...] = ()
    error: str | None = None
    reason: str | None = None

    @property
    def music_task_id(self) -> str:
        """The music task."""
        return self.tracks[0].music_task_id

    @property
    def is_young(self) -> bool:
        """Whether the API still keeps its images: it does so for 14 days [documented]."""
        return self.completed_at is not None and datetime.now(UTC) - self.completed_at < _KEPT

    @property
    def details(self) -> CoverDetails:
        """Of a cover that is finished, as far as the ledger knows them."""
        return CoverDetails(
            cover_task_id=self.task.cover_task_id if self.task else "",
            music_task_id=self.music_task_id,
            status=CoverStatus.SUCCESS,
            images=self.images,
            created_at=self.created_at,
            completed_at=self.completed_at,
        )


def read_entry(row: tuple[Any, ...]) -> LedgerEntry:
    """Read a row; raises LedgerError for what was never written by us."""
    return _known(row[0], _read, row)


def read_state(number: int, code: object) -> TrackState:
    """Read a state, as of the entry `number`; raises LedgerError as `read_entry` does."""
    return _known(number, _STATES.__getitem__, code)


def read_names(number: int, names: str) -> dict[str, dict[str, object]]:
    """Read the columns of each title, as of the entry `number`; raises as `read_entry` does."""
    return _known(number, _names, names)


def write_names(columns: Mapping[str, Mapping[str, object]]) -> str:
    """Write the columns of each title; raises what `json.dumps` does."""
    return json.dumps({title: dict(values) for title, values in columns.items()})


def write_moment(moment: datetime | None) -> float | None:
    """Write a moment: seconds since 1970."""
    return None if moment is None else moment.timestamp()


def _known(number: int, read: Callable[[Any], T], written: object) -> T:
    with contextlib.suppress(*_NONSENSE):
        return read(written)
    raise LedgerError(
        f"the ledger's entry {number} is damaged: bring back a copy of the ledger, or move it away "
        "and begin anew, which costs requests and never a second payment"
    )


def _read(row: tuple[Any, ...]) -> LedgerEntry:
    number, music_task_id, names, state, cover_task_id, adopted, images = row[:7]
    created_at, completed_at, files, error, reason = row[7:]
    task = cover_task_id and CoverTask(
        cover_task_id=task_id("cover_task_id", cover_task_id),
        music_task_id=music_task_id,
        adopted=bool(adopted),
    )
    return LedgerEntry(
        number=number,
        tracks=tuple(
            Track(music_task_id, title=title, columns=columns)
            for title, columns in _names(names).items()
        ),
        state=_STATES[state],
        task=task or None,
        images=_texts(images),
        created_at=_moment(created_at),
        completed_at=_moment(completed_at),
        files=tuple(map(Path, _texts(files))),
        error=_words(error),
        reason=_words(reason),
    )


def _names(names: str) -> dict[str, dict[str, object]]:
    """Read them; there is one at least."""
    titles: dict[str, dict[str, object]] = json.loads(names)
    if not (type(titles) is dict and titles and all(type(one) is dict for one in titles.values())):
        raise TypeError("no titles")
    return titles


def _texts(written: str | None) -> tuple[str, ...]:
    texts: list[str] = json.loads(written or "[]")
    if type(texts) is not list or not all(type(one) is str and "\0" not in one for one in texts):
        raise TypeError("no texts")
    return tuple(texts)


def _words(written: object) -> str | None:
    if written is None or isinstance(written, str):
        return written
    raise TypeError("no text")


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

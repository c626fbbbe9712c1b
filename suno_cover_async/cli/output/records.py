"""Define the JSON records that the command line writes for programs, one line each.

It owns the fields of every `--json` output, on which users' scripts rely. It knows values; it
writes nothing.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import attrs

from suno_cover_async import CoverDetails, Covered, Failed, LedgerEntry, Outcome, Progress
from suno_cover_async.cli.failures import explain
from suno_cover_async.common.records import to_dict

State = Literal["saved", "left", "failed", "unfinished"]


def as_json(record: object) -> str:
    """Return a record as one line of JSON, in ASCII."""
    return json.dumps(to_dict(record))


def facts(record: "DetailsRecord") -> dict[str, str | int | Sequence[str] | None]:
    """Return a record's fields by name, with their JSON values."""
    return to_dict(record)


@attrs.frozen(kw_only=True)
class ErrorRecord:
    """An error: the name of its class, its message, and whether the next run tries again."""

    type: str
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: Exception) -> "ErrorRecord":
        """Describe an error."""
        return cls(
            type=type(error).__name__,
            message=explain(error),
            retryable=getattr(error, "retryable", False),
        )


@attrs.frozen(kw_only=True)
class OutcomeRecord:
    """The outcome of a track.

    Attributes:
        music_task_id: The track.
        title: Its title; may be empty.
        state: `saved`; `failed`; `left`, after an error that the next run continues from;
            `unfinished`, if the run ended before the track did.
        cover_task_id: Its cover task, if known.
        images: The URLs of its images.
        files: The saved images.
        error: Why it has no images.
    """

    music_task_id: str
    title: str
    state: State
    cover_task_id: str | None = None
    images: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    error: ErrorRecord | None = None

    @classmethod
    def of(cls, outcome: Outcome) -> "OutcomeRecord":
        """Describe an outcome."""
        return _covered(outcome) if isinstance(outcome, Covered) else _failed(outcome)

    @classmethod
    def refused(cls, given: str, error: ValueError) -> "OutcomeRecord":
        """Describe an argument that is not a valid id."""
        return cls(music_task_id=given, title="", state="failed", error=ErrorRecord.of(error))

    @classmethod
    def unfinished(cls, entry: LedgerEntry) -> "OutcomeRecord":
        """Describe a track that had no outcome in this run."""
        return cls(
            music_task_id=entry.music_task_id,
            title=entry.tracks[0].title,
            state="unfinished",
            cover_task_id=entry.task.cover_task_id if entry.task else None,
            images=entry.images,
        )


@attrs.frozen(kw_only=True)
class SummaryRecord:
    """The result of a run, as numbers of tracks unless noted.

    Attributes:
        billed: Accepted as new in this run.
        adopted: Had a cover task already.
        possibly_billed: Submitted without an answer, without what other runs are submitting.
        failed: Failed, or in need of attention.
        left: To be continued by the next run.
        waiting: Of those left, the ones that `--max-covers` kept from being submitted.
        done: Saved.
        total: All tracks.
        other_runs: Other runs at work with the ledger when this one ended, which go on.
        outdated_since: When `done`, `failed`, `left`, `total` and `other_runs` were read, if the
            ledger could not be read at the end; else None.
        credits_used: The credits used by this run; None if unknown.
        stopped_by: The name of the error that ended the run; None if it ended without one.
        bad_lines: The number of lines of the catalog, or of ids, that name no track.
    """

    billed: int
    adopted: int
    possibly_billed: int
    failed: int
    left: int
    waiting: int
    done: int
    total: int
    other_runs: int
    outdated_since: datetime | None
    credits_used: float | None
    stopped_by: str | None
    bad_lines: int

    @classmethod
    def of(
        cls,
        numbers: Progress,
        *,
        credits_used: float | None,
        reason: Exception | None,
        bad_lines: int,
        waiting: int = 0,
    ) -> "SummaryRecord":
        """Summarise a run."""
        return cls(
            billed=numbers.billed,
            adopted=numbers.adopted,
            possibly_billed=numbers.possibly_billed,
            failed=numbers.failed,
            left=numbers.left,
            waiting=waiting,
            done=numbers.done,
            total=numbers.total,
            other_runs=numbers.other_runs,
            outdated_since=numbers.outdated_since,
            credits_used=credits_used,
            stopped_by=None if reason is None else type(reason).__name__,
            bad_lines=bad_lines,
        )


@attrs.frozen(kw_only=True)
class LastRecord:
    """The last line of a run: its summary, in a field that no other record has."""

    summary: SummaryRecord


@attrs.frozen(kw_only=True)
class DetailsRecord:
    """The details of a cover task, and the images that were saved."""

    cover_task_id: str
    music_task_id: str | None
    status: str
    images: tuple[str, ...]
    files: tuple[Path, ...]
    created_at: datetime | None
    completed_at: datetime | None
    error_code: int | None
    error_message: str | None

    @classmethod
    def of(cls, details: CoverDetails, files: tuple[Path, ...]) -> "DetailsRecord":
        """Describe a cover task."""
        return cls(
            cover_task_id=details.cover_task_id,
            music_task_id=details.music_task_id,
            status=details.status,
            images=details.images,
            files=files,
            created_at=details.created_at,
            completed_at=details.completed_at,
            error_code=details.error_code,
            error_message=details.error_message,
        )


@attrs.frozen(kw_only=True)
class CreditsRecord:
    """The account's balance."""

    credits: float


def _covered(covered: Covered) -> OutcomeRecord:
    return OutcomeRecord(
        music_task_id=covered.track.music_task_id,
        title=covered.track.title,
        state="saved",
        cover_task_id=covered.details.cover_task_id,
        images=covered.details.images,
        files=covered.files,
    )


def _failed(failed: Failed) -> OutcomeRecord:
    return OutcomeRecord(
        music_task_id=failed.track.music_task_id,
        title=failed.track.title,
        state="left" if failed.error.retryable else "failed",
        cover_task_id=failed.error.cover_task_id,
        error=ErrorRecord.of(failed.error),
    )

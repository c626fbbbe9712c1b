"""The events of a client: small frozen values that its hook, `on_event`, is called with.

They hold ids, counts, seconds and names. No event holds the key, a token, a callback URL, or the
path of an image's URL or of the base URL. They know no client; `emitter.py` makes them.
"""

import enum
from pathlib import Path

import attrs

from suno_cover_async.common.records import Record
from suno_cover_async.models import CoverStatus


class Operation(enum.StrEnum):
    """The kind of an operation; each is a str too, such as "submit".

    Attributes:
        GENERATE: One call of `generate`, with its wait for a slot.
        SUBMIT: One submit of a music task. All callers that ask for it meanwhile share it, and it
            ends when its request is answered, also if all of them were cancelled.
        WAIT: One call of `wait`, or the wait of `generate` or of a track. Callers that wait for
            one cover task share its polls; each poll belongs to the first of them.
        DOWNLOAD: One call of `download`, or the download of a track's images.
        CATALOG: A run of `cover_catalog`, from its first track to its last outcome.
    """

    GENERATE = "generate"
    SUBMIT = "submit"
    WAIT = "wait"
    DOWNLOAD = "download"
    CATALOG = "catalog"


class TrackOutcome(enum.StrEnum):
    """What became of a track in a run of a catalog; each is a str too.

    Attributes:
        COVERED: It has a cover; the run saves no images.
        SAVED: It has a cover, and its images are saved.
        FAILED: It failed, or needs attention; only a run with `retry_failed` continues with it.
        LEFT: The next run continues with it.
    """

    COVERED = "covered"
    SAVED = "saved"
    FAILED = "failed"
    LEFT = "left"


@attrs.frozen(kw_only=True)
class OperationStarted(Record):
    """An operation begins.

    Attributes:
        operation: Its kind.
        operation_id: 16 hex digits, which its other events repeat.
        parent_id: The operation that it is part of; None if it is part of none.
        music_task_id: Its music task, if it is known by then.
        cover_task_id: Its cover task, if it is known by then.
    """

    operation: Operation
    operation_id: str
    parent_id: str | None = None
    music_task_id: str | None = None
    cover_task_id: str | None = None


@attrs.frozen(kw_only=True)
class OperationEnded(Record):
    """An operation ended, with a result, an error or a cancellation.

    Attributes:
        operation: Its kind.
        operation_id: That of its `OperationStarted`.
        parent_id: The operation that it was part of; None if it was part of none.
        music_task_id: As in its `OperationStarted`.
        cover_task_id: As in its `OperationStarted`.
        duration: The seconds that it took.
        error: The class of the error that it ended with, such as "CoverFailedError", or
            "CancelledError"; None after a success.
    """

    operation: Operation
    operation_id: str
    parent_id: str | None = None
    music_task_id: str | None = None
    cover_task_id: str | None = None
    duration: float
    error: str | None = None


@attrs.frozen(kw_only=True)
class RequestSent(Record):
    """A request to the API or for an image has its permit, and is handed to the connection.

    Each attempt and each redirect of an image is a request of its own.

    Attributes:
        request_id: 16 hex digits, which its `RequestEnded` repeats.
        operation_id: The operation that it is part of; None if it is part of none.
        method: "GET" or "POST".
        origin: Scheme, host and port of its URL, such as "https://api.sunoapi.org".
        path: The API's own path, without the query; empty for an image.
        attempt: The number of the attempt, from 1.
        waited: The seconds that it waited for its permit.
        music_task_id: The music task that it names, if it names one.
        cover_task_id: The cover task that it names, if it names one.
    """

    request_id: str
    operation_id: str | None = None
    method: str
    origin: str
    path: str
    attempt: int = 1
    waited: float = 0.0
    music_task_id: str | None = None
    cover_task_id: str | None = None


@attrs.frozen(kw_only=True)
class RequestEnded(Record):
    """A request ended: it was answered, failed, or was cancelled.

    Attributes:
        request_id: That of its `RequestSent`.
        operation_id: As in its `RequestSent`.
        method: As in its `RequestSent`.
        origin: As in its `RequestSent`.
        path: As in its `RequestSent`.
        attempt: As in its `RequestSent`.
        music_task_id: As in its `RequestSent`.
        cover_task_id: As in its `RequestSent`.
        duration: The seconds from the permit to the end of the answer.
        http_status: The HTTP status; None without an answer.
        code: The API's own code; None if the answer is not the API's.
        error: The class of the error that the answer, or its absence, means, such as
            "RateLimitError" or "CancelledError"; None after a success.
    """

    request_id: str
    operation_id: str | None = None
    method: str
    origin: str
    path: str
    attempt: int = 1
    music_task_id: str | None = None
    cover_task_id: str | None = None
    duration: float
    http_status: int | None = None
    code: int | None = None
    error: str | None = None


@attrs.frozen(kw_only=True)
class RequestRetried(Record):
    """A request failed, and is sent again after a delay.

    Attributes:
        operation_id: The operation that it is part of; None if it is part of none.
        method: "GET" or "POST".
        origin: Scheme, host and port of its URL.
        path: The API's own path, without the query; empty for an image.
        attempt: The number of the attempt that failed, from 1.
        delay: The seconds until the next one may begin; it may wait for its permit too.
        error: The class of the error.
        reason: What happened, as the error says it, with the origins of URLs alone; at most 300
            characters.
        music_task_id: The music task that it names, if it names one.
        cover_task_id: The cover task that it names, if it names one.
    """

    operation_id: str | None = None
    method: str
    origin: str
    path: str
    attempt: int
    delay: float
    error: str
    reason: str
    music_task_id: str | None = None
    cover_task_id: str | None = None


@attrs.frozen(kw_only=True)
class RequestsPaused(Record):
    """The host refused a request for calling too often, and all requests of the account pause.

    Attributes:
        seconds: How long they pause. Further refusals may make it longer, without an event.
        reason: What the host said, with the origins of URLs alone; at most 300 characters.
    """

    seconds: float
    reason: str


@attrs.frozen(kw_only=True)
class BreakerChanged(Record):
    """A circuit breaker opened or closed.

    Attributes:
        breaker: "api", "submit" or "images", as in `SunoCoverClient.breakers`.
        is_open: Whether it holds requests back now.
        reason: The error that opened it, with the origins of URLs alone; at most 300 characters;
            None when it closed.
    """

    breaker: str
    is_open: bool
    reason: str | None = None


@attrs.frozen(kw_only=True)
class CoverSubmitted(Record):
    """A submit was answered with a cover task.

    Attributes:
        operation_id: The submit.
        music_task_id: The music task.
        cover_task_id: Its cover task.
        adopted: Whether the cover task existed already. If not, it was billed now.
    """

    operation_id: str | None = None
    music_task_id: str
    cover_task_id: str
    adopted: bool


@attrs.frozen(kw_only=True)
class CoverFinished(Record):
    """A poll found that a cover task for which somebody waits is finished.

    Attributes:
        operation_id: The first of the waits.
        music_task_id: The music task, if the host names it.
        cover_task_id: The cover task.
        status: SUCCESS or FAILED.
        host_seconds: How long the host took, by its own clock; None if it does not say so.
    """

    operation_id: str | None = None
    music_task_id: str | None = None
    cover_task_id: str
    status: CoverStatus
    host_seconds: float | None = None


@attrs.frozen(kw_only=True)
class ImagesSaved(Record):
    """All images of a cover were saved.

    Attributes:
        operation_id: The download.
        music_task_id: The music task, if it is known.
        cover_task_id: The cover task.
        files: The files.
    """

    operation_id: str | None = None
    music_task_id: str | None = None
    cover_task_id: str
    files: tuple[Path, ...]


@attrs.frozen(kw_only=True)
class TrackEnded(Record):
    """A run of a catalog has the outcome of a track.

    Attributes:
        operation_id: The run.
        music_task_id: The music task.
        title: The song's title; may be empty.
        outcome: What became of it.
        error: The class of the error; None if there is none.
    """

    operation_id: str | None = None
    music_task_id: str
    title: str
    outcome: TrackOutcome
    error: str | None = None


@attrs.frozen(kw_only=True)
class CreditsRead(Record):
    """The API told the balance of the account.

    Attributes:
        credits: The balance, in credits.
    """

    credits: float


Event = (
    OperationStarted
    | OperationEnded
    | RequestSent
    | RequestEnded
    | RequestRetried
    | RequestsPaused
    | BreakerChanged
    | CoverSubmitted
    | CoverFinished
    | ImagesSaved
    | TrackEnded
    | CreditsRead
)

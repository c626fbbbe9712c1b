"""Define the requests of the API: path, body, and how each answer is read. No I/O.

`codec.py` writes the records; `responses.py` decides what an answer as a whole means.

Sources: docs.sunoapi.org/suno-api/cover-suno, get-cover-suno-details and cover-suno-callbacks,
the pages of the same names on docs.kie.ai, and recorded traffic. Where they differ, a comment at
the line names the source that is followed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

from suno_cover_async.hosts import Host
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask, MusicDetails
from suno_cover_async.protocol.codec import (
    TASK_ID,
    Submission,
    SubmittedCover,
    WrongTaskError,
    check_task,
    cover_task_id_in,
    decode_details,
    decode_music,
    decode_submitted,
    encode_submission,
)
from suno_cover_async.protocol.redaction import without, written_url
from suno_cover_async.protocol.values import read_credits

T_co = TypeVar("T_co", covariant=True)

SUBMIT_PATH = "/api/v1/suno/cover/generate"
DETAILS_PATH = "/api/v1/suno/cover/record-info"
MUSIC_PATH = "/api/v1/generate/record-info"


class Call(NamedTuple, Generic[T_co]):
    """One request of the API, without host and key, and how to read its answer.

    Attributes:
        target: Path and query.
        decode: Reads `data`; raises LookupError, TypeError, ValueError or ArithmeticError.
        pending: Returns the result for code 201 without data, which means that the task is still
            running; None if 201 is read like 200.
        body: The body of a POST; None for a GET.
        adopt: Reads `data` of a refusal for a duplicate, as `decode` does; it returns None if that
            names no existing cover task. None if a duplicate is never a success.
        of_covers: The request is documented on the cover pages, where 429 is a rate limit on every
            host.
        music_task_id: The music task it is about, if any.
        cover_task_id: The cover task it is about, if any.
        guard: Called at the moment the body is sent; if it returns a reason, the body is not sent.
            None if it may always be.
        hide: Removes from the text of an answer what the body holds and nobody may see. None if it
            holds nothing such.
    """

    target: str
    decode: Callable[[object], T_co]
    pending: "Callable[[Call[Any]], T_co] | None" = None
    body: bytes | None = None
    adopt: Callable[[object], T_co | None] | None = None
    of_covers: bool = True
    music_task_id: str | None = None
    cover_task_id: str | None = None
    guard: Callable[[], str | None] | None = None
    hide: Callable[[str], str] | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.body is None else "POST"

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self.target.partition("?")[0]

    def __repr__(self) -> str:
        """Show only path and query: the body of a submit contains the token of its callback URL."""
        return f"Call({self.target!r})"


def _owner_unknown(_: str) -> str | None:
    """Return None: the owner of every cover task is unknown."""
    return None


def submit(
    music_task_id: str, callback_url: str, owner_of: Callable[[str], str | None] = _owner_unknown
) -> Call[CoverTask]:
    """Return the request that submits a music task for a cover.

    Both fields are required [documented]. A refusal for a duplicate (400 or 409) that names a
    cover task id is read as that cover task, adopted [documented in words, never recorded].
    An answer that names a cover task of other music is read as an answer to another request.
    The callback URL and its token are hidden in every answer that repeats them.

    Args:
        music_task_id: The music task.
        callback_url: The URL that the host calls when the cover is finished.
        owner_of: Returns the music task of a cover task, or None if it is unknown.
    """

    def task_of(named: SubmittedCover, *, adopted: bool) -> CoverTask:
        owners = {named.music_task_id, owner_of(named.cover_task_id)}
        if owners - {None, music_task_id}:
            raise WrongTaskError("it names the cover task of other music")
        return CoverTask(
            cover_task_id=named.cover_task_id, music_task_id=music_task_id, adopted=adopted
        )

    def accepted(data: object) -> CoverTask:
        return task_of(decode_submitted(data), adopted=False)

    def adopted(data: object) -> CoverTask | None:
        if cover_task_id_in(data) in {None, music_task_id}:
            return None
        return task_of(decode_submitted(data), adopted=True)

    submission = Submission(music_task_id=music_task_id, callback_url=callback_url)
    return Call(
        target=SUBMIT_PATH,
        body=encode_submission(submission),
        decode=accepted,
        adopt=adopted,
        music_task_id=music_task_id,
        hide=partial(
            without, forms=written_url(callback_url, music_task_id), hidden="[callback URL]"
        ),
    )


def details(cover_task_id: str) -> Call[CoverDetails | None]:
    """Return the request for the details of a cover task.

    Its result is None for `data: null`: the task is unknown, or not visible yet. Code 201 means
    that the task is still running [documented for a sister endpoint].
    """
    return Call(
        target=_target(DETAILS_PATH, cover_task_id),
        decode=partial(_details_of, cover_task_id),
        pending=_pending_cover,
        cover_task_id=cover_task_id,
    )


def music(music_task_id: str) -> Call[MusicDetails | None]:
    """Return the request for the details of a music task; its result is None for an unknown id."""
    return Call(
        target=_target(MUSIC_PATH, music_task_id),
        decode=partial(_music_of, music_task_id),
        pending=_pending_music,
        of_covers=False,
        music_task_id=music_task_id,
    )


def _pending_cover(call: Call[Any]) -> CoverDetails:
    return CoverDetails(cover_task_id=call.cover_task_id or "", status=CoverStatus.PENDING)


def _pending_music(call: Call[Any]) -> MusicDetails:
    return MusicDetails(music_task_id=call.music_task_id or "", status=CoverStatus.PENDING.value)


def _details_of(cover_task_id: str, data: object) -> CoverDetails | None:
    return None if data is None else decode_details(check_task(data, cover_task_id))


def _music_of(music_task_id: str, data: object) -> MusicDetails | None:
    return None if data is None else decode_music(check_task(data, music_task_id))


def _target(path: str, task_id: str) -> str:
    is_plain = task_id.isascii() and task_id.isalnum()  # like all observed ids
    return f"{path}?{TASK_ID}={task_id if is_plain else quote(task_id, safe='')}"


def task_id_in(query: Mapping[str, str]) -> str | None:
    """Return the task id in the query of a request, as the sandbox reads it, or None."""
    return query.get(TASK_ID) or None


def credit(host: Host) -> Call[float]:
    """Return the request for the account's balance, a float [observed: 1025.6]."""
    return Call(target=host.credits_path, decode=read_credits, of_covers=False)

"""The calls of the API: where each goes, what it posts, and how its answer is read. No I/O.

How records are written is `codec.py`'s; what an answer as a whole means is `responses.py`'s to say.

Sources: docs.sunoapi.org/suno-api/cover-suno, get-cover-suno-details and cover-suno-callbacks,
the pages of the same names on docs.kie.ai, and recorded traffic. Where they differ, the comment
beside the line says which one is followed.
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
from suno_cover_async.protocol.fields import read_credits

T_co = TypeVar("T_co", covariant=True)

SUBMIT_PATH = "/api/v1/suno/cover/generate"
DETAILS_PATH = "/api/v1/suno/cover/record-info"
MUSIC_PATH = "/api/v1/generate/record-info"


class Call(NamedTuple, Generic[T_co]):
    """One request of the API, before it has a host and a key, and how to read its answer.

    Attributes:
        target: Path and query.
        decode: Reads `data`; raises LookupError, TypeError, ValueError or ArithmeticError.
        pending: Makes the result of code 201 without data, which says that the task is still
            running; None where 201 is read like 200.
        body: What is posted; None for a GET.
        adopt: Likewise for a refusal for a duplicate; None where that is no success.
        of_covers: Documented on the cover pages, where 429 is a rate limit on every host.
        music_task_id: The music task it is about, where there is one.
        cover_task_id: The cover task it is about, where there is one.
    """

    target: str
    decode: Callable[[object], T_co]
    pending: "Callable[[Call[Any]], T_co] | None" = None
    body: bytes | None = None
    adopt: Callable[[object], T_co | None] | None = None
    of_covers: bool = True
    music_task_id: str | None = None
    cover_task_id: str | None = None

    def __repr__(self) -> str:
        """Show where it goes: the body of a submit holds the token of its callback URL."""
        return f"Call({self.target!r})"


def _owner_unknown(_: str) -> str | None:
    """Say that the owner of every cover task is unknown."""
    return None


def submit(
    music_task_id: str, callback_url: str, owner_of: Callable[[str], str | None] = _owner_unknown
) -> Call[CoverTask]:
    """Ask for the cover of a music task.

    Both fields are required [documented]. A refusal for a duplicate (400 or 409) that names a
    cover task id is read as that cover task, adopted [documented in words, never recorded].
    An answer that names a cover task of other music is read as an answer to another request.

    Args:
        music_task_id: The music task.
        callback_url: The URL that the host calls when the cover is finished.
        owner_of: Returns the music task of a cover task, None where it is unknown.
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
    )


def details(cover_task_id: str) -> Call[CoverDetails | None]:
    """Ask for the details of a cover task; `data: null`, unknown or not visible yet, is None.

    Code 201 says that it is still running; a sister endpoint documents that.
    """
    return Call(
        target=_target(DETAILS_PATH, cover_task_id),
        decode=partial(_details_of, cover_task_id),
        pending=_pending_cover,
        cover_task_id=cover_task_id,
    )


def music(music_task_id: str) -> Call[MusicDetails | None]:
    """Ask for the details of a music task; None when the API knows none of that id."""
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
    is_plain = task_id.isascii() and task_id.isalnum()  # as all that were ever seen
    return f"{path}?{TASK_ID}={task_id if is_plain else quote(task_id, safe='')}"


def task_id_in(query: Mapping[str, str]) -> str | None:
    """Read which task a request is about, as the sandbox does; None where the query names none."""
    return query.get(TASK_ID) or None


def credit(host: Host) -> Call[float]:
    """Ask for the account's balance, a float [seen live: 1025.6]."""
    return Call(target=host.credits_path, decode=read_credits, of_covers=False)

"""Convert between JSON text and the package's values: the client reads what the sandbox writes.

For each record, one table of fields gives the API's name of a field, how it is read and how it is
written; cattrs generates a reader and a writer from it. This module alone maps the API's field
names (`taskId`, `successFlag`, `callBackUrl`); elsewhere they appear only in error texts, and
`sandbox/music_record.py` adds what only other programs read of a music task. Ids, on which the
client relies, are read strictly. Everything else is read leniently: unknown fields are ignored,
null means absent, and a value that makes no sense becomes None. No I/O.

Sources: docs.sunoapi.org/suno-api/cover-suno, get-cover-suno-details and cover-suno-callbacks,
the pages of the same names on docs.kie.ai, and recorded traffic. Where they differ, a comment at
the line names the source that is followed.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
from cattrs import Converter
from cattrs.gen import (
    make_dict_structure_fn,
    make_dict_unstructure_fn,
    override,
)

from suno_cover_async.common import validation
from suno_cover_async.common.json_text import is_list, is_object, json_object
from suno_cover_async.common.text import printable
from suno_cover_async.errors import CallbackRefusedError
from suno_cover_async.models import CoverDetails, MusicDetails
from suno_cover_async.protocol.values import (
    Times,
    read_error_code,
    read_flag,
    read_message,
    read_parent,
    read_shown,
    read_task_id,
    read_text,
    read_text_or_none,
    read_time,
    read_unchecked,
    read_urls,
    skip,
    status_of_word,
    write_flag,
    write_time,
)

V = TypeVar("V")

TASK_ID = "taskId"

_PARENT = "parentTaskId"
_FLAG = "successFlag"


class WrongTaskError(ValueError):
    """The answer names another task, so it belongs to another request."""


@attrs.frozen(kw_only=True)
class Submission:
    """The body of a submit; a field is None if it is absent or not a string."""

    music_task_id: str | None = None
    callback_url: str | None = None


@attrs.frozen(kw_only=True)
class SubmittedCover:
    """The `data` of an answer to a submit: the cover task, and the music task if it is named."""

    cover_task_id: str
    music_task_id: str | None = None


@attrs.frozen(kw_only=True)
class _CallbackData:
    """The `data` of a callback; its id has two spellings and is not checked yet."""

    cover_task_id: object = None
    other_spelling: object = None
    images: tuple[str, ...] | None = None


# One table of fields for each record, used in both directions. The two functions that cattrs
# generates from a table are stored and called directly, because `_converter.structure` would search
# for them on each poll. Older versions of cattrs require the reader's second argument.

_converter = Converter(detailed_validation=False)  # its detailed errors show the server's values


class _Record(NamedTuple, Generic[V]):
    """The reader and the writer of one kind of record."""

    read: Callable[[Mapping[str, Any], type[V]], V]
    write: Callable[[V], dict[str, Any]]


def _record(kind: type[V], **overrides: object) -> _Record[V]:
    """Generate the reader and the writer from a table of fields."""
    table: dict[str, Any] = overrides
    return _Record(
        read=make_dict_structure_fn(kind, _converter, **table),
        write=make_dict_unstructure_fn(kind, _converter, **table),
    )


def _read_images(response: object, _: object) -> tuple[str, ...]:
    return read_urls(response.get("images")) if is_object(response) else ()


def _write_images(images: tuple[str, ...]) -> dict[str, Any] | None:
    return {"images": list(images)} if images else None


def _read_audio(response: object, _: object) -> tuple[str, ...]:
    songs = response.get("sunoData") if is_object(response) else None
    found = [one.get("audioUrl") for one in songs if is_object(one)] if is_list(songs) else None
    return read_urls(found)


def _write_audio(urls: tuple[str, ...]) -> dict[str, Any] | None:
    return {"sunoData": [{"audioUrl": url} for url in urls]} if urls else None


@cache
def _cover(times: Times) -> _Record[CoverDetails]:
    """Return the record of a cover task; hosts write times in two ways, and both are read."""
    write = partial(write_time, times)
    return _record(
        CoverDetails,
        cover_task_id=override(rename=TASK_ID, struct_hook=read_text),
        music_task_id=override(rename=_PARENT, struct_hook=read_parent),
        status=override(rename=_FLAG, struct_hook=read_flag, unstruct_hook=write_flag),
        images=override(rename="response", struct_hook=_read_images, unstruct_hook=_write_images),
        created_at=override(rename="createTime", struct_hook=read_time, unstruct_hook=write),
        completed_at=override(rename="completeTime", struct_hook=read_time, unstruct_hook=write),
        error_code=override(rename="errorCode", struct_hook=read_error_code),
        error_message=override(rename="errorMessage", struct_hook=read_message),
    )


_read_cover = _cover(Times.EPOCH_MS).read
_MUSIC = _record(
    MusicDetails,
    music_task_id=override(rename=TASK_ID, struct_hook=read_text),
    status=override(struct_hook=read_shown),
    audio_urls=override(rename="response", struct_hook=_read_audio, unstruct_hook=_write_audio),
)
_SUBMISSION = _record(
    Submission,
    music_task_id=override(rename=TASK_ID, struct_hook=read_text_or_none),
    callback_url=override(rename="callBackUrl", struct_hook=read_text_or_none),
)
_SUBMITTED = _record(
    SubmittedCover,
    cover_task_id=override(rename=TASK_ID, struct_hook=read_task_id),
    music_task_id=override(rename=_PARENT, struct_hook=read_parent, omit_if_default=True),
)
_CALLBACK = _record(
    _CallbackData,
    cover_task_id=override(rename=TASK_ID, struct_hook=read_unchecked),
    other_spelling=override(rename="task_id", struct_hook=read_unchecked, omit_if_default=True),
    images=override(struct_hook=skip),
)


def decode_details(record: dict[str, Any]) -> CoverDetails:
    """Read the `data` of a details answer; raise LookupError, TypeError or ValueError.

    The `status` word counts only if there is no flag [documented in prose, never observed].
    """
    if record.get(_FLAG) is None:
        record = record | {_FLAG: write_flag(status_of_word(record.get("status")))}
    return _read_cover(record, CoverDetails)


def encode_details(found: CoverDetails, times: Times = Times.EPOCH_MS) -> dict[str, Any]:
    """Write the `data` of a details answer, as the sandbox does."""
    return _cover(times).write(found)


def decode_music(record: dict[str, Any]) -> MusicDetails:
    """Read the `data` of a music details answer; raise LookupError or TypeError."""
    return _MUSIC.read(record, MusicDetails)


def encode_music(found: MusicDetails) -> dict[str, Any]:
    """Write the `data` of a music details answer, as the sandbox does."""
    return _MUSIC.write(found)


def check_task(data: object, task_id: str) -> dict[str, Any]:
    """Return `data` if it is a record of the requested task.

    Raises:
        TypeError: It is not an object, or its id is not a string.
        LookupError: It has no id.
        WrongTaskError: It is about another task.
    """
    if not is_object(data):
        raise TypeError("data is not an object")
    if data[TASK_ID] != task_id:
        raise WrongTaskError(f"it is about task {printable(read_text(data[TASK_ID]))}")
    return data


def encode_submission(submission: Submission) -> bytes:
    """Write the body of a submit."""
    return json.dumps(_SUBMISSION.write(submission)).encode()


def decode_submission(text: str) -> Submission:
    """Read the body of a submit, as the sandbox does; invalid fields count as absent."""
    return _SUBMISSION.read(json_object(text) or {}, Submission)


def decode_submitted(data: object) -> SubmittedCover:
    """Read the `data` of an answer to a submit; raise LookupError, TypeError or ValueError."""
    if not is_object(data):
        raise TypeError("data is not an object")
    return _SUBMITTED.read(data, SubmittedCover)


def cover_task_id_in(data: object) -> str | None:
    """Return the cover task id that `data` names, or None."""
    cover_task_id = data.get(TASK_ID) if is_object(data) else None
    return cover_task_id if validation.is_task_id(cover_task_id) else None


def encode_submitted(cover_task_id: str) -> dict[str, Any]:
    """Write the `data` of an answer that names a cover task, as the sandbox does."""
    return _SUBMITTED.write(SubmittedCover(cover_task_id=cover_task_id))


def encode_answer(code: int, message: str, data: object = None) -> bytes:
    """Write a whole answer, as the sandbox does."""
    return json.dumps({"code": code, "msg": message, "data": data}).encode()


def encode_callback(
    code: int, message: str, *, cover_task_id: str, images: tuple[str, ...] | None
) -> bytes:
    """Write a callback, as the sandbox does [documented]."""
    data = _CallbackData(cover_task_id=cover_task_id, images=images)
    return encode_answer(code, message, _CALLBACK.write(data))


def decode_callback(body: bytes) -> str:
    """Return the cover task id that a callback names; nothing else in it is trusted.

    kie.ai's own sample code reads `task_id`, and its documented callbacks contain `taskId`; both
    are read. Duplicate keys are refused, because another reader could see the other value.

    Raises:
        CallbackRefusedError: It is not UTF-8, not a JSON object, or names no cover task, or two.
    """
    try:
        found = json_object(body.decode(), allow_duplicate_keys=False)
    except UnicodeDecodeError:
        found = None
    data = found.get("data") if found else None
    if not is_object(data):
        raise CallbackRefusedError("the body is no JSON object with data")
    read = _CALLBACK.read(data, _CallbackData)
    named = [one for one in (read.cover_task_id, read.other_spelling) if one is not None]
    if not (named and validation.is_task_id(named[0]) and all(one == named[0] for one in named)):
        raise CallbackRefusedError("the body names no cover task, or two")
    return str(named[0])

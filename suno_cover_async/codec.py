"""JSON text and our values, both ways: the client reads what the sandbox writes. No I/O.

Both use the same tables, so the API's own words (`taskId`, `successFlag`, `callBackUrl`) stand in
this module and `requests.py` alone.

Sources: docs.sunoapi.org/suno-api/cover-suno, get-cover-suno-details and cover-suno-callbacks,
the pages of the same names on docs.kie.ai, and recorded traffic. Where they differ, the comment
beside the line says which one is followed.
"""

import enum
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from suno_cover_async import arguments
from suno_cover_async.errors import CallbackRefusedError
from suno_cover_async.json_text import is_list, is_object, json_object
from suno_cover_async.models import CoverDetails, CoverStatus, MusicDetails
from suno_cover_async.text import printable


class Times(enum.Enum):
    """How a host writes moments."""

    ISO = "iso"  # documented
    EPOCH_MS = "epoch_ms"  # seen live


_STATUS_BY_FLAG = {
    0: CoverStatus.PENDING,
    1: CoverStatus.SUCCESS,
    2: CoverStatus.GENERATING,  # "failed" on sister endpoints, never on this one
    3: CoverStatus.FAILED,
}
_STATUS_BY_WORD = {status.value: status for status in CoverStatus} | {
    "CREATE_TASK_FAILED": CoverStatus.FAILED,
    "GENERATE_COVER_FAILED": CoverStatus.FAILED,
}
_FLAG_BY_STATUS = {status: flag for flag, status in _STATUS_BY_FLAG.items()}
_NO_ERROR = frozenset({0, 200})
_DIGITS = re.compile(r"[0-9]{1,20}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(3000, 1, 1, tzinfo=UTC)
_MOST_URLS = 64  # usually 2 [documented]
_LONGEST_URL = 8192


def decode_details(record: dict[str, Any]) -> CoverDetails:
    """Read the `data` of a details answer; raises LookupError, TypeError or ValueError."""
    flag = record.get("successFlag")
    return CoverDetails(
        cover_task_id=text_of(record["taskId"]),
        music_task_id=parent_of(record.get("parentTaskId")),
        status=_word(record.get("status")) if flag is None else _flag(flag),
        images=_images(record.get("response")),
        created_at=_moment(record.get("createTime")),
        completed_at=_moment(record.get("completeTime")),
        error_code=_error_code(record.get("errorCode")),
        error_message=_error_message(record.get("errorMessage")),
    )


def encode_details(found: CoverDetails, times: Times = Times.EPOCH_MS) -> dict[str, Any]:
    """Write the `data` of a details answer, as the sandbox does."""
    return {
        "taskId": found.cover_task_id,
        "parentTaskId": found.music_task_id,
        "successFlag": _FLAG_BY_STATUS[found.status],
        "response": {"images": list(found.images)} if found.images else None,
        "createTime": _written(found.created_at, times),
        "completeTime": _written(found.completed_at, times),
        "errorCode": found.error_code,
        "errorMessage": found.error_message,
    }


def decode_music(record: dict[str, Any]) -> MusicDetails:
    """Read the `data` of a music details answer; raises LookupError, TypeError or ValueError."""
    return MusicDetails(
        music_task_id=text_of(record["taskId"]),
        status=printable(text_of(record["status"])),
        audio_urls=_audio_urls(record.get("response")),
    )


def encode_music(found: MusicDetails) -> dict[str, Any]:
    """Write the `data` of a music details answer, as the sandbox does."""
    tracks = [{"audioUrl": url} for url in found.audio_urls]
    return {
        "taskId": found.music_task_id,
        "status": found.status,
        "response": {"sunoData": tracks} if tracks else None,
    }


def encode_answer(code: int, message: str, data: object = None) -> bytes:
    """Write a whole answer, as the sandbox does."""
    return json.dumps({"code": code, "msg": message, "data": data}).encode()


def encode_task_id(cover_task_id: str) -> dict[str, str]:
    """Write the `data` of an answer that names a cover task."""
    return {"taskId": cover_task_id}


def encode_callback(
    code: int, message: str, *, cover_task_id: str, images: tuple[str, ...] | None
) -> bytes:
    """Write a callback, as the sandbox does [documented]."""
    urls = None if images is None else list(images)
    return encode_answer(code, message, {"taskId": cover_task_id, "images": urls})


def decode_callback(body: bytes) -> str:
    """Read which cover task a callback names; nothing else in it is to be believed.

    kie.ai's own sample code reads `task_id`, its documented callbacks carry `taskId`; both are
    read. Keys that stand twice are refused, since two readers could read two things.

    Raises:
        CallbackRefusedError: It is not UTF-8, not a JSON object, names no cover task, or two.
    """
    try:
        found = json_object(body.decode(), allow_duplicate_keys=False)
    except UnicodeDecodeError:
        found = None
    data = found.get("data") if found else None
    if not is_object(data):
        raise CallbackRefusedError("the body is no JSON object with data")
    named = [data[word] for word in ("taskId", "task_id") if data.get(word) is not None]
    if not (named and arguments.is_task_id(named[0]) and all(one == named[0] for one in named)):
        raise CallbackRefusedError("the body names no cover task, or two")
    return str(named[0])


@attrs.frozen(kw_only=True)
class Submission:
    """A submit as the sandbox receives it; a field is None where it is absent or no text."""

    music_task_id: str | None
    callback_url: str | None


def decode_submission(text: str) -> Submission:
    """Read the body of a submit, as the sandbox does; nonsense reads as absent fields."""
    body = json_object(text) or {}
    music_task_id, callback_url = body.get("taskId"), body.get("callBackUrl")
    return Submission(
        music_task_id=music_task_id if isinstance(music_task_id, str) else None,
        callback_url=callback_url if isinstance(callback_url, str) else None,
    )


def decode_task_id(query: Mapping[str, str]) -> str | None:
    """Read which task a look is about, as the sandbox does; None where the query names none."""
    return query.get("taskId") or None


def record_of(data: object) -> dict[str, Any]:
    """Check that `data` is an object; raises TypeError."""
    if not is_object(data):
        raise TypeError("data is not an object")
    return data


def cover_task_id_of(data: object) -> str:
    """Read the id of an accepted submit; raises LookupError, TypeError or ValueError."""
    cover_task_id = record_of(data)["taskId"]
    if not arguments.is_task_id(cover_task_id):
        raise ValueError("data.taskId is not an id")
    return cover_task_id


def whole_number(value: object) -> int | None:
    """Read a whole number, be it written 401, "401" or 401.0; None for anything else, as `true`.

    Text and floats were never seen; other clients of this API read codes and flags so.
    """
    if type(value) is int:
        return value
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) else None
    return int(value) if isinstance(value, float) and value.is_integer() else None


def credits_of(data: object) -> float:
    """Read a balance; raises ValueError or ArithmeticError."""
    if isinstance(data, bool) or not isinstance(data, int | float) or not math.isfinite(data):
        raise ValueError("data is not a number of credits")
    return float(data)


def text_of(value: object) -> str:
    """Check that it is a text; raises TypeError."""
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value


def parent_of(value: object) -> str | None:
    """Read which music task a cover task belongs to; raises ValueError."""
    if value is None or arguments.is_task_id(value):
        return value
    if value == "":
        return None
    raise ValueError("parentTaskId is no id: which music it is of, nobody can tell")


def _flag(value: object) -> CoverStatus:
    """Read a flag; what we do not know is pending, until the waiter's patience ends."""
    if type(value) is int:  # as nearly every poll brings it
        return _STATUS_BY_FLAG.get(value, CoverStatus.PENDING)
    number = whole_number(value)
    return _word(value) if number is None else _STATUS_BY_FLAG.get(number, CoverStatus.PENDING)


def _word(value: object) -> CoverStatus:
    word = value if isinstance(value, str) else ""
    return _STATUS_BY_WORD.get(word, CoverStatus.PENDING)


def _images(response: object) -> tuple[str, ...]:
    return _urls(response.get("images")) if is_object(response) else ()


def _audio_urls(response: object) -> tuple[str, ...]:
    tracks = response.get("sunoData") if is_object(response) else None
    return _urls([t.get("audioUrl") for t in tracks if is_object(t)] if is_list(tracks) else None)


def _urls(values: object) -> tuple[str, ...]:
    """Keep what may be a URL of a list, or its beginning; empty for what is none, as a null."""
    if not is_list(values):
        return ()
    return tuple(
        [
            url
            for url in values[:_MOST_URLS]
            if isinstance(url, str) and 0 < len(url) <= _LONGEST_URL and url.isprintable()
        ]
    )


def _moment(value: object) -> datetime | None:
    """Read ISO-8601 [documented] or epoch milliseconds [seen live], in UTC.

    None for anything else, and for a moment at which no cover was ever made, such as 0.
    """
    try:
        if type(value) is int:
            moment = _EPOCH + timedelta(0, 0, 0, value)  # milliseconds; a keyword costs time
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return moment if _EARLIEST < moment < _LATEST else None


def _written(moment: datetime | None, style: Times) -> str | int | None:
    if moment is None:
        return None
    if style is Times.ISO:
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _error_code(value: object) -> int | None:
    if value is None:
        return None
    code = whole_number(value)
    return None if code in _NO_ERROR else code


def _error_message(value: object) -> str | None:
    return printable(value) or None if isinstance(value, str) else None

"""Read and write single fields of the API's records, leniently or strictly. No I/O.

`codec.py` defines which record has which field, and the API's name of it. A reading function gets
the value and its type, as cattrs calls it. An error says what is wrong and never shows the value.
"""

import enum
import math
import re
from datetime import UTC, datetime, timedelta

from suno_cover_async.common import validation
from suno_cover_async.common.json_text import is_list
from suno_cover_async.common.text import printable
from suno_cover_async.models import CoverStatus

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
_UNKNOWN = CoverStatus.PENDING
_FLAG_BY_STATUS = {status: flag for flag, status in _STATUS_BY_FLAG.items()}
_NO_ERROR = frozenset({0, 200})
_DIGITS = re.compile(r"[0-9]{1,20}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(3000, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_EPOCH_MS = range((_EARLIEST - _EPOCH) // _MS + 1, (_LATEST - _EPOCH) // _MS)
_MOST_URLS = 64  # usually 2 [documented]
_URL_LENGTHS = range(1, 8193)


class Times(enum.Enum):
    """The format in which a host writes dates and times."""

    ISO = "iso"  # documented
    EPOCH_MS = "epoch_ms"  # observed


def whole_number(value: object) -> int | None:
    """Read a whole number written as 401, "401" or 401.0; None for anything else, such as `true`.

    Strings and floats were never observed; other clients of this API read codes and flags so.
    """
    if type(value) is int:
        return value
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) else None
    return int(value) if isinstance(value, float) and value.is_integer() else None


def read_credits(value: object) -> float:
    """Read a balance; raise ValueError or ArithmeticError for anything but a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("data is not a number of credits")
    return float(value)


def read_text(value: object, _: object = str) -> str:
    """Read a required string; cattrs alone would turn null into "None" and 5 into "5"."""
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value


def read_task_id(value: object, _: object) -> str:
    """Read a required id of the API; raise ValueError if it is not an id."""
    if not validation.is_task_id(value):
        raise ValueError("data.taskId is not an id")
    return value


def read_text_or_none(value: object, _: object) -> str | None:
    """Read a string; None for anything else."""
    return value if isinstance(value, str) else None


def read_shown(value: object, _: object) -> str:
    """Read a required string, and make it printable for a terminal."""
    return printable(read_text(value))


def read_message(value: object, _: object) -> str | None:
    """Read a reason and make it printable; None for an empty string, and for anything else."""
    return printable(value) or None if isinstance(value, str) else None


def read_parent(value: object, _: object) -> str | None:
    """Read the music task that a cover task belongs to; raise ValueError if it is not an id."""
    if value is None or validation.is_task_id(value):
        return value
    if value == "":
        return None
    raise ValueError("parentTaskId is not an id, so the music task of the cover is unknown")


def read_flag(value: object, _: object) -> CoverStatus:
    """Read a flag; an unknown one counts as pending, so the waiter polls until its timeout."""
    number = value if type(value) is int else whole_number(value)  # almost always an int
    if number is None:
        return status_of_word(value)
    return _STATUS_BY_FLAG.get(number, _UNKNOWN)


def status_of_word(value: object) -> CoverStatus:
    """Read a status written as a word; an unknown one counts as pending."""
    word = value if isinstance(value, str) else ""
    return _STATUS_BY_WORD.get(word, _UNKNOWN)


def write_flag(status: CoverStatus) -> int:
    """Write a status as a flag."""
    return _FLAG_BY_STATUS[status]


def read_error_code(value: object, _: object) -> int | None:
    """Read an error code; None if it says that there was no error."""
    if value is None:
        return None
    code = whole_number(value)
    return None if code in _NO_ERROR else code


def read_time(value: object, _: object) -> datetime | None:
    """Read ISO 8601 [documented] or epoch milliseconds [observed], in UTC.

    None for anything else, and for a time before 2000 or after 2999, such as 0.
    """
    if type(value) is int:  # positional arguments: keywords of timedelta would slow down each poll
        return _EPOCH + timedelta(0, 0, 0, value) if value in _EPOCH_MS else None
    return _read_iso(value) if isinstance(value, str) else None


def _read_iso(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return time if _EARLIEST < time < _LATEST else None


def write_time(times: Times, time: datetime | None) -> str | int | None:
    """Write a time in the format `times`."""
    if time is None:
        return None
    if times is Times.ISO:
        return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (time - _EPOCH) // _MS


def read_urls(values: object) -> tuple[str, ...]:
    """Read up to 64 URLs; skip values that cannot be URLs; a value that is no list has none."""
    if not is_list(values):
        return ()
    return tuple(
        [
            url
            for url in values[:_MOST_URLS]
            if isinstance(url, str) and len(url) in _URL_LENGTHS and url.isprintable()
        ]
    )


def read_unchecked(value: object, _: object) -> object:
    """Return the value unchecked; it is checked later, together with other fields."""
    return value


def skip(_: object, __: object) -> None:
    """Ignore the value."""

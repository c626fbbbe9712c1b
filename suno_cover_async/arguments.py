"""What people hand in: checked at once, and named when it is wrong. It knows no value but text."""

import math
import re
from types import UnionType
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from suno_cover_async.addresses import is_loopback

T = TypeVar("T")

_LONGEST_ID = 128
_LONGEST_URL = 2048


def task_id(name: str, value: str) -> str:
    """Check a music or cover task id: 1 to 128 printable ASCII characters without spaces.

    Raises:
        TypeError: It is not a str.
        ValueError: It is empty, too long, has odd characters, or is a URL.
    """
    instance(name, value, str)
    if not value:
        raise ValueError(f"{name} must not be empty")
    if "://" in value:
        raise ValueError(f"{name} must be a task id of the API, not a URL: {value[:80]!r}")
    if len(value) > _LONGEST_ID or not re.fullmatch(r"[!-~]+", value):
        raise ValueError(
            f"{name} must be 1 to {_LONGEST_ID} printable ASCII characters without spaces, "
            f"not {value[:80]!r}"
        )
    return value


def base_url(name: str, value: str) -> str:
    """Check where the API is: https, or http on loopback; returned without a trailing slash.

    Raises:
        ValueError: It is another scheme, has credentials, a query or a fragment, or no host.
    """
    parts = _split(name, value)
    if parts.query or parts.fragment:
        raise ValueError(f"{name} must have no query and no fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError(f"{name} must be https (http is for loopback only): the key travels there")
    return value.rstrip("/")


def callback_url(name: str, value: str) -> str:
    """Check a callback URL: an absolute http or https one of at most 2,048 characters.

    Raises:
        ValueError: It is anything else.
    """
    if _split(name, value).scheme not in {"http", "https"}:
        raise ValueError(f"{name} must be an http or https URL")
    return value


def instance(name: str, value: T, kind: type[Any] | UnionType) -> T:
    """Check that it is what it should be.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, kind):
        wanted = getattr(kind, "__name__", kind)
        raise TypeError(f"{name} must be a {wanted}, not {value!r:.80}")
    return value


def count(name: str, value: int) -> int:
    """Check a whole number of at least 1.

    Raises:
        ValueError: It is anything else.
    """
    if not isinstance(value, int) or value < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value


def seconds(name: str, value: float | None, default: float) -> float:
    """Check a time-out: a finite number of seconds above 0; None means the default.

    Raises:
        ValueError: It is anything else.
    """
    if value is None:
        return default
    instance(name, value, int | float)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number of seconds above 0, not {value!r}")
    return value


def _split(name: str, value: str) -> SplitResult:
    instance(name, value, str)
    if not re.fullmatch(rf"[!-~]{{1,{_LONGEST_URL}}}", value):
        raise ValueError(
            f"{name} must be a URL such as https://api.example.com: 1 to {_LONGEST_URL} printable "
            "ASCII characters without spaces"
        )
    try:
        parts = urlsplit(value)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, has_host = urlsplit(""), False
    if not has_host:
        raise ValueError(f"{name} must be a URL with a host, such as https://api.example.com")
    if "@" in parts.netloc:
        raise ValueError(f"{name} must hold no user name and no password")
    return parts

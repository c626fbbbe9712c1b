"""Checks of arguments; an error names the argument. It knows no class of this package."""

import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, TypeGuard, TypeVar
from urllib.parse import SplitResult, urlsplit

import attrs

from suno_cover_async.common.addresses import is_loopback

T = TypeVar("T")

_LONGEST_URL = 2048
_NETLOC = re.compile(r"[^][\\]+|\[[^][\\]+\](:[0-9]*)?")  # urlsplit parses [::1].evil as ::1
_API_PATH = "/api/v1"
_TASK_ID = re.compile(r"(?!.*://)[!-~]{1,128}")


def task_id(name: str, value: str) -> str:
    """Check a music or cover task id: 1 to 128 printable ASCII characters without spaces.

    Raises:
        TypeError: The value is not a str.
        ValueError: The value is empty, too long, has other characters, or is a URL.
    """
    if is_task_id(value):
        return value
    if not instance(name, value, str):
        raise ValueError(f"{name} must not be empty")
    if "://" in value:
        raise ValueError(f"{name} must be a task id of the API, not a URL: {value[:80]!r}")
    raise ValueError(
        f"{name} must be 1 to 128 printable ASCII characters without spaces, not {value[:80]!r}"
    )


def is_task_id(value: object) -> TypeGuard[str]:
    """Return whether a value is a valid task id, as `task_id` checks it."""
    return isinstance(value, str) and _TASK_ID.fullmatch(value) is not None


def base_url(name: str, value: str) -> str:
    """Check the API's base URL: https, or http on loopback; return it without a trailing slash.

    Raises:
        ValueError: The URL has another scheme, credentials, a query or a fragment, no host, or
            ends in `/api/v1`, which every request adds.
    """
    if instance(name, value, str).strip("\"'`") != value:  # as `docker --env-file` keeps them
        raise ValueError(f"{name} must be a URL without quotation marks around it")
    parts = _split(name, value)
    if "?" in value or "#" in value:  # empty ones too, since each path is appended to the URL
        raise ValueError(f"{name} must have no query and no fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError(f"{name} must be https (http is for loopback only): the key is sent there")
    rest = _without_api_path(value, parts.path)
    if rest != value.rstrip("/"):
        raise ValueError(f"{name} must be without /api/v1, which each request adds; give {rest}")
    return rest


def _without_api_path(url: str, path: str) -> str:
    """Remove every `/api/v1` from the end of a URL, with its slashes; `path` is the URL's path."""
    length = len(path.rstrip("/"))
    while path[:length].lower().endswith(_API_PATH):
        length = len(path[: length - len(_API_PATH)].rstrip("/"))
    return url[: len(url) - len(path) + length]


def callback_url(name: str, value: str) -> str:
    """Check a callback URL: an absolute http or https URL of at most 2,048 characters.

    Raises:
        ValueError: The value is anything else.
    """
    if _split(name, value).scheme not in {"http", "https"}:
        raise ValueError(f"{name} must be an http or https URL")
    return value


def given(value: T | None, default: T) -> T:
    """Return the value, or the default if the value is None."""
    return default if value is None else value


def instance(name: str, value: T, kind: type[Any] | UnionType) -> T:
    """Check that a value is an instance of `kind`.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(value, kind):
        wanted = getattr(kind, "__name__", kind)
        raise TypeError(f"{name} must be a {wanted}, not {value!r:.80}")
    return value


def count(name: str, value: int, *, least: int = 1) -> int:
    """Check that a value is a whole number of at least `least`.

    Raises:
        ValueError: The value is anything else.
    """
    kind: type[object] = type(value)
    if kind is not int or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return value


def positive(name: str, value: float) -> float:
    """Check that a value is a finite number above 0.

    Raises:
        TypeError: The value is not a number.
        ValueError: The number is not finite or not above 0.
    """
    instance(name, value, int | float)
    if not 0 < value < math.inf or value > sys.float_info.max:
        raise ValueError(f"{name} must be a finite number above 0, not {value!r}")
    return value


def positive_or_none(name: str, value: float | None) -> float | None:
    """Check that a value is None, or a finite number above 0.

    Raises:
        TypeError: The value is neither None nor a number.
        ValueError: The number is not finite or not above 0.
    """
    return None if value is None else positive(name, value)


def path(name: str, value: str) -> str:
    """Check the path of a URL: one slash and printable ASCII characters.

    Raises:
        TypeError: The value is not a str.
        ValueError: The text is anything else.
    """
    instance(name, value, str)
    if not re.fullmatch(r"/[!-.0-~][!-~]*", value):
        raise ValueError(f"{name} must be a path such as /api/v1/generate/credit, not {value!r}")
    return value


def folder(name: str, value: str | os.PathLike[str]) -> Path:
    """Check the path of a folder, which need not exist.

    Raises:
        TypeError: The value is not a path.
        ValueError: The path is invalid on this system.
    """
    place = Path(value)
    try:
        written = os.fsencode(place)
    except UnicodeEncodeError:
        written = b"\0"
    if b"\0" in written:
        raise ValueError(f"{name} must be a path that is valid on this system, not {value!r:.80}")
    return place


def checked(check: Callable[[str, Any], object]) -> Callable[[Any, Any, Any], None]:
    """Return an attrs validator that calls a check with the attribute's name and value."""

    def validate(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        check(attribute.name, value)

    return validate


def _split(name: str, value: str) -> SplitResult:
    instance(name, value, str)
    if not re.fullmatch(rf"[!-~]{{1,{_LONGEST_URL}}}", value):
        raise ValueError(
            f"{name} must be a URL such as https://api.example.com: 1 to {_LONGEST_URL} printable "
            "ASCII characters without spaces"
        )
    try:
        parts = urlsplit(value)
        is_whole = bool(parts.hostname and parts.scheme) and parts.port != 0
        is_whole = is_whole and _NETLOC.fullmatch(parts.netloc) is not None
    except ValueError:
        parts, is_whole = urlsplit(""), False
    if not is_whole:
        raise ValueError(
            f"{name} must be a URL with a scheme, a host and perhaps a port of 1 to 65535, such as "
            "https://api.example.com"
        )
    if "@" in parts.netloc:
        raise ValueError(f"{name} must not contain a user name or a password")
    return parts

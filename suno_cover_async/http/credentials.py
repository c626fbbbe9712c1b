"""The API key, and the headers that contain it. It is the only module that keeps the key."""

import hashlib
import re
from typing import Any, NoReturn

from suno_cover_async.common.version import __version__
from suno_cover_async.protocol.redaction import without, written

_QUOTES = "\"'`"
_SHORTEST = 8  # characters; the keys that were seen have 32

USER_AGENT = f"suno-cover-async/{__version__}"
"""Sent with every request: the hosts' gateway refuses a default one (HTTP 403, code 1010) [seen
live]."""


class ApiKey:
    """Holds the API key so that no repr, pickle or traceback frame shows it."""

    __slots__ = ("_value", "_written")

    def __init__(self, value: object) -> None:
        """Store the key unchecked; call `check` before use."""
        self._value: Any = value
        self._written: tuple[str, ...] = ()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied, since a copy could be shown or stored elsewhere."""
        raise TypeError("an API key is not pickled")

    def check(self) -> None:
        """Check that the key can be sent: at least 8 printable ASCII characters, without spaces.

        Raises:
            TypeError: The key is not a str.
            ValueError: There is no key, or it cannot be sent; the message never shows it.
        """
        if self._value is None or self._value == "":
            raise ValueError(
                "no API key: pass api_key, or set the environment variable SUNO_API_KEY"
            )
        if not isinstance(self._value, str):
            raise TypeError("api_key must be a str")
        problem = key_problem(self._value)
        if problem is not None:
            raise ValueError(f"api_key (or SUNO_API_KEY) {problem}")
        self._written = written(self._value)

    def headers(self) -> dict[str, str]:
        """Return the headers of every API request."""
        return {
            "Authorization": f"Bearer {self._value}",
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Cache-Control": "no-cache",  # a cache on the way would answer polls with old news
        }

    def fingerprint(self, host: str) -> str:
        """Return 16 hex digits that identify this key at this host and do not reveal it."""
        known = b"suno_cover_async account\0" + f"{host}\0{self._value}".encode()
        return hashlib.sha256(known).hexdigest()[:16]

    def hide_in(self, text: str) -> str:
        """Return a server's text without the key, in any of the usual encodings of the key."""
        return without(text, self._written)

    def check_id(self, name: str, value: object) -> None:
        """Check that an id is not the key: ids are logged, written to ledgers and shown.

        Raises:
            ValueError: The id is the key or contains it; the message does not show it.
        """
        if isinstance(value, str) and without(value, self._written) != value:
            raise ValueError(
                f"{name} is the API key (not shown); give the id of a task there, and the key as "
                "api_key or in SUNO_API_KEY"
            )


def key_problem(key: str) -> str | None:
    """Return what is wrong with a key, as the rest of a sentence about it; None if nothing is."""
    if re.match(r"\s*(authorization\s*:|bearer\s)", key, re.IGNORECASE):
        return "begins with `Authorization` or `Bearer`; give the key alone, which is what follows"
    if not re.fullmatch(r"[!-~]+", key):
        return (
            "has characters that no key has; check for a space or a line break at its beginning "
            "or end"
        )
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        return (
            "begins or ends with a quotation mark; remove it: `docker --env-file` and others keep "
            'the quotation marks of a line such as SUNO_API_KEY="..."'
        )
    if len(key) < _SHORTEST:
        return (
            f"has only {len(key)} characters; keys have at least {_SHORTEST}: check that it was "
            "copied as a whole"
        )
    return None

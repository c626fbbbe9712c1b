"""The API key, and the headers that show it. It is the only module that keeps the key."""

import hashlib
import re
from typing import Any, NoReturn

from suno_cover_async.common.version import __version__
from suno_cover_async.protocol.redaction import without, written

USER_AGENT = f"suno-cover-async/{__version__}"
"""Sent everywhere: a default one is turned away by the edge (HTTP 403, code 1010) [seen live]."""


class ApiKey:
    """The key, where no repr, pickle or frame shows it."""

    __slots__ = ("_value", "_written")

    def __init__(self, value: object) -> None:
        """Take the key as it is; `check` it before use."""
        self._value: Any = value
        self._written: tuple[str, ...] = ()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied to where we do not look after it."""
        raise TypeError("an API key is not pickled")

    def check(self) -> None:
        """Make sure that it can be sent: printable ASCII without spaces.

        Raises:
            TypeError: It is not a str.
            ValueError: There is none, or it cannot be sent; the message never shows it.
        """
        if self._value is None or self._value == "":
            raise ValueError(
                "no API key: pass api_key, or set the environment variable SUNO_API_KEY"
            )
        if not isinstance(self._value, str):
            raise TypeError("api_key must be a str")
        if not re.fullmatch(r"[!-~]+", self._value):
            raise ValueError(
                "api_key (or SUNO_API_KEY) has characters that no key has; perhaps a space or a "
                "line end at its edge"
            )
        self._written = written(self._value)

    def headers(self) -> dict[str, str]:
        """Return the headers of every API request."""
        return {
            "Authorization": f"Bearer {self._value}",
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
        }

    def fingerprint(self, host: str) -> str:
        """Return 16 hex digits that stand for this key at this host, and do not show the key."""
        known = b"suno_cover_async account\0" + f"{host}\0{self._value}".encode()
        return hashlib.sha256(known).hexdigest()[:16]

    def hide_in(self, text: str) -> str:
        """Take the key out of a text that a server sent, in whichever usual way it is written."""
        return without(text, self._written)

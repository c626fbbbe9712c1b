"""Create and check the tokens in callback URLs, and check kie.ai's signature of its callbacks.

All functions are pure: keys, texts and the time are arguments, and nothing is stored, so any
process that holds the secret can check a URL that another process created. Every check fails only
with `CallbackRefusedError`, for any input. `codec.py` reads the body of a callback.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Any, NoReturn, Self

import attrs

from suno_cover_async.common import validation
from suno_cover_async.errors import CallbackRefusedError

WINDOW = 300.0
"""Seconds by which the signature's clock and ours may differ. kie.ai documents no window."""

_PURPOSE = b"suno-cover-async callback url"
_IN_URLS = b"-_"  # in place of + and /
_IN_HEADERS = b"+/"
_SEGMENT = re.compile(r"([A-Za-z0-9_-]{2,171})\.([A-Za-z0-9_-]{43})", re.ASCII)
LONGEST = 171 + 1 + 43
"""The most characters that `mint` returns: for an id of 128."""

_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", re.ASCII)  # 2 bits are unused
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Secrets:
    """Secret keys, hidden from repr and pickle: the first one signs, all are accepted."""

    __slots__ = ("_given", "_keys")

    def __init__(self, given: str | bytes | Iterable[str | bytes]) -> None:
        """Take one key, or several with the newest first; call `check` before use."""
        one = isinstance(given, str | bytes) or not hasattr(given, "__iter__")
        self._given: tuple[Any, ...] = (given,) if one else (*given,)
        self._keys: tuple[bytes, ...] = ()

    def check(self, name: str) -> Self:
        """Check that the keys can be used; `name` is their name in the error message.

        Raises:
            TypeError: A key is neither str nor bytes.
            ValueError: There is no key, or a key is empty or not valid Unicode. The message never
                shows a key.
        """
        if self._given == (None,):
            raise TypeError(f"{name} must not be None; is its environment variable set?")
        if not all(isinstance(key, str | bytes) for key in self._given):
            raise TypeError(f"{name} must be a str, bytes, or several of these")
        if not self._given or not all(self._given):
            raise ValueError(f"{name} must not be empty")
        if any(isinstance(key, str) and _SURROGATE.search(key) for key in self._given):
            raise ValueError(f"{name} must be text that can be written as UTF-8, or bytes")
        self._keys = tuple(key if isinstance(key, bytes) else key.encode() for key in self._given)
        return self

    def __repr__(self) -> str:
        """Show how many keys there are."""
        return f"<{len(self._given)} secret(s)>"

    def __reduce__(self) -> NoReturn:
        """Raise TypeError: secrets must not be pickled."""
        raise TypeError("secrets are not pickled")

    def digest(self, message: bytes) -> bytes:
        """Return the digest of a message under the first key."""
        return _digest(self._keys[0], message)

    def have_signed(self, message: bytes, digest: bytes) -> bool:
        """Return whether one of the keys made this digest; compares in constant time."""
        return any(hmac.compare_digest(_digest(key, message), digest) for key in self._keys)


def mint(secrets: Secrets, music_task_id: str) -> str:
    """Return the last segment of a callback URL: a music task's id and an unguessable token.

    The id is base64url, since ids may contain characters that have a meaning in URLs, and
    frameworks differ in when they decode those.
    """
    return f"{_text(music_task_id.encode())}.{_text(secrets.digest(_message(music_task_id)))}"


def music_task_of(secrets: Secrets, path: str) -> str:
    """Return the music task's id from the path of a callback; only the last segment counts.

    Raises:
        CallbackRefusedError: The URL was not created with one of these secrets.
    """
    kind: type[object] = type(path)
    minted = _SEGMENT.fullmatch(path.rpartition("/")[2]) if kind is str else None
    if minted is None:
        raise CallbackRefusedError("the path is none of our callback URLs")
    encoded, token = _bytes(minted[1], _IN_URLS), _bytes(minted[2], _IN_URLS)
    music_task_id = encoded.decode("latin-1")
    if not (
        validation.is_task_id(music_task_id) and secrets.have_signed(_message(music_task_id), token)
    ):
        raise CallbackRefusedError("the token is wrong")
    return music_task_id


@attrs.frozen
class Signature:
    """The values of kie.ai's two headers: Unix seconds, and a digest."""

    timestamp: int
    digest: bytes


def read_signature(timestamp: str | None, signature: str | None) -> Signature:
    """Read `X-Webhook-Timestamp` and `X-Webhook-Signature` [documented by kie.ai].

    Raises:
        CallbackRefusedError: A header is absent, or has not the documented form.
    """
    if not (
        type(timestamp) is str
        and type(signature) is str
        and _TIMESTAMP.fullmatch(timestamp)
        and _SIGNATURE.fullmatch(signature)
    ):
        raise CallbackRefusedError("the signature's headers are missing or malformed")
    return Signature(int(timestamp), _bytes(signature[:-1], _IN_HEADERS))


def verify(
    secrets: Secrets,
    signature: Signature,
    cover_task_id: str,
    *,
    now: float,
    window: float = WINDOW,
) -> None:
    """Check that the host signed this cover task id, and did so recently.

    The signature does not cover the rest of the body [documented], so that proves nothing.

    Args:
        secrets: The keys shared with the host.
        signature: The signature of the callback.
        cover_task_id: The id that the callback names.
        now: Unix seconds.
        window: Seconds by which the two clocks may differ, in either direction.

    Raises:
        CallbackRefusedError: The signature is wrong, too old, or from the future.
    """
    if not abs(now - signature.timestamp) <= window:
        raise CallbackRefusedError("the signature is too old, or from the future")
    kind: type[object] = type(cover_task_id)
    if not (
        kind is str
        and validation.is_task_id(cover_task_id)
        and secrets.have_signed(_signed(cover_task_id, signature.timestamp), signature.digest)
    ):
        raise CallbackRefusedError("the signature is wrong")


def sign(key: bytes, cover_task_id: str, timestamp: int) -> str:
    """Sign as kie.ai does: base64 of HMAC-SHA256 over `<taskId>.<timestamp>` [documented]."""
    return base64.b64encode(_digest(key, _signed(cover_task_id, timestamp))).decode()


def _signed(cover_task_id: str, timestamp: int) -> bytes:
    return f"{cover_task_id}.{timestamp}".encode()


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def _message(music_task_id: str) -> bytes:
    """Prefix each part with its length, so that different parts never give the same message."""
    parts = (_PURPOSE, music_task_id.encode())
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _text(raw: bytes, altchars: bytes = _IN_URLS) -> str:
    return base64.b64encode(raw, altchars).rstrip(b"=").decode()


def _bytes(text: str, altchars: bytes) -> bytes:
    """Decode base64; return b"" for text that no encoder writes, some of which Python accepts."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars)
    except ValueError:
        return b""
    return raw if _text(raw, altchars) == text else b""

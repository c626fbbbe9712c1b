"""Verify a callback request step by step; every refused request gets the same answer.

This module owns the order of the checks, the parts of a request that are read, and the limit on its
body. It is pure: it knows no server and no waiting. `signatures.py` checks tokens and signatures,
and `codec.py` reads the body.
"""

import contextlib
import re
import time
from collections.abc import Generator, Iterable, Mapping
from typing import Any, cast

import attrs

from suno_cover_async.common import validation
from suno_cover_async.errors import CallbackRefusedError
from suno_cover_async.models import Callback
from suno_cover_async.protocol import codec, signatures

_Pairs = Iterable[tuple[str | bytes, str | bytes]]
Headers = Mapping[str, str] | _Pairs

LARGEST_BODY = 64 * 1024

_TIMESTAMP = "x-webhook-timestamp"  # both headers: documented by kie.ai
_SIGNATURE = "x-webhook-signature"
_READ = {"content-encoding", "content-type", "content-length", _TIMESTAMP, _SIGNATURE}
_JSON = re.compile(
    r"application/([a-z0-9!#$&^_.-]+\+)?json[ \t]*(;.*)?", re.ASCII | re.IGNORECASE | re.DOTALL
)
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)


@attrs.frozen(kw_only=True)
class CallbackAnswer:
    """The answer: status, body and content type; no header depends on the request."""

    status: int
    body: bytes
    content_type: str = "application/json"


ACCEPTED = CallbackAnswer(status=200, body=b'{"status": "received"}')
REFUSED = CallbackAnswer(status=400, body=b'{"status": "refused"}')


@attrs.frozen(kw_only=True)
class Head:
    """The verified parts of a request before its body is read; the signature is not checked yet."""

    music_task_id: str
    signature: signatures.Signature | None


@attrs.frozen(kw_only=True, repr=False)
class Verifier:
    """Check a request in two steps: first the parts without the body, then the body."""

    secrets: signatures.Secrets
    hmac_keys: signatures.Secrets | None

    def head(self, method: str, path: str, headers: Headers) -> Head:
        """Check everything that needs no body; raise CallbackRefusedError."""
        if method != "POST":
            raise CallbackRefusedError("the method is not POST")
        music_task_id = signatures.music_task_of(self.secrets, path.partition("?")[0])
        fields = _fields(headers)
        if fields.get("content-encoding", "identity").lower() != "identity":
            raise CallbackRefusedError("the body is compressed")
        if not _JSON.fullmatch(fields.get("content-type", "application/json")):
            raise CallbackRefusedError("the content type is not JSON")
        signature = None
        if self.hmac_keys is not None:
            signature = signatures.read_signature(fields.get(_TIMESTAMP), fields.get(_SIGNATURE))
        length = fields.get("content-length", "0")
        if not _LENGTH.fullmatch(length) or int(length) > LARGEST_BODY:
            raise CallbackRefusedError("the body is too large")
        return Head(music_task_id=music_task_id, signature=signature)

    def body(self, head: Head, body: bytes) -> Callback:
        """Check and read the body that belongs to a head; raise CallbackRefusedError."""
        kind: type[object] = type(body)
        if kind is not bytes or len(body) > LARGEST_BODY:
            raise CallbackRefusedError("the body is too large, or not bytes")
        cover_task_id = codec.decode_callback(body)
        if self.hmac_keys is not None and head.signature is not None:
            signatures.verify(self.hmac_keys, head.signature, cover_task_id, now=time.time())
        return Callback(music_task_id=head.music_task_id, cover_task_id=cover_task_id)


@contextlib.contextmanager
def refusing() -> Generator[None, None, None]:
    """Turn every error of malformed input into CallbackRefusedError; a cancellation passes."""
    try:
        yield
    except CallbackRefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - untrusted input may raise anything
        kind = type(error).__name__
    else:
        return
    raise CallbackRefusedError(f"it cannot be read: {kind}")


def _fields(headers: Headers) -> dict[str, str]:
    """Return the headers that are read, with names in lower case; empty ones count as absent."""
    fields: dict[str, str] = {}
    items: Any = getattr(headers, "items", None)
    for name, value in cast("_Pairs", items() if items else headers):
        known = _text(name).lower()
        if known in fields:
            raise CallbackRefusedError("a header appears twice")
        if known in _READ:
            fields[known] = _text(value).strip(" \t")
    return {name: value for name, value in fields.items() if value}


def _text(value: str | bytes) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return validation.instance("a header", text, str)

"""Which requests are callbacks: every part is checked, in one order, and nothing else is read."""

import asyncio
import http.client
import importlib
import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from multidict import CIMultiDict

from suno_cover_async.callbacks.verification import LARGEST_BODY, Verifier, refusing
from suno_cover_async.errors import CallbackRefusedError
from suno_cover_async.models import Callback
from suno_cover_async.protocol.signatures import Secrets
from tests.support.callback_requests import (
    ABSURD,
    BELIEVABLE,
    COVER,
    KEY,
    MUSIC,
    SECRET,
    UNBELIEVABLE,
    UNSIGNED,
    Request,
    but,
    each_of,
    letter,
    make,
    padded,
    path_of,
    signed,
    with_headers,
)

ALPHABET = string.ascii_letters + string.digits + "-_."


def verifier(hmac_key: str | None = None) -> Verifier:
    keys = None if hmac_key is None else Secrets(hmac_key).check("hmac_key")
    return Verifier(secrets=Secrets(SECRET).check("secret"), hmac_keys=keys)


def read(request: Request, hmac_key: str | None = None) -> Callback:
    checks, (method, path, headers, body) = verifier(hmac_key), request.parts()
    with refusing():
        return checks.body(checks.head(method, path, headers), body)


def reason_for(request: Request, hmac_key: str | None = None) -> str:
    with pytest.raises(CallbackRefusedError) as refusal:
        read(request, hmac_key)
    return str(refusal.value)


@each_of(BELIEVABLE)
@pytest.mark.parametrize("hmac_key", [None, KEY])
def test_a_valid_request_is_read_as_its_two_ids(
    request_of: Callable[[], Request], hmac_key: str | None
) -> None:
    expected = Callback(music_task_id=MUSIC, cover_task_id=COVER)

    assert read(request_of(), hmac_key) == expected


@each_of(UNBELIEVABLE | UNSIGNED | ABSURD)
def test_any_other_request_is_refused_with_a_printable_reason(
    request_of: Callable[[], Request],
) -> None:
    reason = reason_for(request_of(), KEY)

    assert reason
    assert reason.isprintable()
    assert MUSIC not in reason


@each_of(UNSIGNED)
def test_without_a_key_signatures_are_not_read(request_of: Callable[[], Request]) -> None:
    assert read(request_of()).music_task_id == MUSIC


@pytest.mark.parametrize(
    ("request_of", "reason"),
    [
        (lambda: but(method="GET", path="/"), "the method is not POST"),
        (
            lambda: but(path="/suno/x", headers={"Content-Encoding": "gzip"}),
            "the path is none of our callback URLs",
        ),
        (
            lambda: but(headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"}),
            "the body is compressed",
        ),
        (lambda: but(headers={"Content-Type": "text/plain"}), "the content type is not JSON"),
        (
            lambda: but(headers={"Content-Length": "99999"}),
            "the signature's headers are missing or malformed",
        ),
        (lambda: with_headers(("Content-Length", "99999")), "the body is too large"),
        (
            lambda: but(headers=signed(age=999), body=b"{}"),
            "the body is no JSON object with data",
        ),
        (lambda: but(headers=signed(age=999)), "the signature is too old, or from the future"),
    ],
)
def test_the_checks_come_in_order_the_body_last(
    request_of: Callable[[], Request], reason: str
) -> None:
    assert reason_for(request_of(), KEY) == reason


def test_a_head_is_refused_before_there_is_a_body() -> None:
    too_large = but(headers=signed() | {"Content-Length": str(LARGEST_BODY + 1)})
    method, path, headers, _ = too_large.parts()

    with pytest.raises(CallbackRefusedError, match="too large"):
        verifier(KEY).head(method, path, headers)


def test_the_head_keeps_the_music_task_and_the_signature_for_the_body() -> None:
    method, path, headers, body = Request().parts()
    signed_head = verifier(KEY).head(method, path, headers)

    assert signed_head.music_task_id == MUSIC
    assert signed_head.signature is not None
    assert verifier().head(method, path, headers).signature is None
    with pytest.raises(CallbackRefusedError, match="the signature"):
        verifier("another key").body(signed_head, body)


@pytest.mark.parametrize(("size", "is_read"), [(LARGEST_BODY, True), (LARGEST_BODY + 1, False)])
def test_a_body_of_64_kib_is_read_and_one_more_byte_refused(size: int, *, is_read: bool) -> None:
    if is_read:
        assert read(but(body=padded(size))).cover_task_id == COVER
    else:
        assert reason_for(but(body=padded(size))) == "the body is too large, or not bytes"


@pytest.mark.parametrize("body", [bytearray(letter()), memoryview(letter()), letter().decode()])
def test_a_body_that_is_not_bytes_is_refused(body: Any) -> None:
    assert reason_for(but(body=body)) == "the body is too large, or not bytes"


def tampered(segment: str) -> Iterator[str]:
    for place, character in enumerate(segment):
        for other in ALPHABET:
            if other != character:
                yield segment[:place] + other + segment[place + 1 :]
        yield segment[:place] + segment[place + 1 :]
        yield segment[:place] + character + segment[place:]


def test_a_token_with_one_wrong_character_anywhere_is_refused() -> None:
    segment = path_of(make()).rpartition("/")[2]

    for wrong in tampered(segment):
        reason_for(but(path=f"/suno/{wrong}"))


def test_headers_of_other_frameworks_are_read_as_they_come() -> None:
    message = http.client.HTTPMessage()
    werkzeug = pytest.importorskip("werkzeug.datastructures")
    starlette = pytest.importorskip("starlette.datastructures")
    pytest.importorskip("django")
    django = importlib.import_module("django.http.request")
    for name, value in signed().items():
        message[name] = value
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in signed().items()}
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE")

    for headers in (
        message,
        werkzeug.Headers(signed()),
        werkzeug.EnvironHeaders(environ),
        starlette.Headers(signed()),
        django.HttpHeaders(environ),
    ):
        assert read(but(headers=headers), KEY).cover_task_id == COVER


def test_a_header_given_twice_is_seen_in_every_kind_of_headers() -> None:
    pairs = [*signed().items(), ("content-type", "application/json")]
    message = http.client.HTTPMessage()
    werkzeug = pytest.importorskip("werkzeug.datastructures")
    starlette = pytest.importorskip("starlette.datastructures")
    for name, value in pairs:
        message[name] = value
    raw = [(name.lower().encode(), value.encode()) for name, value in pairs]

    for headers in (
        pairs,
        iter(pairs),
        raw,
        CIMultiDict(pairs),
        message,
        werkzeug.Headers(pairs),
        starlette.Headers(raw=raw),
    ):
        assert reason_for(but(headers=headers), KEY) == "a header appears twice"


def test_an_error_of_odd_input_becomes_a_refusal_without_its_text() -> None:
    with pytest.raises(CallbackRefusedError) as refusal, refusing():
        raise UnicodeError(SECRET)

    assert str(refusal.value) == "it cannot be read: UnicodeError"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_a_cancellation_passes_and_a_refusal_keeps_its_reason(error: BaseException) -> None:
    with pytest.raises(type(error)), refusing():
        raise error
    with pytest.raises(CallbackRefusedError, match="as it was"), refusing():
        raise CallbackRefusedError("as it was")


def test_a_verifier_does_not_show_its_secrets() -> None:
    assert SECRET not in repr(verifier(KEY))
    assert KEY not in repr(verifier(KEY))

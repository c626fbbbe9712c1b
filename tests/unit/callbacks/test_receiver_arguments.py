"""The receiver's arguments, and secrets that it never shows."""

import base64
import copy
import logging
import pickle
import traceback
from typing import Any

import pytest

from suno_cover_async import CallbackReceiver, CallbackRefusedError
from tests.support.callback_requests import (
    ABSURD,
    KEY,
    MUSIC,
    PUBLIC_URL,
    SECRET,
    UNBELIEVABLE,
    UNSIGNED,
    Request,
    make,
    path_of,
)


@pytest.mark.parametrize(
    "public_url",
    [
        "",
        "me.example/suno",
        "/suno",
        "ftp://me.example/",
        "https://",
        "https://me.example/a b",
        "https://me.example/suno?a=b",
        "https://me.example/suno?",
        "https://me.example/suno#a",
        "https://user:pass@me.example/suno",
        "https://m\u00e4.example/",
        "https://me.example/" + "x" * 1814,
    ],
)
def test_a_public_url_that_cannot_work_is_refused(public_url: str) -> None:
    with pytest.raises(ValueError, match="public_url"):
        make(public_url=public_url)


@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_the_longest_url_is_still_one_the_client_would_send(slashes: str) -> None:
    longest = "https://me.example/" + "x" * 1813
    receiver = make(public_url=longest + slashes)

    assert len(longest) == 1832
    assert len(receiver.url("~" * 128)) == 2048
    assert receiver.url("~" * 128).startswith(longest + "/f")


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"secret": ""}, ValueError, "secret"),
        ({"secret": []}, ValueError, "secret"),
        ({"secret": ["a", ""]}, ValueError, "secret"),
        ({"secret": None}, TypeError, "secret"),
        ({"secret": 5}, TypeError, "secret"),
        ({"secret": ["a", 5]}, TypeError, "secret"),
        ({"hmac_key": ""}, ValueError, "hmac_key"),
        ({"hmac_key": 5}, TypeError, "hmac_key"),
        ({"on_callback": 5}, TypeError, "on_callback"),
        ({"public_url": None}, TypeError, "public_url"),
        ({"public_url": b"https://me.example"}, TypeError, "public_url"),
    ],
)
def test_a_wrong_argument_is_named(
    options: dict[str, Any], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        make(**options)


def test_a_receiver_shows_where_it_is_and_no_secret() -> None:
    receiver = make(hmac_key=KEY)
    inside = [repr(value) for value in vars(receiver).values()]

    assert repr(receiver) == f"CallbackReceiver('{PUBLIC_URL}')"
    assert not any(secret in text for secret in (SECRET, KEY) for text in inside)


def test_a_receiver_is_not_pickled_nor_copied() -> None:
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secrets"):
            duplicate(make())


@pytest.mark.parametrize(
    "wrong",
    [
        {"public_url": "nowhere"},
        {"hmac_key": ""},
        {"secret": ""},
        {"secret": [SECRET, None]},
        {"hmac_key": [KEY, 5]},
    ],
)
def test_a_wrong_argument_leaves_no_secret_in_the_traceback(wrong: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "public_url": "https://me.example/suno",
        "secret": SECRET,
        "hmac_key": [KEY],
    }
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))) as error:
        CallbackReceiver(**(arguments | wrong))
    ours = error.value.with_traceback(error.tb.tb_next)  # not the locals of this test
    seen = traceback.TracebackException.from_exception(ours, capture_locals=True)
    shown = "".join(seen.format())

    assert "self = " in shown
    assert SECRET not in shown
    assert KEY not in shown


async def test_the_reason_is_logged_for_debugging_without_any_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver = make(hmac_key=KEY)
    token = path_of(receiver).rpartition("/")[2]
    for request_of in [*UNBELIEVABLE.values(), *UNSIGNED.values(), *ABSURD.values(), Request]:
        await receiver.receive(*request_of().parts())

    *logged, accepted = [one for one in caplog.records if one.name == "suno_cover_async"]
    assert accepted.getMessage() == f"a callback for music task {MUSIC}"
    assert len(logged) == len(UNBELIEVABLE | UNSIGNED | ABSURD)
    assert not any(MUSIC in record.getMessage() for record in logged)
    assert {record.levelno for record in logged} == {logging.DEBUG}
    assert all(record.getMessage().isprintable() for record in logged)
    digest = base64.b64encode(KEY.encode()).decode()
    for hidden in (SECRET, KEY, token, token.partition(".")[2], digest):
        assert hidden not in caplog.text


def test_a_refusal_leaves_no_token_in_the_traceback() -> None:
    receiver = make()
    method, path, headers, _ = Request().parts()
    with pytest.raises(CallbackRefusedError, match="the body is no JSON object") as error:
        receiver.read(method, path, headers, b"{}")
    ours = error.value.with_traceback(error.tb.tb_next)
    seen = traceback.TracebackException.from_exception(ours, capture_locals=True)
    shown = "".join(seen.format())

    assert "reason = " in shown
    assert error.value.__context__ is None
    assert path.rpartition("/")[2] not in shown


@pytest.mark.parametrize(
    ("host", "port", "match"),
    [
        ("", 8481, "host must be an address"),
        ("127.0.0.1", -1, "port must be a whole number from 0 to 65535, not -1"),
        ("127.0.0.1", 65_536, "port must be a whole number from 0 to 65535, not 65536"),
        ("127.0.0.1", "http", "port"),
    ],
)
async def test_an_address_that_cannot_be_listened_on_is_refused(
    host: str, port: Any, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        async with make().listen(host, port):
            pass

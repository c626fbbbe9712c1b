"""What the door believes, and the one thing it says to everything else."""

import asyncio
import base64
import copy
import gzip
import http.client
import importlib
import json
import logging
import pickle
import string
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import pytest
from conftest import listening, until
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from suno_cover_async import CallbackAnswer, CallbackReceiver
from suno_cover_async.covers.notifier import CallbackEvent
from suno_cover_async.errors import CallbackRefusedError
from suno_cover_async.models import Callback, CoverTask
from suno_cover_async.protocol import codec, signatures
from suno_cover_async.sandbox import callback_sender

PUBLIC_URL = "https://me.example/suno"
SECRET = "XyZZy-the-secret-of-the-urls"
KEY = "PLugh-the-key-of-the-host"
MUSIC = "73d6128b3523a0079df10da9471017c8"
COVER = "21aee3c3c2a01fa5e030b3799fa4dd56"
JSON = {"Content-Type": "application/json"}
ALPHABET = string.ascii_letters + string.digits + "-_."

ACCEPTED = CallbackAnswer(status=200, body=b'{"status": "received"}')
REFUSED = CallbackAnswer(status=400, body=b'{"status": "refused"}')
"""Status, body and headers: the same, whatever was wrong."""


def make(**options: Any) -> CallbackReceiver:
    return CallbackReceiver(**({"public_url": PUBLIC_URL, "secret": SECRET} | options))


def path_of(receiver: CallbackReceiver, music_task_id: str = MUSIC) -> str:
    return urlsplit(receiver.url(music_task_id)).path


def letter(cover_task_id: str = COVER) -> bytes:
    return codec.encode_callback(200, "success", cover_task_id=cover_task_id, images=("/1", "/2"))


def signed(cover_task_id: str = COVER, *, age: int = 0, key: str = KEY) -> dict[str, str]:
    return JSON | callback_sender.signature(key, cover_task_id, int(time.time()) - age)


@attrs.frozen(kw_only=True)
class Request:
    """A callback to MUSIC's URL that every receiver here believes, signed or not."""

    method: Any = "POST"
    path: Any = attrs.field(factory=lambda: path_of(make()))
    headers: Any = attrs.field(factory=signed)
    body: Any = attrs.field(factory=letter)

    def parts(self) -> tuple[Any, Any, Any, Any]:
        return self.method, self.path, self.headers, self.body


def but(**changes: Any) -> Request:
    return Request(**changes)


def with_headers(*more: tuple[Any, Any]) -> Request:
    return Request(headers=[*signed().items(), *more])


def without(name: str) -> Request:
    return Request(headers={n: value for n, value in signed().items() if n != name})


def deep(levels: int) -> bytes:
    return b'{"data":{"taskId":"%s"},"x":%s}' % (COVER.encode(), b"[" * levels + b"]" * levels)


def data(text: str) -> bytes:
    return f'{{"code":200,"msg":"success","data":{text}}}'.replace("COVER", COVER).encode()


def padded(size: int) -> bytes:
    return letter() + b" " * (size - len(letter()))


TOKEN_OF_ANOTHER = signatures.mint(signatures.Secrets("another secret").check("secret"), MUSIC)

UNBELIEVABLE: dict[str, Callable[[], Request]] = {
    "forged: no token": lambda: but(path="/suno/forged"),
    "forged: another secret's token": lambda: but(path=f"/suno/{TOKEN_OF_ANOTHER}"),
    "forged: a token of other music": lambda: but(
        path=path_of(make()).partition(".")[0] + "." + path_of(make(), "other").partition(".")[2]
    ),
    "the token in the query": lambda: but(path="/suno/?" + path_of(make()).rpartition("/")[2]),
    "the token, and one more segment": lambda: but(path=path_of(make()) + "/"),
    "the token in another segment": lambda: but(path=path_of(make()) + "/x"),
    "no path": lambda: but(path=""),
    "GET": lambda: but(method="GET"),
    "PUT": lambda: but(method="PUT"),
    "HEAD": lambda: but(method="HEAD"),
    "no method": lambda: but(method=""),
    "one byte too large": lambda: but(body=padded(65537)),
    "much too large": lambda: but(body=padded(3_000_000)),
    "announced as too large": lambda: with_headers(("Content-Length", "65537")),
    "a length that is none": lambda: with_headers(("Content-Length", "12x")),
    "a length in other digits": lambda: with_headers(("Content-Length", "\uff11\uff17")),
    "a length below zero": lambda: with_headers(("Content-Length", "-1")),
    "an endless length": lambda: with_headers(("Content-Length", "9" * 5000)),
    "a form": lambda: but(headers=signed() | {"Content-Type": "application/x-www-form-urlencoded"}),
    "text": lambda: but(headers=signed() | {"Content-Type": "text/plain"}),
    "nearly JSON": lambda: but(headers=signed() | {"Content-Type": "application/jsonp"}),
    "a type with more behind it": lambda: but(
        headers=signed() | {"Content-Type": "application/json, text/html"}
    ),
    "a non-ASCII type": lambda: but(headers=signed() | {"Content-Type": "application/j\u017fon"}),
    "gzip": lambda: but(headers=signed() | {"Content-Encoding": "gzip"}, body=gzip.compress(b"{}")),
    "said to be gzip": lambda: with_headers(("Content-Encoding", "gzip")),
    "said to be identity and gzip": lambda: with_headers(("content-encoding", "identity, gzip")),
    "a non-ASCII encoding": lambda: with_headers(("Content-Encoding", "\u0131dentity")),
    "two types": lambda: with_headers(("content-type", "application/json")),
    "two lengths": lambda: with_headers(("Content-Length", "5"), ("content-length", "5")),
    "two encodings": lambda: with_headers(*[("Content-Encoding", "identity")] * 2),
    "two timestamps": lambda: with_headers(("x-webhook-timestamp", str(int(time.time())))),
    "two signatures": lambda: with_headers((b"X-WEBHOOK-SIGNATURE", b"x" * 44)),
    "not UTF-8": lambda: but(body=letter().replace(b"success", b"\xff\xfe")),
    "UTF-16": lambda: but(body=letter().decode().encode("utf-16")),
    "a byte order mark": lambda: but(body=b"\xef\xbb\xbf" + letter()),
    "nothing": lambda: but(body=b""),
    "half of it": lambda: but(body=letter()[:40]),
    "two of it": lambda: but(body=letter() * 2),
    "deep": lambda: but(body=deep(30_000)),
    "a huge number": lambda: but(body=data('{"taskId":"COVER","n":' + "9" * 5000 + "}")),
    "NaN": lambda: but(body=data('{"taskId":"COVER","n":NaN}')),
    "infinity": lambda: but(body=data('{"taskId":"COVER","n":-Infinity}')),
    "duplicate keys": lambda: but(body=data('{"taskId":"COVER","taskId":"COVER"}')),
    "duplicate data": lambda: but(body=data('1,"data":{"taskId":"COVER"}')),
    "two spellings that differ": lambda: but(body=data('{"taskId":"COVER","task_id":"b"}')),
    "no data": lambda: but(body=b'{"code":200,"msg":"success"}'),
    "data: null": lambda: but(body=data("null")),
    "a list": lambda: but(body=b"[%s]" % letter()),
    "a list as data": lambda: but(body=data('[{"taskId":"COVER"}]')),
    "no id": lambda: but(body=data("{}")),
    "an empty id": lambda: but(body=data('{"taskId":""}')),
    "a number for an id": lambda: but(body=data('{"taskId":5}')),
    "a list for an id": lambda: but(body=data('{"taskId":["COVER"]}')),
    "a long id": lambda: but(body=data('{"taskId":"COVERx"}'.replace("x", "x" * 97))),
    "an id with a line break": lambda: but(body=data('{"taskId":"a\\nb"}')),
    "a non-ASCII id": lambda: but(body=data('{"taskId":"\u00e4"}')),
    "a surrogate for an id": lambda: but(body=data('{"taskId":"\\ud800"}')),
}

UNSIGNED: dict[str, Callable[[], Request]] = {
    "no signature": lambda: without("X-Webhook-Signature"),
    "no timestamp": lambda: without("X-Webhook-Timestamp"),
    "swapped body": lambda: but(body=letter("another-cover")),
    "another key's": lambda: but(headers=signed(key="another key")),
    "stale": lambda: but(headers=signed(age=302)),
    "stale at the edge": lambda: but(headers=signed(age=301)),
    "of the future": lambda: but(headers=signed(age=-302)),
    "another timestamp": lambda: but(
        headers=signed() | {"X-Webhook-Timestamp": str(int(time.time()) - 1)}
    ),
    "a timestamp in other digits": lambda: but(
        headers=signed() | {"X-Webhook-Timestamp": "\uff11" * 10}
    ),
    "a fraction": lambda: but(headers=signed() | {"X-Webhook-Timestamp": f"{time.time()}"}),
    "an endless timestamp": lambda: but(headers=signed() | {"X-Webhook-Timestamp": "1" * 5000}),
    "a non-ASCII signature": lambda: but(headers=signed() | {"X-Webhook-Signature": "\u00e9" * 44}),
    "a surrogate": lambda: but(headers=signed() | {"X-Webhook-Signature": "\udcff" * 44}),
    "bytes that are no text": lambda: but(headers={"X-Webhook-Signature": b"\xff" * 44}),
    "a short signature": lambda: but(headers=signed() | {"X-Webhook-Signature": "QUJD"}),
    "no base64": lambda: but(headers=signed() | {"X-Webhook-Signature": "!" * 43 + "="}),
}

ABSURD: dict[str, Callable[[], Request]] = {
    "method None": lambda: but(method=None),
    "method bytes": lambda: but(method=b"POST"),
    "path None": lambda: but(path=None),
    "path bytes": lambda: but(path=path_of(make()).encode()),
    "path with a surrogate": lambda: but(path=path_of(make()) + "\udcff"),
    "headers None": lambda: but(headers=None),
    "headers a number": lambda: but(headers=5),
    "headers a text": lambda: but(headers="Content-Type: application/json"),
    "headers of three": lambda: but(headers=[("a", "b", "c")]),
    "a header None": lambda: with_headers((None, "x")),
    "a type None": lambda: but(headers=signed() | {"Content-Type": None}),
    "a length 5": lambda: with_headers(("Content-Length", 5)),
    "headers that raise": lambda: but(headers=(1 // 0 for _ in "x")),
    "body None": lambda: but(body=None),
    "body text": lambda: but(body=letter().decode()),
    "body bytearray": lambda: but(body=bytearray(letter())),
    "body a list": lambda: but(body=[*letter()]),
}

BELIEVABLE: dict[str, Callable[[], Request]] = {
    "as the sandbox sends it": Request,
    "another prefix": lambda: but(path="/a/b/" + path_of(make()).rpartition("/")[2]),
    "no prefix": lambda: but(path=path_of(make()).rpartition("/")[2]),
    "a query": lambda: but(path=path_of(make()) + "?a=/b/c.d"),
    "no type": lambda: without("Content-Type"),
    "an empty type, as WSGI may have it": lambda: but(headers=signed() | {"Content-Type": ""}),
    "a charset": lambda: but(headers=signed() | {"Content-Type": "Application/JSON ; charset=x"}),
    "a kind of JSON": lambda: but(headers=signed() | {"Content-Type": "application/a.b+json"}),
    "identity": lambda: with_headers(("Content-Encoding", "Identity")),
    "pairs of bytes": lambda: but(
        headers=[(name.lower().encode(), value.encode()) for name, value in signed().items()]
    ),
    "names in other cases": lambda: but(headers={n.upper(): v for n, v in signed().items()}),
    "a multidict": lambda: but(headers=CIMultiDict(signed())),
    "others twice, in any alphabet": lambda: with_headers(*[("Forwarded", "\udcff\u00e4")] * 2),
    "the largest body": lambda: but(
        headers=signed() | {"Content-Length": "65536"}, body=padded(65536)
    ),
    "the other spelling": lambda: but(body=data('{"task_id":"COVER"}')),
    "both spellings": lambda: but(body=data('{"task_id":"COVER","taskId":"COVER"}')),
    "a failure": lambda: but(
        body=codec.encode_callback(501, "failed", cover_task_id=COVER, images=None)
    ),
    "nearly stale": lambda: but(headers=signed(age=298)),
    "from a clock that is ahead": lambda: but(headers=signed(age=-298)),
}


async def heard(subscription: CallbackEvent) -> bool:
    """Whether it rang: a ring takes a turn of the loop to arrive."""
    for _ in range(3):
        await asyncio.sleep(0)
    return await subscription.wait(asyncio.get_running_loop().time())


def params(cases: dict[str, Callable[[], Request]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("request_of", cases.values(), ids=cases.keys())


def reason_for(receiver: CallbackReceiver, request: Request) -> str:
    with pytest.raises(CallbackRefusedError) as refusal:
        receiver.read(*request.parts())
    return str(refusal.value)


@params(BELIEVABLE)
@pytest.mark.parametrize("hmac_key", [None, KEY])
async def test_a_true_callback_is_received_and_notifies(
    request_of: Callable[[], Request], hmac_key: str | None
) -> None:
    receiver = make(hmac_key=hmac_key)

    with listening(receiver.notifier, COVER) as subscription:
        answer = await receiver.receive(*request_of().parts())

        assert answer == ACCEPTED
        assert await heard(subscription)
    assert receiver.notifier.named(MUSIC) == (COVER,)


@params(UNBELIEVABLE | UNSIGNED | ABSURD)
async def test_every_refusal_is_the_same_and_changes_nothing(
    request_of: Callable[[], Request],
) -> None:
    called: list[Callback] = []
    receiver = make(hmac_key=KEY, on_callback=called.append)

    with (
        listening(receiver.notifier, COVER) as subscription,
        receiver.notifier.expecting(MUSIC) as expecting,
    ):
        answer = await receiver.receive(*request_of().parts())

        assert answer == REFUSED
        assert not await heard(subscription)
        assert not await heard(expecting)
    assert receiver.notifier.named(MUSIC) == ()
    await receiver.receive(*Request(path=path_of(receiver, "other")).parts())
    await until(lambda: called)
    assert called == [Callback(music_task_id="other", cover_task_id=COVER)]


@params(UNBELIEVABLE | ABSURD)
async def test_the_same_is_refused_where_nothing_is_signed(
    request_of: Callable[[], Request],
) -> None:
    receiver = make()

    assert await receiver.receive(*request_of().parts()) == REFUSED
    assert receiver.notifier.named(MUSIC) == ()


def test_reading_notifies_nobody() -> None:
    called: list[Callback] = []
    receiver = make(on_callback=called.append)

    found = receiver.read(*Request().parts())

    assert found == Callback(music_task_id=MUSIC, cover_task_id=COVER)
    assert receiver.notifier.named(MUSIC) == ()
    assert not called


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
    assert reason_for(make(hmac_key=KEY), request_of()) == reason


def tampered(segment: str) -> Iterator[str]:
    for place, character in enumerate(segment):
        for other in ALPHABET:
            if other != character:
                yield segment[:place] + other + segment[place + 1 :]
        yield segment[:place] + segment[place + 1 :]
        yield segment[:place] + character + segment[place:]


def test_a_token_with_one_wrong_character_anywhere_is_refused() -> None:
    receiver = make()
    segment = path_of(receiver).rpartition("/")[2]

    for wrong in tampered(segment):
        reason_for(receiver, but(path=f"/suno/{wrong}"))


async def test_a_callback_that_contradicts_what_is_known_is_refused() -> None:
    called: list[Callback] = []
    receiver = make(on_callback=called.append)
    ours = CoverTask(cover_task_id=COVER, music_task_id=MUSIC)

    with listening(receiver.notifier, ours) as subscription:
        other_cover = await receiver.receive(*but(body=letter("another-cover")).parts())
        other_music = await receiver.receive(*but(path=path_of(receiver, "other")).parts())

        assert (other_cover, other_music) == (REFUSED, REFUSED)
        assert not await heard(subscription)
        assert await receiver.receive(*Request().parts()) == ACCEPTED
        assert await heard(subscription)
    assert receiver.notifier.named("other") == ()
    await until(lambda: called)
    assert called == [Callback(music_task_id=MUSIC, cover_task_id=COVER)]


async def test_a_replay_only_notifies_again() -> None:
    receiver, request = make(hmac_key=KEY), Request()

    answers = [await receiver.receive(*request.parts()) for _ in range(3)]

    assert answers == [ACCEPTED] * 3
    assert receiver.notifier.named(MUSIC) == (COVER,)


def test_secrets_and_keys_rotate() -> None:
    old, between, new = make(), make(secret=["new", SECRET]), make(secret=b"new")
    minted_before, minted_between = but(path=path_of(old)), but(path=path_of(between))

    assert between.read(*minted_before.parts()) == between.read(*minted_between.parts())
    assert new.read(*minted_between.parts()).music_task_id == MUSIC
    reason_for(old, minted_between)
    reason_for(new, minted_before)
    assert make(hmac_key=["new", KEY]).read(*Request().parts()).cover_task_id == COVER
    reason_for(make(hmac_key=["new", "newer"]), Request())


def test_any_process_with_the_secret_can_check() -> None:
    minted = CallbackReceiver(public_url="http://elsewhere.example:8080", secret=SECRET.encode())

    assert make().read(*but(path=minted.url(MUSIC)).parts()).music_task_id == MUSIC


@given(music_task_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
@settings(deadline=None)
def test_any_id_of_the_api_survives_its_url(music_task_id: str) -> None:
    music_task_id = music_task_id.replace("://", "")[:128] or "x"
    receiver = make()
    url = receiver.url(music_task_id)

    assert url.startswith(PUBLIC_URL + "/")
    assert quote(url, safe=":/") == url
    assert receiver.read(*but(path=urlsplit(url).path).parts()).music_task_id == music_task_id


@pytest.mark.parametrize("music_task_id", ["", "a b", "\u00e4", "x" * 129, "https://x.example/"])
def test_no_url_is_minted_for_what_is_no_id(music_task_id: str) -> None:
    with pytest.raises(ValueError, match="music_task_id"):
        make().url(music_task_id)


def test_no_url_is_minted_for_another_type() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="music_task_id"):
        make().url(wrong)


SCRAPS = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.binary(),
    st.lists(st.text(max_size=3), max_size=3),
    st.just(object()),
)
NAMES = st.sampled_from(
    ["Content-Type", "content-length", "Content-Encoding", "X-Webhook-Signature", b"Host"]
)
METHODS = st.one_of(SCRAPS, st.just("POST"))
PATHS = st.one_of(SCRAPS, st.just(path_of(make())))
HEADERS = st.one_of(
    SCRAPS,
    st.just({}),
    st.lists(st.tuples(st.one_of(NAMES, SCRAPS), SCRAPS), max_size=4),
    st.dictionaries(NAMES, SCRAPS, max_size=4),
)
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=4), st.sampled_from(["taskId"])), inner),
    ),
    max_leaves=5,
)
BODIES = st.one_of(
    SCRAPS,
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    JSON_VALUES.map(lambda value: json.dumps({"data": {"taskId": value}}).encode()),
    st.just(letter()),
)


@given(method=METHODS, path=PATHS, headers=HEADERS, body=BODIES)
@settings(max_examples=400, deadline=None)
@pytest.mark.parametrize("hmac_key", [None, KEY])
def test_whatever_comes_in_is_believed_or_refused(
    hmac_key: str | None, method: Any, path: Any, headers: Any, body: Any
) -> None:
    receiver = make(hmac_key=hmac_key)
    try:
        expected = ACCEPTED if receiver.read(method, path, headers, body) else None
    except CallbackRefusedError:
        expected = REFUSED

    assert asyncio.run(receiver.receive(method, path, headers, body)) == expected


def test_headers_of_other_frameworks_are_read_as_they_come() -> None:
    receiver = make(hmac_key=KEY)
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
        assert receiver.read(*but(headers=headers).parts()).cover_task_id == COVER


def test_a_header_given_twice_is_seen_in_every_kind_of_headers() -> None:
    receiver = make(hmac_key=KEY)
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
        assert reason_for(receiver, but(headers=headers)) == "a header appears twice"


# --- callbacks that came in elsewhere ----------------------------------------------------------


async def test_a_notification_from_another_process_wakes_the_waiter_and_calls_nobody() -> None:
    called: list[Callback] = []
    receiver = make(on_callback=called.append)
    with listening(
        receiver.notifier, CoverTask(cover_task_id=COVER, music_task_id=MUSIC)
    ) as subscription:
        told = receiver.notify(Callback(music_task_id=MUSIC, cover_task_id=COVER))
        lied = receiver.notify(Callback(music_task_id=MUSIC, cover_task_id="another-cover"))

        assert (told, lied) == (True, False)
        assert await heard(subscription)
    assert not called


@pytest.mark.parametrize(
    ("callback", "error"),
    [
        (None, TypeError),
        ({"music_task_id": MUSIC, "cover_task_id": COVER}, TypeError),
        (Callback(music_task_id=MUSIC, cover_task_id=""), ValueError),
        (Callback(music_task_id="a b", cover_task_id=COVER), ValueError),
    ],
)
def test_only_a_callback_can_notify(callback: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="callback"):
        make().notify(callback)


# --- on_callback -------------------------------------------------------------------------------


async def receive(receiver: CallbackReceiver, times: int = 1) -> list[CallbackAnswer]:
    request = Request()
    return [await receiver.receive(*request.parts()) for _ in range(times)]


async def test_the_hook_gets_the_two_ids_each_time() -> None:
    called: list[Callback] = []

    answers = await receive(make(on_callback=called.append), 3)

    await until(lambda: len(called) == 3)
    assert answers == [ACCEPTED] * 3
    assert called == [Callback(music_task_id=MUSIC, cover_task_id=COVER)] * 3


however_made = pytest.mark.parametrize(
    "wrap",
    [
        lambda later: later,
        lambda later: lambda callback: later(callback),  # noqa: PLW0108 - as people write it
        partial,
    ],
)


class Later:
    """A callable whose call is a coroutine."""

    def __init__(self, called: list[str]) -> None:
        self.called = called

    async def __call__(self, callback: Callback) -> None:
        self.called.append(f"{threading.current_thread().name} {callback.cover_task_id}")


@however_made
async def test_a_coroutine_runs_in_the_loop_however_it_is_made(
    wrap: Callable[[Later], Any],
) -> None:
    called: list[str] = []

    (answer,) = await receive(make(on_callback=wrap(Later(called))))

    await until(lambda: called)
    assert answer == ACCEPTED
    assert called == [f"{threading.current_thread().name} {COVER}"]


@however_made
async def test_a_coroutine_begins_after_the_answer_left(wrap: Callable[[Any], Any]) -> None:
    called: list[float] = []
    clock = asyncio.get_running_loop().time

    async def hook(_: Callback) -> None:
        called.append(clock())

    await receive(make(on_callback=wrap(hook)))
    answered = clock()

    await until(lambda: called)
    assert called[0] - answered > 0.04


def test_a_hook_whose_event_loop_was_stopped_and_closed_gives_its_place_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    places: list[asyncio.Future[None]] = []

    def hook(_: Callback) -> "asyncio.Future[None]":
        places.append(loop.create_future())
        return places[0]

    loop, others = asyncio.new_event_loop(), {*threading.enumerate()}
    loop.run_until_complete(receive(make(on_callback=hook)))
    (thread,) = {*threading.enumerate()} - others
    while not loop._ready:  # type: ignore[attr-defined]  # it is given work when it runs no more
        thread.join(0.01)
    loop.close()

    thread.join(10)

    assert not thread.is_alive()
    assert "event loop was closed" in caplog.text


@pytest.mark.parametrize("error", [ValueError("Oh dear"), SystemExit(3)])
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_hook_that_raises_harms_nobody_and_is_logged(
    error: BaseException, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(_: Callback) -> None:
        raise error

    async def later(callback: Callback) -> None:
        hook(callback)

    (answer,) = await receive(make(on_callback=later if is_async else hook))

    await until(lambda: caplog.records)
    (record,) = caplog.records
    assert answer == ACCEPTED
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert record.exc_info[1] is error
    assert MUSIC in record.getMessage()


def test_a_coroutine_whose_loop_ends_with_the_request_is_missed_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As under WSGI: `asyncio.run` for each request."""
    called: list[Callback] = []

    async def hook(callback: Callback) -> None:
        called.append(callback)

    receiver = make(on_callback=hook)
    asyncio.run(receiver.receive(*Request().parts()))

    assert called == []
    [warning] = caplog.records
    assert "give a plain function there" in warning.getMessage()


@pytest.mark.parametrize("is_async", [True, False])
async def test_hooks_that_hang_are_bounded_and_hold_up_no_answer(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[Callback] = []
    released = asyncio.Event()
    released_threads = threading.Event()

    def hang(callback: Callback) -> None:
        called.append(callback)
        released_threads.wait(20)

    async def hang_in_the_loop(callback: Callback) -> None:
        called.append(callback)
        await released.wait()

    receiver = make(on_callback=hang_in_the_loop if is_async else hang)
    answers = await receive(receiver, 130)
    await until(lambda: len(called) == 100)
    released.set()
    released_threads.set()

    assert answers == [ACCEPTED] * 130
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 30
    async with asyncio.timeout(10):
        while len(called) == 100:  # those that were released make room
            await receive(receiver)
            await asyncio.sleep(0)
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_a_hook_that_no_thread_can_be_had_for_harms_nobody() -> None:
    called: list[Callback] = []
    receiver = make(on_callback=called.append)
    old = threading.stack_size()
    threading.stack_size(2**46)  # more than there is: no thread can start
    try:
        answers = await receive(receiver, 101)
    finally:
        threading.stack_size(old)
    assert answers == [ACCEPTED] * 101
    assert not called

    await receive(receiver)
    await until(lambda: called)


# --- arguments and secrets ---------------------------------------------------------------------


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
    arguments = {"public_url": "https://me.example/suno", "secret": SECRET, "hmac_key": [KEY]}
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

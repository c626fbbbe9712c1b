"""What the door believes, and the one thing it says to everything else."""

import asyncio
import http.client
import importlib
import json
import string
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from suno_cover_async import CallbackAnswer, CallbackReceiver
from suno_cover_async.covers.notifier import CallbackEvent
from suno_cover_async.errors import CallbackRefusedError
from suno_cover_async.models import Callback, CoverTask
from suno_cover_async.protocol import codec
from tests.support.callback_requests import (
    ABSURD,
    ACCEPTED,
    COVER,
    KEY,
    MUSIC,
    PUBLIC_URL,
    SECRET,
    UNBELIEVABLE,
    UNSIGNED,
    Request,
    but,
    data,
    letter,
    make,
    padded,
    path_of,
    signed,
    with_headers,
    without,
)
from tests.support.clients import listening
from tests.support.waiting import until

ALPHABET = string.ascii_letters + string.digits + "-_."

REFUSED = CallbackAnswer(status=400, body=b'{"status": "refused"}')


"""Status, body and headers: the same, whatever was wrong."""

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
    """Whether it notified: a notification takes a turn of the loop to arrive."""
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

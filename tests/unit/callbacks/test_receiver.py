"""A receiver: valid callbacks are answered and wake waiters; every refusal is the same."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st

from suno_cover_async import CallbackReceiver
from suno_cover_async.covers.notifier import CallbackEvent
from suno_cover_async.errors import CallbackRefusedError
from suno_cover_async.models import Callback, CoverTask
from tests.support import virtual_time
from tests.support.asgi_server import Server
from tests.support.callback_requests import (
    ABSURD,
    ACCEPTED,
    BELIEVABLE,
    COVER,
    KEY,
    MUSIC,
    PUBLIC_URL,
    REFUSED,
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
)
from tests.support.clients import listening
from tests.support.waiting import until


async def heard(subscription: CallbackEvent) -> bool:
    """Whether it notified: a notification takes a turn of the loop to arrive."""
    for _ in range(3):
        await asyncio.sleep(0)
    return await subscription.wait(asyncio.get_running_loop().time())


def reason_for(receiver: CallbackReceiver, request: Request) -> str:
    with pytest.raises(CallbackRefusedError) as refusal:
        receiver.read(*request.parts())
    return str(refusal.value)


@each_of(BELIEVABLE)
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


@each_of(UNBELIEVABLE | UNSIGNED | ABSURD)
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


@each_of(UNBELIEVABLE | ABSURD)
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
    st.just(dict[str, str]()),
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


def posted(receiver: CallbackReceiver, **changes: Any) -> dict[str, Any]:
    path = path_of(receiver)
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": []}
    return scope | changes


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_that_has_not_come_in_5_s_is_refused() -> None:
    async def ended() -> tuple[int, float]:
        receiver = make()
        server = Server(part(letter()), hangs=True)
        start, _ = await server.run(receiver.asgi, **posted(receiver))
        assert receiver.notifier.named(MUSIC) == ()
        return start["status"], asyncio.get_running_loop().time()

    assert virtual_time.run(ended()) == (400, 5)


async def test_a_body_is_read_to_64_kib_and_no_further() -> None:
    receiver = make()
    whole = padded(65_536)
    fits = Server(part(whole[:40_000]), part(whole[40_000:], more=False))
    does_not = Server(part(whole), part(b" "), part(b" ", more=False))

    accepted, _ = await fits.run(receiver.asgi, **posted(receiver))
    refused, _ = await does_not.run(receiver.asgi, **posted(receiver))

    assert (accepted["status"], refused["status"]) == (200, 400)
    assert does_not.messages == [part(b" ", more=False)]


async def test_a_request_that_is_refused_for_its_head_has_its_body_unread() -> None:
    receiver = make()
    server = Server(part(letter(), more=False))

    start, _ = await server.run(receiver.asgi, **posted(receiver, path="/suno/forged"))

    assert start["status"] == 400
    assert server.messages


async def test_a_cancellation_passes_and_answers_nothing() -> None:
    receiver = make()
    server = Server(part(letter()), hangs=True)
    serving = asyncio.create_task(server.run(receiver.asgi, **posted(receiver)))
    await until(lambda: not server.messages)

    serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving
    assert server.sent == []
    assert receiver.notifier.named(MUSIC) == ()


def request_of_aiohttp(path: str, payload: StreamReader) -> web.Request:
    return make_mocked_request("POST", path, signed(), payload=payload)


def payload(body: bytes) -> StreamReader:
    protocol = BaseProtocol(asyncio.get_running_loop())
    reader = StreamReader(protocol, 2**16, loop=asyncio.get_running_loop())
    reader.feed_data(body)
    return reader


async def test_a_request_of_aiohttp_is_answered() -> None:
    receiver, body = make(), payload(letter())
    body.feed_eof()

    response = await receiver.handle(request_of_aiohttp(path_of(receiver), body))

    assert (response.status, response.body) == (ACCEPTED.status, ACCEPTED.body)
    assert response.content_type == "application/json"
    assert receiver.notifier.named(MUSIC) == (COVER,)


async def test_aiohttp_closes_a_refused_connection_and_reads_no_rest() -> None:
    body = payload(b"{")

    response = await make().handle(request_of_aiohttp("/suno/forged", body))

    assert (response.status, response.body) == (REFUSED.status, REFUSED.body)
    assert response.keep_alive is False
    assert isinstance(body.exception(), TimeoutError)


async def test_refusals_are_named_if_callbacks_fail_to_come(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = make()
    for request in (but(method="GET"), but(body=b"")):
        await receiver.receive(*request.parts())

    for _ in range(5):
        receiver.notifier.missed()

    assert "2 requests were refused there" in caplog.text
    assert PUBLIC_URL in caplog.text

"""Every call of the library, made with secrets that must appear nowhere."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from suno_cover_async import (
    CallbackReceiver,
    CoverDetails,
    CoverStatus,
    RetryPolicy,
    SunoCoverClient,
    SunoCoverError,
)
from suno_cover_async.sandbox import Reply, Sandbox, Scenario
from tests.support.canary import (
    API_KEY,
    HMAC_KEY,
    SECRET,
    Search,
    forms,
)
from tests.support.clients import FAST_POLL, NO_LIMIT
from tests.support.commands import a_free_port
from tests.support.peers import Peer

ONCE = RetryPolicy(max_attempts=1, attempt_timeout=0.2)

FREE = Scenario(seconds=0, rate_limit=None, image_size=16)

OWN_TOKENS = ("Canary-hook-of-my-own-8d13", "Canary-token-of-my-own-27c9")

OWN_CALLBACK_URL = "https://me.example/{}/cover?token={}".format(*OWN_TOKENS)
"""The callback URL of another program, with a token in its path and in its query."""

Observing = Callable[..., AbstractAsyncContextManager[Search]]


def at(place: Peer | Sandbox, **options: Any) -> SunoCoverClient:
    defaults: dict[str, Any] = {"rate_limit": NO_LIMIT, "poll": FAST_POLL, "retry": ONCE}
    return SunoCoverClient(API_KEY, **({"base_url": place.url} | defaults | options))


Verb = Callable[[SunoCoverClient], Coroutine[Any, Any, object]]


def polls(song: str) -> list[Verb]:
    """Name every kind of request."""
    return [
        lambda client: client.details("cover"),
        lambda client: client.credits(),
        lambda client: client.music_details(song),
        lambda client: client.submit(song),
    ]


def details(*images: str) -> CoverDetails:
    return CoverDetails(
        cover_task_id="cover",
        status=CoverStatus.SUCCESS,
        images=images,
        completed_at=datetime(2026, 1, 1, tzinfo=UTC),  # so long ago that missing images are gone
    )


async def tried(
    search: Search, client: SunoCoverClient, verbs: Sequence[Verb] | None = None
) -> list[object]:
    """Make each call, search its result or error, and return them all."""
    found: list[object] = []
    for number, verb in enumerate(verbs or polls("music")):
        try:
            value = await verb(client)
        except SunoCoverError as error:
            search.error(f"verb {number}", error)
            found.append(error)
        else:
            search.value(f"verb {number}", value)
            found.append(value)
    search.value("client", client)
    return found


def raised(act: Callable[[], object]) -> Exception:
    """Return what it raises."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - any
        return error
    raise AssertionError("it raised nothing")


FRAME = compile("lambda secret: len(secret) // 0", "/site-packages/foreign.py", "eval")

knows: Callable[[str], object] = eval(FRAME)  # noqa: S307 - a frame that is in no test's file


def chained(link: str) -> Exception:
    error = ValueError("harmless")
    setattr(error, link, raised(lambda: knows(API_KEY)))
    return error


def record(**more: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": "harmless", **more})


def failed(error: Exception) -> tuple[Any, ...]:
    return type(error), error, error.__traceback__


@asynccontextmanager
async def door() -> AsyncIterator[CallbackReceiver]:
    """Run a receiver on its own server."""
    port = a_free_port()
    url = f"http://127.0.0.1:{port}/suno"
    receiver = CallbackReceiver(public_url=url, secret=SECRET, hmac_key=HMAC_KEY)
    async with receiver.listen("127.0.0.1", port):
        yield receiver


def word(code: int, data: object = None, *, status: int = 200) -> Reply:
    """Answer with the key in the words."""
    body = {"code": code, "msg": f"it already exists, says {API_KEY}", "data": data}
    return Reply(status=status, body=json.dumps(body).encode())


def repeating(url: str, form: str, code: int) -> Reply:
    """Answer a submit with its own callback URL, in a form, in the words."""
    written = forms(url)[form]
    escaped = written if form.startswith("JSON") else json.dumps(written)[1:-1]
    if form == "JSON in JSON":
        escaped = escaped[1:-1]
    words = "callBackUrl not reachable: {} (try again)"
    body = json.dumps({"code": code, "msg": words, "data": None})
    return Reply(body=body.replace("{}", escaped).encode())


FAILED_COVER = {"taskId": "cover", "successFlag": 3, "errorMessage": f"no cover for {API_KEY}"}

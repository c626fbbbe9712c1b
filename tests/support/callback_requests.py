"""Callbacks as raw requests: valid ones, and all kinds that must be refused."""

import gzip
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
from multidict import CIMultiDict

from suno_cover_async import CallbackAnswer, CallbackReceiver
from suno_cover_async.protocol import codec, signatures
from suno_cover_async.sandbox import callback_sender

PUBLIC_URL = "https://me.example/suno"

SECRET = "XyZZy-the-secret-of-the-urls"

KEY = "PLugh-the-key-of-the-host"

MUSIC = "73d6128b3523a0079df10da9471017c8"

COVER = "21aee3c3c2a01fa5e030b3799fa4dd56"

JSON = {"Content-Type": "application/json"}

ACCEPTED = CallbackAnswer(status=200, body=b'{"status": "received"}')

REFUSED = CallbackAnswer(status=400, body=b'{"status": "refused"}')


def make(**options: Any) -> CallbackReceiver:
    defaults: dict[str, Any] = {"public_url": PUBLIC_URL, "secret": SECRET}
    return CallbackReceiver(**(defaults | options))


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
    "spaces around it": lambda: with_headers(("Content-Encoding", " identity\t")),
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


def each_of(cases: dict[str, Callable[[], Request]]) -> pytest.MarkDecorator:
    """Parametrize a test by requests, each made when the test runs."""
    return pytest.mark.parametrize("request_of", cases.values(), ids=cases.keys())


async def receive(receiver: CallbackReceiver, times: int = 1) -> list[CallbackAnswer]:
    request = Request()
    return [await receiver.receive(*request.parts()) for _ in range(times)]

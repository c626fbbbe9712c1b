"""What a request may say: exact bodies, numbers and words; anything else is refused in full."""

import asyncio
import json
import time

import pytest

from tests.support.review_pages import Answer, Page, an_answer

GOOD: dict[str, object] = {"decision": "image", "image": 1, "revision": 0}


async def put(page: Page, body: object) -> Answer:
    return await page.send("PUT", "api/pairs/1/choice", body)


async def revision(page: Page) -> int:
    return int((await page.get("api/pairs/1")).json["choice"]["revision"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b'"image"',
        b"\xff\xfe",
        b'{"decision": "image", "image": 1, "revision": 0} x',
        b'{"decision": "image", "image": 1, "image": 2, "revision": 0}',
        b'{"decision": "image", "image": 1, "revision": NaN}',
        b"[" * 2_000,
        {key: GOOD[key] for key in ("decision", "image")},
        {key: GOOD[key] for key in ("image", "revision")},
        GOOD | {"path": "../../etc/passwd"},
        GOOD | {"url": "http://127.0.0.1/"},
        GOOD | {"decision": "Image"},
        GOOD | {"decision": "decided"},
        GOOD | {"decision": None},
        GOOD | {"decision": ["image"]},
        GOOD | {"decision": {"a": 1}},
        GOOD | {"image": None},
        GOOD | {"image": 0},
        GOOD | {"image": 3},
        GOOD | {"image": -1},
        GOOD | {"image": 1.0},
        GOOD | {"image": "1"},
        GOOD | {"image": True},
        GOOD | {"image": 10**400},
        GOOD | {"image": "covers/m1-0-1.png"},
        GOOD | {"decision": "neither"},
        GOOD | {"decision": "later"},
        GOOD | {"decision": "undecided"},
        GOOD | {"revision": -1},
        GOOD | {"revision": None},
        GOOD | {"revision": "0"},
        GOOD | {"revision": False},
        GOOD | {"revision": 0.0},
        GOOD | {"revision": 10**30},
    ],
    ids=lambda body: (json.dumps(body) if isinstance(body, dict) else repr(body))[:60],
)
async def test_a_choice_is_exactly_three_known_values(body: object, page: Page) -> None:
    answer = await put(page, body)

    assert answer.status == 400
    assert answer.error
    assert await revision(page) == 0


async def test_a_body_has_at_most_4_kb(page: Page) -> None:
    text = json.dumps(GOOD).encode()

    too_large = await put(page, text + b" " * (4097 - len(text)))
    declared = await page.ask(
        "PUT",
        "api/pairs/1/choice",
        headers={
            "origin": page.origin,
            "content_type": "application/json",
            "transfer_encoding": "chunked",
        },
        body=b"1001\r\n" + b" " * 4097 + b"\r\n0\r\n\r\n",
    )
    largest = await put(page, text + b" " * (4096 - len(text)))

    assert (too_large.status, largest.status) == (413, 200)
    assert declared.status in {400, 413}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("decision=chosen", "decision must be one of"),
        ("decision=", "decision must be one of"),
        ("decision=image", "decision must be one of"),
        ("after=-1", "after must be a whole number"),
        ("after=1.5", "after must be a whole number"),
        ("after=%D9%A3", "after must be a whole number"),
        ("after=9999999999999999", "after must be a whole number"),
        ("limit=0", "limit must be a number from 1 to 200"),
        ("limit=201", "limit must be a number from 1 to 200"),
        ("limit=", "limit must be a whole number"),
        ("search=" + "x" * 201, "search must have at most 200 characters"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(query: str, words: str, page: Page) -> None:
    answer = await page.get(f"api/pairs?{query}")

    assert answer.status == 400
    assert words in answer.error


@pytest.mark.parametrize("size", ["0", "65", "-64", "064", "64.0", "", "1000000", "64,64"])
async def test_a_thumbnail_has_one_of_six_sizes(size: str, page: Page) -> None:
    answer = await page.get(f"images/1/1?size={size}")

    assert answer.status == 400
    assert answer.error == "size must be one of: 64, 128, 160, 300, 320, 600"


@pytest.mark.parametrize(
    "path",
    [
        "api/pairs/0",
        "api/pairs/4",
        "api/pairs/999999999999999",
        "api/pairs/9999999999999999",
        "api/pairs/-1",
        "api/pairs/%31%00",
        "api/pairs/..%2f..%2fcovers.db",
        "api/pairs/%D9%A1",
        "images/1/0",
        "images/1/3",
        "images/4/1",
        "images/1/99999",
        "images/1/..%2f..%2fcovers.db",
        "images/../covers.db",
        "images/1/m1-0-1.png",
        "../covers.db",
        "%2e%2e/covers.db",
        "page/index.html",
        "index.html/..",
        "app.py",
        "style.css%00.html",
    ],
)
async def test_what_is_not_there_is_not_found_whatever_it_is_called(path: str, page: Page) -> None:
    answer = await page.get(path)

    assert answer.status == 404
    assert answer.error


async def how_it_ends(page: Page, begun: bytes) -> tuple[bytes, float]:
    """Send some bytes and nothing more; return what comes, and after how many seconds it ends."""
    async with page.connection() as (reader, writer):
        began = time.monotonic()
        writer.write(begun)
        await writer.drain()
        return await reader.read(), time.monotonic() - began


async def test_half_a_request_holds_nothing_and_is_ended_after_10_s(page: Page) -> None:
    head = page.head_of_a_choice(1, 90)
    parts = (b"", head[:60], head + b'{"decision": "im')
    ends = [asyncio.create_task(how_it_ends(page, part)) for part in parts]
    others = await asyncio.gather(*(page.choose(number, "image", 1, 0) for number in (1, 2, 3)))
    meanwhile = [end.done() for end in ends]
    nothing, half_a_head, half_a_body = await asyncio.gather(*ends)

    assert [answer.status for answer in others] == [200, 200, 200]
    assert not any(meanwhile)
    assert nothing[0] == half_a_head[0] == b""
    assert half_a_body[0].startswith(b"HTTP/1.1 408 ")
    assert min(nothing[1], half_a_head[1], half_a_body[1]) > 9.5


async def test_a_choice_may_come_byte_by_byte(page: Page) -> None:
    body = json.dumps(GOOD).encode()
    async with page.connection() as (reader, writer):
        for byte in page.head_of_a_choice(1, len(body)) + body:
            writer.write(bytes([byte]))
            await writer.drain()
        answer = await an_answer(reader)

    assert answer.status == 200

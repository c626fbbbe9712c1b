"""Read what a request says: its body, its numbers and its query, each checked completely.

It knows HTTP and JSON. It must not know what the values are for.
"""

import asyncio
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn

from aiohttp import web

from suno_cover_async.common.json_text import json_object
from suno_cover_async.models import Decision

MOST_SECONDS = 10.0
"""How long a request may take to arrive."""

_MOST_BYTES = 4096
_LONGEST_SEARCH = 200
_MOST_PAIRS = 200
_NUMBER = re.compile("[0-9]{1,15}")
_DECISIONS = {
    "all": tuple(Decision),
    "decided": (Decision.IMAGE, Decision.NEITHER),
    **{one.value: (one,) for one in (Decision.UNDECIDED, Decision.NEITHER, Decision.LATER)},
}


def bad(reason: str) -> NoReturn:
    """Raise the HTTP error for a request that is not understood."""
    raise web.HTTPBadRequest(reason=reason)


async def json_body(request: web.Request, keys: AbstractSet[str]) -> dict[str, Any]:
    """Return the body, a JSON object with exactly these keys, once all of it has arrived.

    Raises:
        web.HTTPException: It has more than 4 KB, takes more than 10 s, or is something else.
    """
    try:
        text = (await _gathered(request)).decode()
    except UnicodeDecodeError:
        bad("the body is not UTF-8")
    body = json_object(text, allow_duplicate_keys=False)
    if body is None or body.keys() != keys:
        bad(f"the body must be a JSON object with exactly: {', '.join(sorted(keys))}")
    return body


async def _gathered(request: web.Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(MOST_SECONDS):
            async for chunk in request.content.iter_any():
                if len(body) + len(chunk) > _MOST_BYTES:
                    raise web.HTTPRequestEntityTooLarge(_MOST_BYTES, len(body) + len(chunk))
                body += chunk
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body took longer than 10 s") from None
    return bytes(body)


def decision_of(body: dict[str, Any]) -> tuple[Decision, int | None, int]:
    """Return the decision, the image and the revision of a body with these three keys."""
    image, revision = body["image"], body["revision"]
    try:
        decision = Decision(body["decision"])
    except ValueError:
        bad("decision must be image, neither, later or undecided")
    if image is not None and not _is_number(image):
        bad("image must be null or a number from 1")
    if not _is_number(revision):
        bad("revision must be a number from 0")
    return decision, image, revision


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 10**15


def page_of(request: web.Request) -> tuple[tuple[Decision, ...], str, int, int]:
    """Return what a request for pairs asks for: decisions, a search, a number and a limit."""
    name, search = request.query.get("decision", "all"), request.query.get("search", "")
    if name not in _DECISIONS:
        bad(f"decision must be one of: {', '.join(_DECISIONS)}")
    if len(search) > _LONGEST_SEARCH:
        bad(f"search must have at most {_LONGEST_SEARCH} characters")
    after, limit = _whole(request, "after", 0), _whole(request, "limit", 50)
    if not 1 <= limit <= _MOST_PAIRS:
        bad(f"limit must be a number from 1 to {_MOST_PAIRS}")
    return _DECISIONS[name], search, after, limit


def number_of(request: web.Request) -> int:
    """Return the number of the entry that the path names."""
    return int(request.match_info["number"])


def size_of(request: web.Request, sizes: Sequence[int]) -> int | None:
    """Return the size of the thumbnail that is asked for; None for the whole image."""
    text = request.query.get("size")
    if text is not None and text not in map(str, sizes):
        bad(f"size must be one of: {', '.join(map(str, sizes))}")
    return None if text is None else int(text)


def _whole(request: web.Request, name: str, otherwise: int) -> int:
    text = request.query.get(name)
    if text is None:
        return otherwise
    if not _NUMBER.fullmatch(text):
        bad(f"{name} must be a whole number")
    return int(text)

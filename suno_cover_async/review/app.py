"""The aiohttp application of the review page: its routes, and what each answers.

It knows HTTP and the choices of a ledger. `guard.py` decides which requests get here, `pairs.py`
writes entries as JSON.
"""

import os
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import attrs
from aiohttp import web
from aiohttp.typedefs import Middleware

from suno_cover_async.common.disk import in_thread
from suno_cover_async.errors import ArtworkError, ChoiceConflictError
from suno_cover_async.images.image_files import read_image
from suno_cover_async.ledger.choices import Choices
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.review.guard import add_headers, errors_as_json, from_this_page, refusal
from suno_cover_async.review.image_facts import ImageFacts, ImageFiles
from suno_cover_async.review.pairs import Destinations, choice_of, counts_of, pair_of
from suno_cover_async.review.requests import (
    bad,
    decision_of,
    json_body,
    number_of,
    page_of,
    size_of,
)
from suno_cover_async.review.thumbnails import SIZES, Thumbnails, media_type

Person = Callable[[web.Request], str]
"""Returns the name that is recorded with a choice."""

_PAGE = Path(__file__).with_name("page")
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
}
_NUMBER = "{number:[0-9]{1,15}}"
_FOREVER = "private, max-age=31536000, immutable"


def review_app(
    ledger: str | os.PathLike[str] | Ledger,
    *,
    person: Person | None = None,
    destinations: Destinations | None = None,
    next_step: str = "",
) -> web.Application:
    """Return the review page as an application, to mount in another one.

    ::

        app.add_subapp("/review/", review_app("covers.db", person=lambda request: ...))

    The owner's application decides who may open it, for instance by a middleware. The page's own
    requests are checked here: those of other sites' pages are refused. A proxy in front of it must
    pass on the Host header.

    Args:
        ledger: The ledger, its path, or the URL of its database. A catalog may run meanwhile.
        person: Returns the name that is recorded with a choice; "somebody" by default.
        destinations: Returns what will be written for an entry, and where, a line each. It is
            called in a thread.
        next_step: A command to show once everything is decided.
    """
    app = make_app(
        ledger,
        guards=[from_this_page("http", "https")],
        person=person or (lambda _: "somebody"),
        destinations=destinations,
        next_step=next_step,
    )
    # Where it is mounted, this is its path without a slash.
    app.router.add_get("", _to_page, name="unslashed")
    return app


def make_app(
    ledger: str | os.PathLike[str] | Ledger,
    *,
    guards: list[Middleware],
    person: Person,
    destinations: Destinations | None,
    next_step: str,
) -> web.Application:
    """Return the application with these guards, the first of them outermost."""
    opened = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    review = _Review(opened, person=person, destinations=destinations, next_step=next_step)
    app = web.Application(middlewares=[errors_as_json, *guards])
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(review.open)
    add = partial(app.router.add_get, allow_head=False)
    files = {file.name: file.read_bytes() for file in _PAGE.iterdir() if file.suffix in _TYPES}
    names = "|".join(map(re.escape, files))
    add("/", partial(_send_file, files, "index.html"), name="page")
    add(f"/{{file:{names}}}", partial(_send_file, files, None), name="file")
    add("/api/summary", review.summary)
    add("/api/pairs", review.pairs)
    add(f"/api/pairs/{_NUMBER}", review.pair)
    app.router.add_put(f"/api/pairs/{_NUMBER}/choice", review.choose)
    add(f"/images/{_NUMBER}/{{image:[0-9]{{1,4}}}}", review.image)
    return app


async def _to_page(request: web.Request) -> web.Response:
    """Lead to the same path with a slash, below which the page's own URLs are."""
    where = request.path.rpartition("/")[2] + "/"
    return web.Response(status=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": where})


async def _send_file(
    files: dict[str, bytes], name: str | None, request: web.Request
) -> web.Response:
    name = name or request.match_info["file"]
    kind = _TYPES[Path(name).suffix]
    return web.Response(body=files[name], content_type=kind, charset="utf-8")


class _Review:
    """The answers about one ledger."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        person: Person,
        destinations: Destinations | None,
        next_step: str,
    ) -> None:
        self._ledger = ledger
        self._person = person
        self._destinations = destinations
        self._next_step = next_step
        self._files = ImageFiles(ledger.path)
        self._thumbnails = Thumbnails()
        self._choices: Choices

    async def open(self, _: web.Application) -> AsyncIterator[None]:
        """Have the ledger open while the application runs."""
        async with self._ledger.choices() as self._choices:
            yield
            await self._thumbnails.aclose()

    async def summary(self, request: web.Request) -> web.Response:
        """Answer with the names, the counts and the next step."""
        path = self._ledger.path
        return web.json_response(
            {
                "ledger": self._ledger.name if path is None else path.name,
                "person": self._person(request),
                "counts": counts_of(await self._choices.counts()),
                "next_step": self._next_step,
            }
        )

    async def pairs(self, request: web.Request) -> web.Response:
        """Answer with a page of entries, and with where the next one begins."""
        decisions, search, after, limit = page_of(request)
        entries = await self._choices.page(*decisions, search=search, after=after, limit=limit)
        counts = await self._choices.counts(search=search)
        shown = await in_thread(lambda: [self._shown(entry) for entry in entries])
        following = entries[-1].number if len(entries) == limit else None
        return web.json_response({"pairs": shown, "next": following, "counts": counts_of(counts)})

    async def pair(self, request: web.Request) -> web.Response:
        """Answer with one entry."""
        return web.json_response(await self._pair(await self._entry(request)))

    async def choose(self, request: web.Request) -> web.Response:
        """Record a choice, and answer with it; 409 if another one was recorded meanwhile."""
        body = await json_body(request, {"decision", "image", "revision"})
        decision, image, revision = decision_of(body)
        try:
            choice = await self._choices.choose(
                number_of(request), decision, image, revision=revision, by=self._person(request)
            )
        except LookupError as error:
            raise web.HTTPNotFound(reason=str(error)) from None
        except ValueError as error:
            bad(str(error))
        except ChoiceConflictError as conflict:
            pair = await self._pair(await self._entry(request))
            return web.json_response(
                {"error": conflict.message, "pair": pair}, status=HTTPStatus.CONFLICT
            )
        return web.json_response(choice_of(choice))

    async def image(self, request: web.Request) -> web.Response:
        """Answer with an image file, or with a thumbnail of it."""
        size = size_of(request, SIZES)
        entry = await self._entry(request)
        number = int(request.match_info["image"])
        facts = await in_thread(partial(self._files.facts_of, entry, entry.tracks[0], number))
        if facts.path is None or facts.problem is not None:
            return refusal(HTTPStatus.NOT_FOUND, facts.problem or "the file is missing")
        try:
            content, kind = await self._content(facts.path, facts, size)
        except ArtworkError as problem:
            if not problem.retryable:
                self._files.note(attrs.evolve(facts, problem=problem.message))
            return refusal(HTTPStatus.NOT_FOUND, problem.message)
        lasts = request.query.get("v") == facts.version
        headers = {"Cache-Control": _FOREVER} if lasts else {}
        return web.Response(body=content, content_type=kind, headers=headers)

    async def _content(self, path: Path, facts: ImageFacts, size: int | None) -> tuple[bytes, str]:
        if size is None:
            file = await in_thread(partial(read_image, path))
            return file.data, _MEDIA_TYPES[file.suffix]
        thumbnail = await self._thumbnails.get(path, facts.version, size)
        return thumbnail, media_type(thumbnail)

    async def _entry(self, request: web.Request) -> LedgerEntry:
        try:
            return await self._choices.entry(number_of(request))
        except LookupError as error:
            raise web.HTTPNotFound(reason=str(error)) from None

    async def _pair(self, entry: LedgerEntry) -> dict[str, Any]:
        return await in_thread(lambda: self._shown(entry))

    def _shown(self, entry: LedgerEntry) -> dict[str, Any]:
        return pair_of(entry, self._files, self._destinations)

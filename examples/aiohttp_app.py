"""Covers in a web application of aiohttp: ask by POST, then ask by GET how far it is.

Install it and start it in the checkout::

    pip install .
    export SUNO_API_KEY=...
    python examples/aiohttp_app.py

Then, in another terminal::

    song=http://127.0.0.1:8080/songs/73d6128b3523a0079df10da9471017c8/cover
    curl -H 'Content-Type: application/json' -d '{}' $song
    curl $song
    curl --output cover.png $song/1

The POST answers at once. A task of the application makes the cover, so that no browser which leaves
cancels it. After a restart, POST the song again: it finds its cover, and nothing is paid twice.

Whether a cover that failed is billed again is documented nowhere. A POST of its song only tells the
failure; if you choose to submit it anew::

    curl -H 'Content-Type: application/json' -d '{}' "$song?again=true"

A restart forgets failures too: the first POST after it submits the song.

Anybody who reaches the port may spend credits. So it listens on 127.0.0.1, requests for other names
are refused, and a POST needs a content type that no page of another site can send. Before others
may use it, put your own login in front of it.
"""

import asyncio
import contextlib

from aiohttp import web

from suno_cover_async import SunoCoverClient, SunoCoverError, Track

CLIENT = web.AppKey("client", SunoCoverClient)
COVERS = web.AppKey("covers", dict)  # a task for each song, whose result is the last answer
MOST_COVERS = 1_000  # in memory; the oldest that has ended is forgotten, its images stay
LAST_SECONDS = 20  # for covers that are being made when the server ends
NO_IMAGES = {"CoverFailedError", "CoverExpiredError", "NotFoundError"}  # of the cover task: final
routes = web.RouteTableDef()


async def client_of_the_app(app):
    """Run one client for all requests: it holds the account's limit and the connections."""
    app[COVERS] = {}
    async with SunoCoverClient() as app[CLIENT]:
        yield
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):  # cancels what is left
                await asyncio.gather(*app[COVERS].values(), return_exceptions=True)


async def make(client, song):
    """Make a cover and save its images; return the last answer about it."""
    try:
        details = await client.generate(song)
        files = await client.download(details, into="covers")
    except SunoCoverError as error:
        return {"state": "failed", **error.to_dict()}, ()
    return {"state": "finished", "images": len(files)}, files


@routes.post("/songs/{song}/cover")
async def ask(request):
    """Begin a cover, or join it; begin anew where that pays nothing twice, or is asked for."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send Content-Type: application/json")
    covers = request.app[COVERS]
    try:
        song = Track(request.match_info["song"]).music_task_id
    except ValueError as error:  # no valid id; the message says why
        raise web.HTTPUnprocessableEntity(text=str(error)) from None
    again = request.query.get("again") == "true"
    if song not in covers or may_begin_anew(covers[song], again):
        covers.pop(song, None)
        forget(covers)
        covers[song] = asyncio.create_task(make(request.app[CLIENT], song))
    return web.json_response(answer_of(covers[song]), status=202)


def may_begin_anew(task, again):
    """Return whether a song's task failed or its images are gone; a failed cover needs `again`."""
    if not task.done():
        return False
    answer, files = task.result()
    if answer["state"] == "finished":
        return not all(file.is_file() for file in files)
    return again or answer["type"] not in NO_IMAGES


def answer_of(task):
    """Return what is known of a cover now."""
    return task.result()[0] if task.done() else {"state": "making"}


def forget(covers):
    """Make space for one more."""
    if len(covers) >= MOST_COVERS:
        ended = next((song for song, task in covers.items() if task.done()), None)
        if ended is None:
            raise web.HTTPServiceUnavailable(text="too many covers are being made; ask again later")
        del covers[ended]


def task_of(request):
    """Return the task of a song, or answer 404."""
    try:
        return request.app[COVERS][request.match_info["song"]]
    except KeyError:
        raise web.HTTPNotFound(text="nobody asked for this cover since the start; POST") from None


@routes.get("/songs/{song}/cover")
async def status(request):
    """Answer how far a cover is."""
    return web.json_response(answer_of(task_of(request)))


@routes.get("/songs/{song}/cover/{number:[1-9]}")
async def image(request):
    """Answer with an image. No part of the URL becomes part of a path."""
    task, number = task_of(request), int(request.match_info["number"])
    files = task.result()[1] if task.done() else ()
    if number > len(files) or not files[number - 1].is_file():
        raise web.HTTPNotFound(text="there is no such image (yet)")
    return web.FileResponse(files[number - 1], headers={"X-Content-Type-Options": "nosniff"})


@web.middleware
async def guard(request, handler):
    """Refuse names that others gave to this address, by which their pages could send requests."""
    if request.url.host not in {"127.0.0.1", "localhost"}:
        raise web.HTTPBadRequest(text="unknown host")
    return await handler(request)


app = web.Application(middlewares=[guard])
app.cleanup_ctx.append(client_of_the_app)
app.add_routes(routes)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=8080)

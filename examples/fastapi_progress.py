"""A page where people ask for covers and watch them being made: FastAPI and server-sent events.

Install it and start it in the checkout, then open http://127.0.0.1:8000::

    pip install . fastapi uvicorn
    export SUNO_API_KEY=...
    uvicorn --app-dir examples fastapi_progress:app --timeout-graceful-shutdown 3

How covers are made, and found again after a restart, is in `progress_jobs.py`; the page's own files
are in `progress_page/`. Images are saved in `covers/`, where the server was started. uvicorn waits
for open streams when it ends, for 3 s here, and then this application ends its jobs.

Anybody who reaches the port may spend credits. So uvicorn listens on 127.0.0.1, requests for other
names are refused, and a cover is asked for by JSON, which no page of another site can send. Before
others may use it, put your own login in front of every route.
"""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from progress_jobs import Jobs
from starlette.middleware.trustedhost import TrustedHostMiddleware

from suno_cover_async import SunoCoverClient, Track

PAGE = Path(__file__).with_name("progress_page")
MOST_STREAMS = 1_000
MOST_BYTES = 500  # of a request's body: an id has 128 characters at most
HEARTBEAT = 15  # seconds; proxies cut a connection that is silent for a minute
NOT_JSON = 'Send JSON: {"song": "the song\'s task id"}.'
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx forwards it at once


@asynccontextmanager
async def lifespan(app):
    """Run one client for all requests: it holds the account's limit and the connections."""
    async with SunoCoverClient() as client:
        app.state.jobs, app.state.streams = Jobs(client), 0
        yield
        await app.state.jobs.finish()


app = FastAPI(lifespan=lifespan, openapi_url=None)  # the pages of /docs load scripts of other hosts
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
app.mount("/page", StaticFiles(directory=PAGE))


@app.get("/")
async def page():
    """Answer with the page."""
    return FileResponse(PAGE / "index.html", headers=SAFE)


@app.post("/covers", status_code=202)
async def ask(request: Request):
    """Begin a cover, or join it, and answer at once with the address of its progress.

    A cover that failed is only told, unless the body has `"again": true`: that may cost again.
    """
    job = app.state.jobs.begin(*await asked_in(request))
    if job is None:
        raise HTTPException(503, "Too many covers are being made. Ask again in some minutes.")
    return {"cover": f"/covers/{job.name}"}


async def asked_in(request):
    """Return the task id in a small body of JSON, and whether a failed cover is to be made anew."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, NOT_JSON)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, "That is too long for a task id.")
    try:
        asked = json.loads(body)
        song, again = asked["song"], asked.get("again") is True
    except (ValueError, KeyError, TypeError, RecursionError):
        raise HTTPException(422, NOT_JSON) from None
    try:
        return Track(song).music_task_id, again
    except (ValueError, TypeError) as error:  # no valid id; the message says why
        raise HTTPException(422, str(error)) from None


@app.get("/covers/{name}")
async def known(name: str):
    """Answer how far a cover is, or 404. A page that lost its stream asks so; it begins nothing."""
    return {"state": job_of(name).state}


@app.get("/covers/{name}/events")
async def events(name: str, last_event_id: Annotated[str | None, Header()] = None):
    """Stream what happened after the event that the browser had last, and all that follows."""
    job = job_of(name)
    number = job.after(last_event_id)
    if job.has_ended and number == len(job.events):
        return Response(status_code=204)  # a browser then reconnects no more
    if app.state.streams >= MOST_STREAMS:
        raise HTTPException(503, "Too many pages are open. Try again later.")
    return StreamingResponse(stream(job, number), media_type="text/event-stream", headers=STREAM)


async def stream(job, number):
    """Yield events as text. A browser that leaves cancels this, and nothing else."""
    app.state.streams += 1
    try:
        while True:
            for event_id, facts in job.events[number:]:
                number += 1
                yield f"id: {event_id}\ndata: {facts}\n\n"
            if number < len(job.events):
                continue
            if job.has_ended:
                return
            if not await has_changed(job):
                yield ": still at work\n\n"
    finally:
        app.state.streams -= 1


async def has_changed(job):
    """Wait for the next event; return False after a while without one."""
    try:
        async with asyncio.timeout(HEARTBEAT):
            return await job.changed.wait()
    except TimeoutError:
        return False


@app.get("/covers/{name}/images/{number}")
async def image(name: str, number: int):
    """Answer with an image of a job. No part of the URL becomes part of a path."""
    files = job_of(name).files
    if not (1 <= number <= len(files) and files[number - 1].is_file()):
        raise HTTPException(404, "There is no such image any more. Ask for the song again.")
    return FileResponse(files[number - 1], headers=SAFE)


def job_of(name):
    """Return the job of this name, or answer 404."""
    if name not in app.state.jobs.by_name:
        raise HTTPException(404, "That cover is not known any more. Ask for the song again.")
    return app.state.jobs.by_name[name]

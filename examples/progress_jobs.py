"""Covers as jobs of a web application, whoever watches or leaves. `fastapi_progress.py` shows them.

A job belongs to the application: a browser that leaves cancels nothing, and whoever asks for the
same song joins. `covers/unfinished/` has a file for each song from before its submit until its
images are saved, with its cover task once that is known. An application that starts goes on with
these, also after a kill: it waits for the cover task, and if none is known, it submits the song,
for which the API tells the cover that it has. So nothing is paid twice.

Whether a new submit of a cover that failed is billed again is documented nowhere, so a person
decides. Until then its file is in `covers/failed/`, and whoever asks for the song is told why the
cover failed.
"""

import asyncio
import contextlib
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from suno_cover_async import (
    CoverExpiredError,
    CoverFailedError,
    CoverStatus,
    CoverTask,
    NotFoundError,
    SunoCoverError,
)

COVERS = Path("covers")
UNFINISHED, FAILED = COVERS / "unfinished", COVERS / "failed"
NO_IMAGES = (CoverFailedError, CoverExpiredError, NotFoundError)  # of a cover task: it is final
MOST_JOBS = 1_000  # in memory; the oldest that has ended is forgotten, its images stay
LAST_SECONDS = 20  # for covers that are being made when the application ends


@dataclass(eq=False)
class Job:
    """The cover of one song, for all who asked for it."""

    song: str
    name: str  # in URLs and files, safe in both
    asked_at: float = field(default_factory=time.monotonic)
    events: list = field(default_factory=list)  # (id, JSON), four at most
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    state: str = ""
    files: tuple = ()
    needs_choice: bool = False  # only a new submit helps, which may cost again
    task: asyncio.Task | None = None

    @property
    def has_ended(self):
        """Whether no more events come."""
        return self.state in {"finished", "failed"}

    @property
    def unfinished(self):
        """The file that says that the song is to have a cover: its id, and the cover task's."""
        return UNFINISHED / f"{self.name}.song"

    @property
    def failed(self):
        """The place of that file when the cover task can have no images."""
        return FAILED / f"{self.name}.song"

    @property
    def may_begin_anew(self):
        """Whether another job of the song is of use, and pays nothing twice."""
        if self.state == "failed":
            return not self.needs_choice
        return self.state == "finished" and not all(file.is_file() for file in self.files)

    def tell(self, state, **facts):
        """Add an event, and wake all who watch."""
        self.state = state
        facts |= {"state": state, "seconds": time.monotonic() - self.asked_at}
        self.events.append((token_hex(8), json.dumps(facts)))
        self.changed.set()
        self.changed = asyncio.Event()

    def after(self, event_id):
        """Return the number of the event after this one: 0 if this job has no such event."""
        ids = [one for one, _ in self.events]
        return ids.index(event_id) + 1 if event_id in ids else 0

    def keep(self, again):
        """Have the song on the disk before it is submitted; if that fails, nothing is sent."""
        if self.failed.exists():
            if again:
                self.failed.unlink()
            else:  # its cover task is polled, and says why it failed
                self.failed.replace(self.unfinished)
        if not (self.unfinished.exists() and self.unfinished.read_text()):
            self.unfinished.write_text(self.song)

    async def submitted(self, client):
        """Return the song's cover task: the one that is known, or that of a submit."""
        if known := self.unfinished.read_text().partition("\n")[2]:
            return CoverTask(cover_task_id=known, music_task_id=self.song)
        task = await client.submit(self.song)
        with self.unfinished.open("a") as file:
            file.write(f"\n{task.cover_task_id}")
        return task

    async def make(self, client):
        """Make the cover and save its images."""
        task = None
        try:
            async with client.slot():
                task = await self.submitted(client)
                self.tell("submitted")
                async for details in client.watch(task):
                    if details.status is CoverStatus.GENERATING and self.state != "generating":
                        self.tell("generating")
            if details.status is CoverStatus.FAILED:
                raise CoverFailedError(details)
            self.files = await client.download(details, into=COVERS)
            self.unfinished.unlink(missing_ok=True)
            self.tell("finished", images=len(self.files))
        except SunoCoverError as error:  # the message says what to do, and never has the key
            self.needs_choice = task is not None and isinstance(error, NO_IMAGES)
            if self.needs_choice:
                self.unfinished.replace(self.failed)
            elif not (task or error.possibly_billed):
                self.unfinished.unlink(missing_ok=True)
            self.tell("failed", message=str(error), needs_choice=self.needs_choice)
        finally:
            if not self.has_ended:  # the application ends, or the disk failed
                self.tell("failed", message="The server stopped. Ask again: nothing is paid twice.")


class Jobs:
    """The jobs of an application, which has one client for them all."""

    def __init__(self, client):
        """Go on with what an earlier application did not finish."""
        self.client = client
        self.by_name = {}
        for folder in (UNFINISHED, FAILED):
            folder.mkdir(parents=True, exist_ok=True)
        for file in UNFINISHED.glob("*.song"):
            if text := file.read_text():  # it is empty if a kill came before the song was in it
                self.begin(text.partition("\n")[0])

    def begin(self, song, again=False):
        """Return the job of a song, a new one where that is of use; None if there are too many.

        A cover that failed is submitted anew only by `again`, a person's choice: it may cost again.
        """
        name = hashlib.sha256(song.encode()).hexdigest()[:32]
        job = self.by_name.pop(name, None)
        if job is None or job.may_begin_anew or (again and job.needs_choice):
            if len(self.by_name) >= MOST_JOBS and not self.forget_one():
                return None
            job = Job(song, name)
            job.keep(again)
            job.tell("queued")
            job.task = asyncio.create_task(job.make(self.client))
        self.by_name[name] = job  # as the newest
        return job

    def forget_one(self):
        """Forget the oldest job that has ended; return whether there was one."""
        name = next((name for name, job in self.by_name.items() if job.has_ended), None)
        return self.by_name.pop(name, None) is not None

    async def finish(self):
        """Submit nothing more, and give covers that are paid for some time to finish."""
        at_work = [job for job in self.by_name.values() if not job.has_ended]
        for job in at_work:
            if job.state == "queued":  # a request that was sent is finished by the client
                job.task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):  # cancels what is left
                await asyncio.gather(*(job.task for job in at_work), return_exceptions=True)

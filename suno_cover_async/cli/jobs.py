"""Many covers at once, each one a job that ends by itself: saved, failed or timed out.

It knows the client's verbs; it knows no terminal, and tells every change to whoever listens.
"""

import asyncio
import enum
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import attrs

from suno_cover_async import (
    CoverFailedError,
    CoverStatus,
    CoverTask,
    CoverTimeoutError,
    SunoCoverClient,
    SunoCoverError,
)
from suno_cover_async.cli.exits import HOPELESS

T = TypeVar("T")

_AT_ONCE = 100  # as many covers as the client's own default keeps in flight
_SUBMITS_AT_ONCE = 5  # so that a bad key is noticed early, and looks are not queued behind all


class State(enum.Enum):
    """How far a job is, in the words that people see."""

    WAITING = "waiting"
    SUBMITTING = "submitting"
    PENDING = "pending"
    GENERATING = "generating"
    SAVING = "saving"
    SAVED = "saved"
    FAILED = "failed"
    TIMED_OUT = "timed out"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen in this run."""
        return self in {State.SAVED, State.FAILED, State.TIMED_OUT}


@attrs.define(eq=False)
class Job:
    """One track on its way to its images.

    Attributes:
        music_task_id: The track's music task.
        title: What people know it by.
        state: How far it is.
        cover_task_id: Its cover task, once submitted.
        images: The image URLs, once finished.
        files: The saved files, once saved.
        error: What went wrong, once something did.
        began: When it was started, by `time.monotonic`.
        ended: When it ended, likewise.
    """

    music_task_id: str
    title: str
    state: State = State.WAITING
    cover_task_id: str | None = None
    images: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    error: Exception | None = None
    began: float | None = None
    ended: float | None = None

    def move(self, state: State, tell: "Callable[[Job], None]") -> None:
        """Change the state, and tell of it."""
        self.state = state
        if state.ended:
            self.ended = time.monotonic()
        tell(self)

    @property
    def seconds(self) -> float | None:
        """How long it took, or has been taking."""
        if self.began is None:
            return None
        return (self.ended or time.monotonic()) - self.began


Tell = Callable[[Job], None]


async def cover_all(
    client: SunoCoverClient, jobs: Sequence[Job], *, into: Path, tell: Tell
) -> None:
    """Cover every job's track and save its images, many at a time.

    No job's failure stops another. When the key is refused or credits run out, no further job is
    started, and those under way are brought to their end.
    """
    queue = deque(jobs)
    submitting = asyncio.Semaphore(_SUBMITS_AT_ONCE)

    async def submit_next() -> tuple[Job, CoverTask | None] | None:
        async with submitting:
            if not queue:
                return None
            job = queue.popleft()
            task = await _attempt(job, _submit(client, job, tell), tell)
            if isinstance(job.error, HOPELESS):
                queue.clear()
            return job, task

    async def work() -> None:
        while found := await submit_next():
            job, task = found
            if task is not None:
                await _attempt(job, _collect(client, job, task, into, tell), tell)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(_AT_ONCE, len(jobs))):
            group.create_task(work())


async def _submit(client: SunoCoverClient, job: Job, tell: Tell) -> CoverTask:
    job.began = time.monotonic()
    job.move(State.SUBMITTING, tell)
    task = await client.submit(job.music_task_id)
    job.cover_task_id = task.cover_task_id
    job.move(State.PENDING, tell)
    return task


async def _collect(
    client: SunoCoverClient, job: Job, task: CoverTask, into: Path, tell: Tell
) -> None:
    async for details in client.watch(task):
        if details.status is CoverStatus.GENERATING:
            job.move(State.GENERATING, tell)
        elif details.status is CoverStatus.FAILED:
            raise CoverFailedError(details)
        elif details.status is CoverStatus.SUCCESS:
            job.images = details.images
            job.move(State.SAVING, tell)
            job.files = await client.download(details, into=into, name=job.music_task_id)
    job.move(State.SAVED, tell)


async def _attempt(job: Job, step: Awaitable[T], tell: Tell) -> T | None:
    """Take a step; what goes wrong is the job's own affair, and its end."""
    try:
        return await step
    except (SunoCoverError, ValueError, OSError) as error:
        job.error = error
        late = isinstance(error, CoverTimeoutError)
        job.move(State.TIMED_OUT if late else State.FAILED, tell)
        return None

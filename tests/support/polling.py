"""A poller, and an API that answers as it is told, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from suno_cover_async import (
    CoverDetails,
    CoverStatus,
    CoverTask,
    PollPolicy,
    SunoCoverError,
)
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.poller import Poller
from suno_cover_async.covers.state import CoverState
from tests.support.virtual_time import run

ID = "21aee3c3c2a01fa5e030b3799fa4dd56"

PENDING = CoverDetails(cover_task_id=ID, status=CoverStatus.PENDING)

GENERATING = CoverDetails(cover_task_id=ID, status=CoverStatus.GENERATING)

SUCCESS = CoverDetails(cover_task_id=ID, status=CoverStatus.SUCCESS, images=("u", "v"))

FAILED = CoverDetails(cover_task_id=ID, status=CoverStatus.FAILED)

IMAGELESS = CoverDetails(cover_task_id=ID, status=CoverStatus.SUCCESS)

Seen = CoverDetails | SunoCoverError | None


class Polls:
    """The answer to each poll, the last one repeated; and the times of the polls."""

    def __init__(self, seen: Iterable[Seen]) -> None:
        self._seen = list(seen)
        self.at: list[float] = []

    async def __call__(self) -> CoverDetails | None:
        self.at.append(asyncio.get_running_loop().time())
        seen = self._seen.pop(0) if len(self._seen) > 1 else self._seen[0]
        if isinstance(seen, SunoCoverError):
            raise seen
        return seen


Poll = Callable[[], Awaitable[CoverDetails | None]]

Then = Callable[[Poller], Awaitable[object]]


def poller(poll: Poll, first_poll: float | None = None) -> Poller:
    """Poll a cover task, submitted now if the age of its first poll is given."""
    state = CoverState(grace=60)
    if first_poll is not None:
        now = asyncio.get_running_loop().time()
        state.accepted(CoverTask(cover_task_id=ID, music_task_id="m"), now)
    schedule = PollPolicy(initial_delay=first_poll)
    return Poller(lambda _: poll(), schedule, state, lambda: False, Notifier())


async def finished(out: Poller, deadline: float = 900.0) -> CoverDetails:
    async with out.waiting(ID, deadline) as waiter:
        return await waiter.finished()


def waiting(
    *seen: Seen, first_poll: float | None = None, timeout: float = 900.0, then: Then | None = None
) -> tuple[object, list[float], float]:
    """Wait, polls being scripted; return what came, when the polls were, and the end."""

    async def scenario() -> tuple[object, list[float], float]:
        polls = Polls(seen)
        out = poller(polls, first_poll)
        try:
            outcome = await (then(out) if then else finished(out, timeout))
        except SunoCoverError as error:
            outcome = error
        return outcome, polls.at, asyncio.get_running_loop().time()

    return run(scenario())

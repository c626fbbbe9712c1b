"""The cover service: the operations of one client, in whichever event loop it is used.

It combines the account, the state of covers, and the runtime of the event loop. The client checks
arguments and calls it; `cover_catalog` calls it with a retry policy of its own and records more.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import aiohttp

from suno_cover_async.common.addresses import Network
from suno_cover_async.common.loop_local import LoopLocal
from suno_cover_async.covers.cover_polling import id_of, unknown_cover_task
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.runtime import Runtime, open_runtime
from suno_cover_async.covers.state import CoverState, PossiblyBilled
from suno_cover_async.emitter import RunningOperation, operation
from suno_cover_async.errors import (
    ClientUsageError,
    CoverExpiredError,
    CoverFailedError,
    CoverTimeoutError,
    DownloadError,
    MusicFailedError,
    NotFoundError,
    SunoCoverError,
)
from suno_cover_async.events import CreditsRead, Operation
from suno_cover_async.http.account import Account
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask, MusicDetails
from suno_cover_async.network.proxies import Proxies
from suno_cover_async.policies import PollPolicy, RetryPolicy
from suno_cover_async.protocol import requests


class CoverService:
    """Implements the operations of `SunoCoverClient`, which checks the arguments.

    Attributes:
        account: The account, with its limiters and breakers.
        state: What the client remembers of covers.
        poll: When to poll, and how long a wait lasts by default.
        concurrency: The number of covers that may be in flight at once.
    """

    def __init__(
        self,
        *,
        account: Account,
        notifier: Notifier,
        callback_url: Callable[[str], str],
        poll: PollPolicy,
        concurrency: int,
        session: aiohttp.ClientSession | None,
        proxies: Proxies = Proxies(),  # noqa: B008 - a frozen value
        fake_ip: Sequence[Network] = (),
    ) -> None:
        """Open nothing yet; the first operation opens the runtime of its event loop.

        Args:
            account: The account that requests are made for.
            notifier: Delivers callbacks.
            callback_url: Returns the callback URL of a music task.
            poll: When to poll.
            concurrency: The number of covers that may be in flight at once.
            session: A borrowed session for the API; None opens one.
            proxies: The proxies of API requests and downloads.
            fake_ip: Networks to which names of image hosts may lead, though they are not public.
        """
        self.account: Account = account
        self.state: CoverState = CoverState(poll.not_found_grace)
        self.poll: PollPolicy = poll
        self.concurrency: int = concurrency
        self._notifier = notifier
        self._callback_url = callback_url
        self._session = session
        self._proxies = proxies
        self._fake_ip = fake_ip
        self._users = set[asyncio.Task[None]]()
        self._loops = LoopLocal(self._open, ClientUsageError)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it was used last, which may be closed by now."""
        return self._loops.loop

    async def enter(self) -> Runtime:
        """Return the runtime of the running event loop; open it at first use.

        Raises:
            ClientUsageError: The client is closed, or in use in another running event loop.
        """
        return await self._loops.enter()

    async def aclose(self) -> None:
        """Close the service in a task that no caller can cancel; see `SunoCoverClient.aclose`."""
        await self._loops.aclose()

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncGenerator[None, None]:
        """Wait for one of the `concurrency` slots, and hold it inside the block."""
        runtime = await self.enter()
        async with runtime.slot():
            yield

    async def generate(self, music_task_id: str, timeout: float) -> CoverDetails:
        """Submit a cover in a slot, and wait for it."""
        kind, events = Operation.GENERATE, self.account.events
        with operation(events, kind, music_task_id=music_task_id):
            async with self.slot():
                task = await self.submit(music_task_id, callback_timeout=timeout)
                with self.state.holding(task):
                    return await self.wait(task, timeout)

    async def submit(
        self, music_task_id: str, *, callback_timeout: float, policy: RetryPolicy | None = None
    ) -> CoverTask:
        """Submit, or join a submit of this music task that is under way.

        Args:
            music_task_id: The music task.
            callback_timeout: The most seconds to wait for the callback of a submit whose answer
                was lost.
            policy: How often to try; None uses the account's policy.
        """
        runtime = await self.enter()
        return await runtime.submitter.submit(music_task_id, callback_timeout, policy)

    async def settled(self, music_task_id: str) -> None:
        """Wait for a submit that all its callers have left; return at once if there is none."""
        runtime = self._loops.current
        if runtime is not None:
            await runtime.submitter.settled(music_task_id)

    async def wait(self, task: CoverTask | str, timeout: float) -> CoverDetails:
        """Wait, for at most `timeout` seconds, for a cover task to succeed."""
        runtime = await self.enter()
        deadline = runtime.loop.time() + timeout
        with self._operation(Operation.WAIT, task):
            async with runtime.poller.waiting(task, deadline) as waiter:
                details = await waiter.finished()
            self.state.settle(details)
            if details.status is CoverStatus.FAILED:
                raise CoverFailedError(details)
            return details

    async def watch(
        self, task: CoverTask | str, timeout: float
    ) -> AsyncGenerator[CoverDetails, None]:
        """Yield PENDING at once, and the details at every change of status, up to the last."""
        runtime = await self.enter()
        deadline = runtime.loop.time() + timeout
        async with runtime.poller.waiting(task, deadline) as waiter:
            details = CoverDetails(
                cover_task_id=id_of(task),
                music_task_id=task.music_task_id if isinstance(task, CoverTask) else None,
                status=CoverStatus.PENDING,
            )
            yield details
            while not details.finished:
                details = await waiter.after(details)
                if details.finished:
                    self.state.settle(details)
                yield details

    async def details(self, task: CoverTask | str) -> CoverDetails:
        """Poll a cover task once; return PENDING while the API does not show it yet."""
        runtime = self._loops.opened or await self.enter()  # without a coroutine, if it is open
        found = await runtime.poller.poll(task)
        if found is not None:
            return found
        cover_task_id = id_of(task)
        if self.state.born(cover_task_id, runtime.loop.time()) is None:
            raise unknown_cover_task(cover_task_id)
        return CoverDetails(cover_task_id=cover_task_id, status=CoverStatus.PENDING)

    async def credits(self) -> float:
        """Return the account's balance, in credits."""
        runtime = await self.enter()
        balance = await runtime.transport.get(requests.credit(self.account.host))
        if self.account.events is not None:
            self.account.events.emit(CreditsRead(credits=balance))
        return balance

    async def music_details(self, music_task_id: str) -> MusicDetails:
        """Poll a music task once."""
        runtime = await self.enter()
        found = await runtime.transport.get(
            requests.music(music_task_id), through=self.account.poll_limiter
        )
        if found is None:
            raise NotFoundError(
                f"the API knows no music task {music_task_id}; check the id and the account",
                music_task_id=music_task_id,
            )
        return found

    async def wait_for_music(self, music_task_id: str, timeout: float) -> MusicDetails:
        """Wait, for at most `timeout` seconds, until a music task is ready for a cover."""
        runtime = await self.enter()
        try:
            async with asyncio.timeout(timeout):
                return await runtime.transport.closing.unless_closed(
                    self._ready_music(music_task_id)
                )
        except TimeoutError:
            pass
        raise CoverTimeoutError(
            f"music task {music_task_id} is not ready in time; wait for it again later",
            music_task_id=music_task_id,
        )

    async def download(
        self, details: CoverDetails, stem: Path, *, policy: RetryPolicy | None = None
    ) -> tuple[Path, ...]:
        """Save the images of a cover, concurrently; each file is written whole or not at all.

        An image that is missing (403, 404, 410) is tried again after short waits. If it is still
        missing, or gone since the cover is 14 days old, the details are polled once more: the API
        may name other images by now.

        Args:
            details: Of a success.
            stem: The path of the files, without `-1.png`, `-2.png`.
            policy: How often to try; None uses the account's policy.
        """
        runtime = await self.enter()
        with self._operation(Operation.DOWNLOAD, _task_of(details)):
            files = await self._download(runtime, details, stem, policy)
            if self.account.events is not None:
                self.account.events.saved(details, files)
            return files

    async def _download(
        self, runtime: Runtime, details: CoverDetails, stem: Path, policy: RetryPolicy | None
    ) -> tuple[Path, ...]:
        outcomes = await runtime.save(details, stem, policy)
        if any(map(_is_missing, outcomes)):
            fresh = details
            with contextlib.suppress(NotFoundError):  # the cover task is gone as well
                fresh = await self.details(_task_of(details))
            is_success = fresh.status is CoverStatus.SUCCESS
            if is_success and fresh.images and fresh.images != details.images:
                outcomes = await runtime.save(fresh, stem, policy)
        return tuple(_file(outcome, details) for outcome in outcomes)

    def check_music_id(self, music_task_id: str) -> None:
        """Check that a music task id is not the key; raise ValueError if it is."""
        self.account.key.check_id("music_task_id", music_task_id)

    def mark_possibly_billed(self, music_task_id: str, *, failed: CoverTask | None = None) -> None:
        """Record that an earlier process may have submitted this music task.

        Args:
            music_task_id: The music task.
            failed: A cover task of it that failed; a callback that named it is ignored.
        """
        self.state.possibly_billed[music_task_id] = PossiblyBilled()
        if failed is not None:
            self._notifier.forget(music_task_id, failed.cover_task_id)

    def used_by(self, work: asyncio.Task[None]) -> None:
        """Let closing wait for this work of a catalog if it was cancelled.

        Such work still records what its submits bring, and ends once they are answered.
        """
        self._users.add(work)
        work.add_done_callback(self._users.discard)

    def _operation(
        self, kind: Operation, task: CoverTask | str
    ) -> contextlib.AbstractContextManager[RunningOperation | None]:
        """Return a context manager that tells the hook of an operation on a cover task."""
        music_task_id = task.music_task_id if isinstance(task, CoverTask) else None
        return operation(
            self.account.events, kind, music_task_id=music_task_id, cover_task_id=id_of(task)
        )

    async def _open(self, stack: contextlib.AsyncExitStack) -> Runtime:
        return await open_runtime(
            stack,
            account=self.account,
            session=self._session,
            concurrency=self.concurrency,
            poll=self.poll,
            state=self.state,
            notifier=self._notifier,
            callback_url=self._callback_url,
            users=self._users,
            proxies=self._proxies,
            fake_ip=self._fake_ip,
        )

    async def _ready_music(self, music_task_id: str) -> MusicDetails:
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            found = await self._music_unless_in_trouble(music_task_id)
            if found and found.failed:
                raise MusicFailedError(found)
            if found and found.ready:
                return found
            await asyncio.sleep(self.poll.interval(clock() - began))

    async def _music_unless_in_trouble(self, music_task_id: str) -> MusicDetails | None:
        try:
            return await self.music_details(music_task_id)
        except SunoCoverError as error:
            if not error.retryable:
                raise
            return None


def _task_of(details: CoverDetails) -> CoverTask | str:
    """Return the cover task with its music, if known, so that other music is refused."""
    if details.music_task_id is None:
        return details.cover_task_id
    return CoverTask(cover_task_id=details.cover_task_id, music_task_id=details.music_task_id)


def _is_missing(outcome: object) -> bool:
    return isinstance(outcome, CoverExpiredError) or (
        isinstance(outcome, DownloadError) and outcome.is_missing
    )


def _file(outcome: Path | BaseException, details: CoverDetails) -> Path:
    """Return the file, or raise the error of its download with the ids added."""
    if isinstance(outcome, Path):
        return outcome
    if isinstance(outcome, SunoCoverError):
        outcome.music_task_id = details.music_task_id
        outcome.cover_task_id = details.cover_task_id
    raise outcome

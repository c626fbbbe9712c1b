"""The verbs: what people await.

It puts the parts together; how a request is made, when, and what an answer means is said on the
floors below.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import NoReturn, Self

import aiohttp

from suno_cover_async import arguments, receiving, wire
from suno_cover_async.doorbell import Doorbell
from suno_cover_async.errors import (
    CoverExpiredError,
    CoverFailedError,
    CoverTimeoutError,
    MusicFailedError,
    NotFoundError,
    SunoCoverError,
)
from suno_cover_async.files import file_stem
from suno_cover_async.hosts import SUNOAPI, BaseUrl, Host
from suno_cover_async.loops import PerLoop
from suno_cover_async.memory import Memory
from suno_cover_async.messenger import ApiKey
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask, MusicDetails
from suno_cover_async.outage import OutageGate
from suno_cover_async.pace import Backpressure, PollSchedule
from suno_cover_async.polling import id_of, unknown_cover_task
from suno_cover_async.receiving import Receiver
from suno_cover_async.retry import RetryPolicy
from suno_cover_async.transport import Account
from suno_cover_async.window import Rate, RequestWindow
from suno_cover_async.workshop import Workshop, open_workshop

NO_CALLBACK_URL = "https://example.com/suno-cover-async/no-callback"
"""Sent when there is no callback URL: the API requires one and does not check it [seen live]."""


class SunoCoverClient:
    """Covers finished songs: submits, waits, looks and downloads.

    Use it as an async context manager, or call `aclose` in the end. Make one per account and keep
    it: it holds the limiter and the connections. It may be used from several event loops in turn,
    and from any number of tasks at once.

    Args:
        api_key: The key; None reads the environment variable `SUNO_API_KEY`. Sent to the API
            only, never to the image host.
        host: `SUNOAPI`, `KIE`, `APIBOX`, or a `Host` of your own.
        base_url: Overrides the host's; https, or http on loopback, without `/api/v1`.
        callback_url: Somebody else's endpoint, which the API calls besides; None sends a
            placeholder. This client then polls.
        receiver: Your own endpoint, a `CallbackReceiver`: its callbacks wake whoever waits here,
            and looks become rare. A callback proves nothing; each is confirmed by one look. Not
            together with `callback_url`.
        concurrency: How many covers `generate` keeps in flight at once. As many as the limit
            needs: 500 keep 20 requests in 10 s busy with covers that take four minutes.
        rate: The account's limit; give a `RequestWindow` instead to share one limiter among
            several clients of one account.
        poll_rate: A limit of its own for looks; None makes them share `rate`. Whether looks
            count against the account's limit is documented nowhere.
        poll: When to look again.
        retry: How hard to try.
        session: A borrowed session, used for the API and never closed; images are never fetched
            through it. On it, aiohttp's own repetition of a GET after a dropped connection goes
            uncounted by the limiter, and what a host sends unasked on a connection that idles is
            taken for the next answer.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is wrong otherwise, or there is no key.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        host: Host = SUNOAPI,
        base_url: str | None = None,
        callback_url: str | None = None,
        receiver: Receiver | None = None,
        concurrency: int = 500,
        rate: Rate | RequestWindow = Rate(calls=20, seconds=10),  # noqa: B008 - a frozen value
        poll_rate: Rate | RequestWindow | None = None,
        poll: PollSchedule = PollSchedule(),  # noqa: B008 - a frozen value
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - a frozen value
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Check the arguments; nothing is opened before the first call."""
        key = ApiKey(os.environ.get("SUNO_API_KEY") if api_key is None else api_key)
        del api_key  # so that no traceback's locals show it
        key.check()
        arguments.instance("host", host, Host)
        arguments.instance("retry", retry, RetryPolicy)
        window = _window("rate", rate)
        poll_window = window if poll_rate is None else _window("poll_rate", poll_rate)
        url = arguments.base_url("base_url", arguments.given(base_url, host.base_url))
        self._account = Account(
            host=host,
            api=BaseUrl(url),
            key=key,
            retry=retry,
            window=window,
            poll_window=poll_window,
            backpressure=Backpressure(window.rate, retry.longest_pause),
            outage=_gate(retry, "the API"),
            submit_outage=_gate(retry, "submitting"),
            image_outage=_gate(retry, "the image host"),
        )
        self._callback_url = _callback_url(callback_url, receiver)
        self._doorbell = receiver.doorbell if receiver else Doorbell()
        self._concurrency = arguments.count("concurrency", concurrency)
        self._poll = arguments.instance("poll", poll, PollSchedule)
        self._borrowed = session and arguments.instance("session", session, aiohttp.ClientSession)
        self._memory = Memory(poll.grace)
        self._users = set[asyncio.Task[None]]()
        self._loops = PerLoop(self._open)

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        await self._loops.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.aclose()

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled: it holds a key."""
        raise TypeError("a SunoCoverClient holds an API key and is not pickled; make a new one")

    async def aclose(self) -> None:
        """Close the connections; closing twice is fine.

        A submit whose request went out is finished first, for at most one attempt; see `unclaimed`.
        Whoever still waits for anything gets a `ClientUsageError`. All this is done by a task of
        the client's own: whoever is cancelled while it waits here leaves, and the task goes on.
        """
        await self._loops.aclose()

    @property
    def unclaimed(self) -> tuple[CoverTask, ...]:
        """Cover tasks that were accepted, and whose covers nobody has yet.

        `generate` is waiting for them, or its caller was cancelled, or it ended in an error that
        may pass. `submit` and `generate` of the same music task take them up again without a
        request; so may `wait`.
        """
        return tuple(self._memory.unclaimed.values())

    @property
    def uncertain(self) -> tuple[str, ...]:
        """Music tasks that may have been billed, for a cover that nobody knows how to find.

        Their submit ended without an answer of the API, or with the cover task of other music.
        Submit them again to find out; that never pays twice. They leave with a cover task of
        theirs, or with a `CoverExistsError`.
        """
        return tuple(self._memory.uncertain)

    def perhaps_billed(self, music_task_id: str) -> bool:
        """Whether a submit of this music task may have been billed, whoever made it.

        It is under way, was answered within the last minute, or left the music task `uncertain`.
        So a caller who was cancelled learns that others go on with the submit it had joined.
        """
        arguments.task_id("music_task_id", music_task_id)
        return self._memory.perhaps_billed(music_task_id)

    async def settled(self, music_task_id: str) -> None:
        """Wait for the submit of this music task that all its callers have left.

        A cancelled `submit` leaves at once, and its request is finished all the same, within one
        attempt. Afterwards `unclaimed` and `perhaps_billed` tell what came of it. This returns at
        once where no submit was left, or where another caller waits for it by now.
        """
        arguments.task_id("music_task_id", music_task_id)
        workshop = self._loops.current
        if workshop is not None:
            await workshop.desk.settled(music_task_id)

    def doubt(self, music_task_id: str, *, failed: CoverTask | None = None) -> None:
        """Tell that somebody, such as an earlier process, may have submitted this music task.

        It is `uncertain` then: the next submit of it waits for 1 s first, and is completed from a
        callback where it can be.

        Args:
            music_task_id: The music task.
            failed: What became of it before; a callback that named this tells nothing new.
        """
        self._memory.uncertain[arguments.task_id("music_task_id", music_task_id)] = None
        if failed is not None:
            self._doorbell.forget(music_task_id, failed.cover_task_id)

    def keep(self, task: CoverTask) -> None:
        """Put a cover task among the `unclaimed`: it is paid for, and nobody waits for it yet."""
        self._memory.unclaimed[task.music_task_id] = task

    def holding(self, task: CoverTask) -> contextlib.AbstractContextManager[None]:
        """Keep a cover task `unclaimed` while a block waits for its cover, as `generate` does.

        It stays so where the block is cancelled, or ends in an error that may pass.
        """
        return self._memory.holding(task)

    def used_by(self, work: asyncio.Task[None]) -> None:
        """Have closing wait for the work of a catalog that was cancelled, for `cover_catalog`.

        It records what submits bring, and ends by itself once they are answered.
        """
        self._users.add(work)
        work.add_done_callback(self._users.discard)

    @property
    def account(self) -> str:
        """A fingerprint of the key and the host's name, which tells accounts apart.

        It is the same at another base URL of the host, such as a proxy's. The key cannot be found
        from it.
        """
        return self._account.key.fingerprint(self._account.host.name)

    @property
    def base_url(self) -> str:
        """Where this client calls, without a trailing slash."""
        return self._account.base_url

    def trust_base_url(self) -> None:
        """Take the base URL for right, although the API has not answered there yet.

        A gateway's answer is a passing fault then, and no longer a `WrongAddressError`. For whoever
        knows from an earlier process that the API answers there; `cover_catalog` knows it from the
        ledger.
        """
        self._account.api.has_answered = True

    @property
    def outage(self) -> OutageGate:
        """What holds back all but submits while the API is in trouble, when a catalog runs."""
        return self._account.outage

    @property
    def submit_outage(self) -> OutageGate:
        """What holds back submits likewise: they may be in trouble while all else fares well."""
        return self._account.submit_outage

    @property
    def image_outage(self) -> OutageGate:
        """What holds back downloads likewise."""
        return self._account.image_outage

    @property
    def concurrency(self) -> int:
        """How many covers may be in flight at once."""
        return self._concurrency

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncGenerator[None, None]:
        """Wait for the right to have one more cover in flight, and hold it inside the block.

        `generate` and `cover_catalog` do; use it around a `submit` and `wait` of your own.
        """
        workshop = await self._loops.enter()
        async with workshop.slot():
            yield

    async def generate(self, music_task_id: str, *, timeout: float | None = None) -> CoverDetails:
        """Submit a cover and wait for it; at most `concurrency` at once, the others queue.

        Args:
            music_task_id: The finished song.
            timeout: Seconds to wait after the submit; None takes the poll schedule's, 900. With a
                receiver, also the most to wait for the callback of a submit whose answer was lost
                (of a submit that it joined, that one's).

        Returns:
            Details of a success, with its images.

        Raises:
            CoverFailedError: The cover task failed.
            CoverTimeoutError: It is not finished in time; generate again, or wait for its
                `cover_task_id`, without paying twice.
            SunoCoverError: As `submit` and `wait` raise.
            ValueError: An argument is wrong.
        """
        arguments.task_id("music_task_id", music_task_id)
        timeout = self._patience(timeout)
        workshop = await self._loops.enter()
        async with self.slot():
            task = await workshop.desk.submit(music_task_id, timeout)
            with self.holding(task):
                return await self.wait(task, timeout=timeout)

    async def submit(self, music_task_id: str) -> CoverTask:
        """Ask for the cover of a finished song. This is what costs money.

        The API makes one cover per music task [documented], so submitting again never pays twice:
        it brings back the first one's cover task, `adopted`. An attempt whose answer was lost is
        repeated by that rule, not sooner than 1 s later, be it by this call or by the next one.
        Concurrent submits of one music task are one.

        With a receiver, a submit that may have been billed and ended without a cover task is
        completed from its callback, once the details confirm it. For that it waits: as long as
        for any cover (900 s by default) when the API says that the cover exists and not which,
        else until the callback is overdue (60 s, or what was learned). A callback that came
        before, even of an earlier run, spares the submit.

        Whoever is cancelled leaves at once. A request that was sent by then is finished in a task
        of the client's own, and what it brings is `unclaimed`; one that was not sent never is. The
        next call for this music task waits for that answer and makes no second request.

        Raises:
            CoverExistsError: There is a cover already and the API did not name its task.
            InsufficientCreditsError: Nothing left to pay with.
            InvalidRequestError: The host does not know the music task, for instance.
            SunoCoverError: Anything else; when `retryable`, submit again.
            ValueError: `music_task_id` is no id.
        """
        arguments.task_id("music_task_id", music_task_id)
        workshop = await self._loops.enter()
        return await workshop.desk.submit(music_task_id, self._poll.timeout)

    async def wait(self, task: CoverTask | str, *, timeout: float | None = None) -> CoverDetails:
        """Wait for a cover task to succeed.

        Any number of callers waiting for one cover task cost one stream of looks. Trouble that may
        pass, such as an outage, is waited out.

        Args:
            task: From `submit`, or a cover task id, even of another day.
            timeout: Seconds; None takes the poll schedule's, 900.

        Raises:
            CoverFailedError: The cover task failed.
            CoverTimeoutError: It is not finished in time; wait again.
            NotFoundError: The host knows no such cover task (once it is 60 s old).
            ImagesMissingError: It is a success, yet four looks in a row named no images.
            CoverExistsError: An adopted task turned out to belong to other music.
            SunoCoverError: Anything else that waiting cannot mend.
            ValueError: An argument is wrong.
        """
        arguments.task_id("task", id_of(task))
        patience = self._patience(timeout)
        workshop = await self._loops.enter()
        deadline = workshop.loop.time() + patience
        async with workshop.lookout.watching(task, deadline) as watcher:
            details = await watcher.finished()
        self._memory.settle(details)
        if details.status is CoverStatus.FAILED:
            raise CoverFailedError(details)
        return details

    def watch(
        self, task: CoverTask | str, *, timeout: float | None = None
    ) -> AsyncGenerator[CoverDetails, None]:
        """Yield the details at the first look and at every change of status, up to the last.

        The last one is a success or a failure; a failure is not raised. Arguments and errors are
        those of `wait`, `CoverFailedError` excepted.
        """
        arguments.task_id("task", id_of(task))
        patience = self._patience(timeout)
        return self._watch(task, patience)

    async def details(self, task: CoverTask | str) -> CoverDetails:
        """Look at a cover task once.

        The API may show a task only some seconds after its submit; until then it is PENDING.

        Raises:
            NotFoundError: The host knows no such cover task.
            SunoCoverError: Anything else.
            ValueError: `task` is no id.
        """
        cover_task_id = arguments.task_id("task", id_of(task))
        workshop = await self._loops.enter()
        found = await workshop.lookout.look(task)
        if found is None and self._memory.born(cover_task_id, workshop.loop.time()) is None:
            raise unknown_cover_task(cover_task_id)
        return found or CoverDetails(cover_task_id=cover_task_id, status=CoverStatus.PENDING)

    async def credits(self) -> float:
        """Ask for the account's balance.

        Raises:
            SunoCoverError: What the last attempt came to.
        """
        workshop = await self._loops.enter()
        return await workshop.transport.get(wire.credit(self._account.host))

    async def music_details(self, music_task_id: str) -> MusicDetails:
        """Look at a music task once.

        Raises:
            NotFoundError: The host knows no such music task.
            SunoCoverError: Anything else.
            ValueError: `music_task_id` is no id.
        """
        arguments.task_id("music_task_id", music_task_id)
        workshop = await self._loops.enter()
        found = await workshop.transport.get(
            wire.music(music_task_id), through=self._account.poll_window
        )
        if found is None:
            raise NotFoundError(
                f"the API knows no music task {music_task_id}; check the id and the account",
                music_task_id=music_task_id,
            )
        return found

    async def wait_for_music(
        self, music_task_id: str, *, timeout: float | None = None
    ) -> MusicDetails:
        """Wait until a music task is ready for a cover.

        Args:
            music_task_id: The song in the making.
            timeout: Seconds; None takes the poll schedule's, 900.

        Raises:
            MusicFailedError: It failed, for good.
            CoverTimeoutError: It is not ready in time; its `cover_task_id` is None.
            SunoCoverError: As `music_details` raises, unless waiting may mend it.
            ValueError: An argument is wrong.
        """
        patience = self._patience(timeout)
        workshop = await self._loops.enter()
        try:
            async with asyncio.timeout(patience):
                return await workshop.transport.closing.unless_closed(
                    self._ready_music(music_task_id)
                )
        except TimeoutError:
            pass
        raise CoverTimeoutError(
            f"music task {music_task_id} is not ready in time; wait for it again later",
            music_task_id=music_task_id,
        )

    async def download(
        self, details: CoverDetails, into: str | os.PathLike[str], *, name: str | None = None
    ) -> tuple[Path, ...]:
        """Save the images of a cover, all at once, whole or not at all.

        Args:
            details: Of a success.
            into: The directory; made if it is not there.
            name: What the files are called after; None takes the music task id. Whoever gives
                titles makes them unique, for instance by adding the id: files of the same name
                are replaced. It is made safe for every file system, and `-1.png`, `-2.png` is
                added, by what the images are.

        Returns:
            The files, in the order of `details.images`.

        Raises:
            CoverExpiredError: The images are gone (they are kept for 14 days).
            DownloadError: An image could not be fetched, is none, or could not be saved.
            ClientBlockedError: The image host's edge turned us away.
            UnexpectedResponseError: The images are gone, and the API has come to say that the
                cover task belongs to other music.
            ValueError: The details have no images, or `into` can be no path.
        """
        arguments.instance("details", details, CoverDetails)
        if not details.images:
            raise ValueError(f"cover task {details.cover_task_id} has no images (yet): wait for it")
        folder = arguments.folder("into", into)
        workshop = await self._loops.enter()
        name = arguments.given(name, details.music_task_id or details.cover_task_id)
        stem = folder / file_stem(arguments.instance("name", name, str))
        outcomes = await workshop.save(details.images, stem)
        if any(isinstance(outcome, CoverExpiredError) for outcome in outcomes):
            fresh = details
            with contextlib.suppress(NotFoundError):  # it is gone as well
                fresh = await self.details(_task_of(details))
            is_success = fresh.status is CoverStatus.SUCCESS
            if is_success and fresh.images and fresh.images != details.images:
                outcomes = await workshop.save(fresh.images, stem)
        return tuple(_file(outcome, details) for outcome in outcomes)

    async def _open(self, stack: contextlib.AsyncExitStack) -> Workshop:
        return await open_workshop(
            stack,
            account=self._account,
            session=self._borrowed,
            concurrency=self._concurrency,
            poll=self._poll,
            memory=self._memory,
            doorbell=self._doorbell,
            callback_url=self._callback_url,
            users=self._users,
        )

    def _patience(self, timeout: float | None) -> float:
        return arguments.positive("timeout", self._poll.timeout if timeout is None else timeout)

    async def _watch(
        self, task: CoverTask | str, patience: float
    ) -> AsyncGenerator[CoverDetails, None]:
        workshop = await self._loops.enter()
        deadline = workshop.loop.time() + patience
        details = None
        async with workshop.lookout.watching(task, deadline) as watcher:
            while details is None or not details.finished:
                details = await watcher.after(details)
                if details.finished:
                    self._memory.settle(details)
                yield details

    async def _ready_music(self, music_task_id: str) -> MusicDetails:
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            found = await self._music_unless_in_trouble(music_task_id)
            if found and found.failed:
                raise MusicFailedError(found)
            if found and found.ready:
                return found
            await asyncio.sleep(self._poll.after(clock() - began))

    async def _music_unless_in_trouble(self, music_task_id: str) -> MusicDetails | None:
        try:
            return await self.music_details(music_task_id)
        except SunoCoverError as error:
            if not error.retryable:
                raise
            return None


def _gate(retry: RetryPolicy, what: str) -> OutageGate:
    return OutageGate(retry.probe_first, retry.probe_longest, what=what)


def _callback_url(given: str | None, receiver: Receiver | None) -> Callable[[str], str]:
    """Tell where the host shall call for a music task."""
    if receiver is not None:
        if given is not None:
            raise ValueError("give callback_url or receiver, not both: a submit has one URL")
        return receiving.checked("receiver", receiver).url
    url = arguments.callback_url("callback_url", arguments.given(given, NO_CALLBACK_URL))
    return lambda _: url


def _window(name: str, rate: Rate | RequestWindow) -> RequestWindow:
    arguments.instance(name, rate, Rate | RequestWindow)
    return RequestWindow(rate) if isinstance(rate, Rate) else rate


def _task_of(details: CoverDetails) -> CoverTask | str:
    """Name the cover task with its music, where that is known, so that no other's is taken."""
    if details.music_task_id is None:
        return details.cover_task_id
    return CoverTask(cover_task_id=details.cover_task_id, music_task_id=details.music_task_id)


def _file(outcome: Path | BaseException, details: CoverDetails) -> Path:
    """Return the file, or raise the error of its download with the ids added."""
    if isinstance(outcome, Path):
        return outcome
    if isinstance(outcome, SunoCoverError):
        outcome.music_task_id = details.music_task_id
        outcome.cover_task_id = details.cover_task_id
    raise outcome

"""The verbs: what people await.

It puts the parts together; how a request is made, when, and what an answer means is said on the
floors below.
"""

import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

import aiohttp

from suno_cover_async.common import validation
from suno_cover_async.covers.cover_polling import id_of
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.service import CoverService
from suno_cover_async.hosts import SUNOAPI, BaseUrl, Host
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.http.transport import Account
from suno_cover_async.images.files import file_stem
from suno_cover_async.models import CoverDetails, CoverTask, MusicDetails
from suno_cover_async.policies import PollPolicy, RateLimit, RetryPolicy
from suno_cover_async.resilience.circuit_breaker import Breakers, CircuitBreaker
from suno_cover_async.resilience.rate_limiter import Backpressure, RateLimiter

if TYPE_CHECKING:  # whoever has no receiver starts without aiohttp.web
    from suno_cover_async.callbacks.receiver import CallbackReceiver

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
        rate_limit: The account's limit; give a `RateLimiter` instead to share one limiter among
            several clients of one account.
        poll_rate_limit: A limit of its own for polls; None makes them share `rate_limit`. Whether
            polls count against the account's limit is documented nowhere.
        poll: When to poll.
        retry: How often a request is repeated, and for how long.
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
        receiver: "CallbackReceiver | None" = None,
        concurrency: int = 500,
        rate_limit: RateLimit | RateLimiter = RateLimit(calls=20, seconds=10),  # noqa: B008 - a frozen value
        poll_rate_limit: RateLimit | RateLimiter | None = None,
        poll: PollPolicy = PollPolicy(),  # noqa: B008 - a frozen value
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - a frozen value
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Check the arguments; nothing is opened before the first call."""
        key = ApiKey(os.environ.get("SUNO_API_KEY") if api_key is None else api_key)
        del api_key  # so that no traceback's locals show it
        key.check()
        validation.instance("host", host, Host)
        validation.instance("retry", retry, RetryPolicy)
        limiter = _limiter("rate_limit", rate_limit)
        poll_limiter = (
            limiter if poll_rate_limit is None else _limiter("poll_rate_limit", poll_rate_limit)
        )
        url = validation.base_url("base_url", validation.given(base_url, host.base_url))
        account = Account(
            host=host,
            api=BaseUrl(url),
            key=key,
            retry=retry,
            limiter=limiter,
            poll_limiter=poll_limiter,
            backpressure=Backpressure(limiter.rate_limit, retry.max_retry_after),
            breakers=Breakers(
                api=_breaker(retry, "the API"),
                submit=_breaker(retry, "submitting"),
                images=_breaker(retry, "the image host"),
            ),
        )
        _check_receiver(receiver)
        url_of = _callback_url(callback_url, receiver)
        self._covers = CoverService(
            account=account,
            notifier=receiver.notifier if receiver else Notifier(),
            callback_url=url_of,
            poll=validation.instance("poll", poll, PollPolicy),
            concurrency=validation.count("concurrency", concurrency),
            session=session and validation.instance("session", session, aiohttp.ClientSession),
        )

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        await self._covers.enter()
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
        await self._covers.aclose()

    @property
    def unclaimed(self) -> tuple[CoverTask, ...]:
        """Cover tasks that were accepted, and whose covers nobody has yet.

        `generate` is waiting for them, or its caller was cancelled, or it ended in an error that
        may pass. `submit` and `generate` of the same music task take them up again without a
        request; so may `wait`.
        """
        return tuple(self._covers.state.unclaimed.values())

    @property
    def possibly_billed(self) -> tuple[str, ...]:
        """Music tasks that may have been billed, for a cover that nobody knows how to find.

        Their submit ended without an answer of the API, or with the cover task of other music.
        Submit them again to find out; that never pays twice. They leave with a cover task of
        theirs, or with a `CoverExistsError`.
        """
        return tuple(self._covers.state.possibly_billed)

    def is_possibly_billed(self, music_task_id: str) -> bool:
        """Whether a submit of this music task may have been billed, whoever made it.

        It is under way, was answered within the last minute, or left the music task
        `possibly_billed`. So a caller who was cancelled learns that others go on with the submit
        that it had joined.
        """
        validation.task_id("music_task_id", music_task_id)
        return self._covers.state.is_possibly_billed(music_task_id)

    async def settled(self, music_task_id: str) -> None:
        """Wait for the submit of this music task that all its callers have left.

        A cancelled `submit` leaves at once, and its request is finished all the same, within one
        attempt. Afterwards `unclaimed` and `possibly_billed` tell what came of it. This returns at
        once where no submit was left, or where another caller waits for it by now.
        """
        validation.task_id("music_task_id", music_task_id)
        await self._covers.settled(music_task_id)

    def mark_possibly_billed(self, music_task_id: str, *, failed: CoverTask | None = None) -> None:
        """Tell that somebody, such as an earlier process, may have submitted this music task.

        It is `possibly_billed` then: the next submit of it waits for 1 s first, and is completed
        from a callback where it can be.

        Args:
            music_task_id: The music task.
            failed: What became of it before; a callback that named this tells nothing new.
        """
        validation.task_id("music_task_id", music_task_id)
        self._covers.mark_possibly_billed(music_task_id, failed=failed)

    @property
    def account(self) -> str:
        """A fingerprint of the key and the host's name, which tells accounts apart.

        It is the same at another base URL of the host, such as a proxy's. The key cannot be found
        from it.
        """
        account = self._covers.account
        return account.key.fingerprint(account.host.name)

    @property
    def base_url(self) -> str:
        """Where this client calls, without a trailing slash."""
        return self._covers.account.base_url

    def trust_base_url(self) -> None:
        """Take the base URL for right, although the API has not answered there yet.

        A gateway's answer is a passing fault then, and no longer a `WrongAddressError`. For whoever
        knows from an earlier process that the API answers there; `cover_catalog` knows it from the
        ledger.
        """
        self._covers.account.api.has_answered = True

    @property
    def breakers(self) -> Breakers:
        """The circuit breakers for the API, for submits and for images; see `Breakers`."""
        return self._covers.account.breakers

    @property
    def concurrency(self) -> int:
        """How many covers may be in flight at once."""
        return self._covers.concurrency

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncGenerator[None, None]:
        """Wait for the right to have one more cover in flight, and hold it inside the block.

        `generate` and `cover_catalog` do; use it around a `submit` and `wait` of your own.
        """
        async with self._covers.slot():
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
        validation.task_id("music_task_id", music_task_id)
        timeout = self._patience(timeout)
        async with self._covers.slot():
            task = await self._covers.submit(music_task_id, patience=timeout)
            with self._covers.state.holding(task):
                return await self._covers.wait(task, timeout)

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
        validation.task_id("music_task_id", music_task_id)
        return await self._covers.submit(music_task_id, patience=self._covers.poll.timeout)

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
        validation.task_id("task", id_of(task))
        return await self._covers.wait(task, self._patience(timeout))

    def watch(
        self, task: CoverTask | str, *, timeout: float | None = None
    ) -> AsyncGenerator[CoverDetails, None]:
        """Yield the details at the first look and at every change of status, up to the last.

        The last one is a success or a failure; a failure is not raised. Arguments and errors are
        those of `wait`, `CoverFailedError` excepted.
        """
        validation.task_id("task", id_of(task))
        return self._covers.watch(task, self._patience(timeout))

    async def details(self, task: CoverTask | str) -> CoverDetails:
        """Look at a cover task once.

        The API may show a task only some seconds after its submit; until then it is PENDING.

        Raises:
            NotFoundError: The host knows no such cover task.
            SunoCoverError: Anything else.
            ValueError: `task` is no id.
        """
        validation.task_id("task", id_of(task))
        return await self._covers.details(task)

    async def credits(self) -> float:
        """Ask for the account's balance.

        Raises:
            SunoCoverError: What the last attempt came to.
        """
        return await self._covers.credits()

    async def music_details(self, music_task_id: str) -> MusicDetails:
        """Look at a music task once.

        Raises:
            NotFoundError: The host knows no such music task.
            SunoCoverError: Anything else.
            ValueError: `music_task_id` is no id.
        """
        validation.task_id("music_task_id", music_task_id)
        return await self._covers.music_details(music_task_id)

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
        validation.task_id("music_task_id", music_task_id)
        return await self._covers.wait_for_music(music_task_id, self._patience(timeout))

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
        validation.instance("details", details, CoverDetails)
        if not details.images:
            raise ValueError(f"cover task {details.cover_task_id} has no images (yet): wait for it")
        folder = validation.folder("into", into)
        name = validation.given(name, details.music_task_id or details.cover_task_id)
        stem = folder / file_stem(validation.instance("name", name, str))
        return await self._covers.download(details, stem)

    def _patience(self, timeout: float | None) -> float:
        return validation.positive(
            "timeout", self._covers.poll.timeout if timeout is None else timeout
        )


def covers_of(client: SunoCoverClient) -> CoverService:
    """Return what a client works with, for `cover_catalog`."""
    return client._covers  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - its own module


def _breaker(retry: RetryPolicy, name: str) -> CircuitBreaker:
    return CircuitBreaker(retry.probe_delay, retry.max_probe_delay, name=name)


def _check_receiver(receiver: object) -> None:
    """Check the receiver by what a client needs of it: its class is not loaded for that."""
    if receiver is not None and not isinstance(getattr(receiver, "notifier", None), Notifier):
        raise TypeError(f"receiver must be a CallbackReceiver, not {receiver!r:.80}")


def _callback_url(given: str | None, receiver: "CallbackReceiver | None") -> Callable[[str], str]:
    """Tell where the host shall call for a music task."""
    if receiver is not None:
        if given is not None:
            raise ValueError("give callback_url or receiver, not both: a submit has one URL")
        return receiver.url
    url = validation.callback_url("callback_url", validation.given(given, NO_CALLBACK_URL))
    return lambda _: url


def _limiter(name: str, rate_limit: RateLimit | RateLimiter) -> RateLimiter:
    validation.instance(name, rate_limit, RateLimit | RateLimiter)
    return RateLimiter(rate_limit) if isinstance(rate_limit, RateLimit) else rate_limit

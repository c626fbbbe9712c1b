"""The public client: the methods that a program awaits.

It checks arguments and connects the parts. How a request is made, when it is sent, and what its
answer means is decided in the layers below.
"""

import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, Self

import aiohttp

from suno_cover_async import client_arguments
from suno_cover_async.common import addresses, validation
from suno_cover_async.covers.cover_polling import id_of
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.service import CoverService
from suno_cover_async.events import Event
from suno_cover_async.hosts import SUNOAPI, Host
from suno_cover_async.http.account import account_of
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.images.saved_images import SavedImages
from suno_cover_async.models import CoverDetails, CoverTask, MusicDetails
from suno_cover_async.network.proxies import proxies
from suno_cover_async.policies import PollPolicy, RateLimit, RetryPolicy
from suno_cover_async.resilience.circuit_breaker import Breakers
from suno_cover_async.resilience.limiter import Limiter

if TYPE_CHECKING:  # a client without a receiver does not load aiohttp.web
    from suno_cover_async.callbacks.receiver import CallbackReceiver


class SunoCoverClient:
    """Makes covers of finished songs: submits, polls, waits and downloads.

    Use it as an async context manager, or call `aclose` when done. Make one client per account and
    keep it: it holds the rate limiter and the connections. Any number of tasks may use it at once,
    and several event loops in turn.

    Args:
        api_key: The key; None reads the environment variable `SUNO_API_KEY`. Sent to the API
            only, never to the image host.
        host: `SUNOAPI`, `KIE`, `APIBOX`, their names ("sunoapi", "kie", "apibox"), or a `Host` of
            your own.
        base_url: Overrides the host's base URL; https, or http on loopback, without `/api/v1`.
            None reads the environment variable `SUNO_BASE_URL`; the host's own if that is not set
            or empty.
        callback_url: An endpoint of another program, which the API also calls; None sends a
            placeholder. This client polls in either case.
        receiver: Your own endpoint, a `CallbackReceiver`: its callbacks wake the waiters of this
            client, and polls become rare. A callback proves nothing; one poll confirms each.
            Cannot be combined with `callback_url`.
        concurrency: How many covers `generate` keeps in flight at once. With covers that take
            four minutes, 500 are enough to use up a limit of 20 requests in 10 s.
        rate_limit: The account's limit. Pass a `RateLimiter` instead to share one limiter among
            several clients of one account, or a `SharedRateLimiter` to share it among several
            processes of one machine.
        poll_rate_limit: A separate limit for polls; None makes them share `rate_limit`. Whether
            polls count against the account's limit is not documented.
        poll: When to poll.
        retry: How often a request is repeated, and for how long.
        session: A borrowed session, used for the API and never closed; images are never fetched
            through it. It has two weaknesses: the limiter does not count a GET that aiohttp itself
            repeats after a dropped connection, and aiohttp takes data that a host sends unasked on
            an idle connection for the answer to the next request.
        proxy: The URL of an http or https proxy for the API and the images, possibly with a user
            name and a password; None uses none. The proxy resolves names, so of image URLs only
            those with a private address in place of a name can be refused. Requests to loopback
            never go through a proxy.
        trust_env: Whether `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name the proxy where `proxy`
            is None. Credentials of a netrc file are never used.
        fake_ip_networks: Networks as text, such as `("198.18.0.0/15",)`, from which a proxy's
            resolver answers (fake-ip). Names of image hosts may lead there; URLs with an address in
            place of a name never may.
        on_event: A plain function that is called with each `Event`, in the event loop and while
            the work waits for it, so it must not block. An error of it is logged and changes
            nothing else; only KeyboardInterrupt and SystemExit pass. None makes no events.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument has an invalid value, or there is no key.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        host: Host | str = SUNOAPI,
        base_url: str | None = None,
        callback_url: str | None = None,
        receiver: "CallbackReceiver | None" = None,
        concurrency: int = 500,
        rate_limit: RateLimit | Limiter = RateLimit(calls=20, seconds=10),  # noqa: B008 - a frozen value
        poll_rate_limit: RateLimit | Limiter | None = None,
        poll: PollPolicy = PollPolicy(),  # noqa: B008 - a frozen value
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - a frozen value
        session: aiohttp.ClientSession | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        fake_ip_networks: Sequence[str] = (),
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        """Check the arguments; open nothing before the first call."""
        key = ApiKey(os.environ.get("SUNO_API_KEY") if api_key is None else api_key)
        del api_key  # so that the locals shown in a traceback do not hold it
        key.check()
        client_arguments.check_receiver(receiver)
        url_of = client_arguments.callback_url_of(callback_url, receiver)
        self._covers = CoverService(
            account=account_of(
                key,
                host=host,
                base_url=base_url,
                rate_limit=rate_limit,
                poll_rate_limit=poll_rate_limit,
                retry=retry,
                on_event=on_event,
            ),
            notifier=receiver.notifier if receiver else Notifier(),
            callback_url=url_of,
            poll=validation.instance("poll", poll, PollPolicy),
            concurrency=validation.count("concurrency", concurrency),
            session=client_arguments.checked_session(session),
            proxies=proxies(proxy, trust_env=trust_env),
            fake_ip=addresses.fake_ip_networks("fake_ip_networks", fake_ip_networks),
        )

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        await self._covers.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.aclose()

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled: the client holds an API key."""
        raise TypeError("a SunoCoverClient holds an API key and is not pickled; make a new one")

    async def aclose(self) -> None:
        """Close the client and its connections; closing it twice is allowed.

        A submit whose request was sent is finished first, which takes one attempt at most; see
        `unclaimed`. All other waiters get a `ClientUsageError`. A task of the client does this:
        cancelling the caller of `aclose` does not stop it.
        """
        await self._covers.aclose()

    @property
    def unclaimed(self) -> tuple[CoverTask, ...]:
        """Cover tasks that were accepted, and whose covers no caller has received yet.

        `generate` is waiting for them, or its caller was cancelled, or it ended in a retryable
        error. `submit` and `generate` of the same music task return them without another submit;
        `wait` accepts them too.
        """
        return tuple(self._covers.state.unclaimed.values())

    @property
    def possibly_billed(self) -> tuple[str, ...]:
        """Ids of music tasks that may have been billed, while their cover task is not known.

        Their submit ended without an answer of the API, or with the cover task of other music.
        Submit them again to find out; that never pays twice. An id is removed once its cover task
        is known, or once the API answers with a `CoverExistsError`.
        """
        return tuple(self._covers.state.possibly_billed)

    def is_possibly_billed(self, music_task_id: str) -> bool:
        """Return whether a submit of this music task, by any caller, may have been billed.

        True if a submit is under way, was answered within the last minute, or left the music task
        `possibly_billed`. After a cancellation this shows whether other callers continue the
        submit that the cancelled caller had joined.
        """
        self._check_id("music_task_id", music_task_id)
        return self._covers.state.is_possibly_billed(music_task_id)

    async def settled(self, music_task_id: str) -> None:
        """Wait until a submit of this music task whose callers were all cancelled has ended.

        A cancelled `submit` returns at once, while its request is still finished, within one
        attempt. Afterwards `unclaimed` and `possibly_billed` hold the result. Return at once if
        there is no such submit, or if another caller has joined it.
        """
        self._check_id("music_task_id", music_task_id)
        await self._covers.settled(music_task_id)

    def mark_possibly_billed(self, music_task_id: str, *, failed: CoverTask | None = None) -> None:
        """Record that another process may have submitted this music task.

        The music task is then `possibly_billed`: its next submit waits for 1 s first, and may be
        completed from a callback.

        Args:
            music_task_id: The music task.
            failed: An earlier cover task of it that failed; a callback that named it is ignored.
        """
        self._check_id("music_task_id", music_task_id)
        self._covers.mark_possibly_billed(music_task_id, failed=failed)

    @property
    def account(self) -> str:
        """A fingerprint of the key and the host's name, which identifies the account.

        It is the same at another base URL of the host, such as a proxy's. The key cannot be
        computed from it.
        """
        return self._covers.account.fingerprint

    @property
    def base_url(self) -> str:
        """The base URL that this client calls, without a trailing slash."""
        return self._covers.account.base_url

    def trust_base_url(self) -> None:
        """Accept the base URL as correct before the API has answered there.

        A gateway's answer is then a retryable error and no longer a `WrongAddressError`. Call this
        if an earlier process had an answer of the API there; `cover_catalog` calls it if the
        ledger shows one.
        """
        self._covers.account.api.has_answered = True

    @property
    def breakers(self) -> Breakers:
        """The circuit breakers for the API, for submits and for images; see `Breakers`."""
        return self._covers.account.breakers

    @property
    def limiter(self) -> Limiter:
        """The limiter of the account's requests: whether any waits for it, or it is paused."""
        return self._covers.account.limiter

    @property
    def concurrency(self) -> int:
        """The number of covers that may be in flight at once."""
        return self._covers.concurrency

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncGenerator[None, None]:
        """Wait for one of the `concurrency` slots, and hold it inside the block.

        `generate` and `cover_catalog` use it; use it around your own `submit` and `wait`.
        """
        async with self._covers.slot():
            yield

    async def generate(self, music_task_id: str, *, timeout: float | None = None) -> CoverDetails:
        """Submit a cover and wait for it; at most `concurrency` run at once, further ones queue.

        Args:
            music_task_id: The finished song.
            timeout: The most seconds to wait for the cover, counted from the end of the submit;
                None uses the poll policy's, 900. With a receiver, it is also the most seconds to
                wait for the callback of a submit whose answer was lost. A submit that another call
                began keeps that call's timeout.

        Returns:
            Details of a success, with its images.

        Raises:
            CoverFailedError: The cover task failed.
            CoverTimeoutError: The cover task is not finished in time. Generate again, or wait for
                its `cover_task_id`; neither pays twice.
            SunoCoverError: As `submit` and `wait` raise.
            ValueError: An argument has an invalid value.
        """
        self._check_id("music_task_id", music_task_id)
        return await self._covers.generate(music_task_id, self._timeout(timeout))

    async def submit(self, music_task_id: str) -> CoverTask:
        """Request the cover of a finished song. This call costs money.

        The API makes one cover per music task [documented], so submitting again never pays twice:
        it returns the first submit's cover task, `adopted`. So an attempt whose answer was lost is
        repeated, by this call or by the next one, but not sooner than 1 s later. Concurrent
        submits of one music task share one request.

        With a receiver, a submit that may have been billed and ended without a cover task waits
        for its callback, and returns the cover task that it names once the details confirm it:

        - If the API says that a cover exists but does not name it, the wait is as long as for any
          cover, 900 s by default.
        - Otherwise it ends when the callback is overdue: after 60 s, or the age learned from
          earlier covers.
        - If the callback came before this call, even in an earlier run, no request is sent.

        A cancelled caller returns at once:

        - If its request was sent by then, a task of the client finishes it, and the result is
          `unclaimed`. The next call for this music task waits for that answer and makes no second
          request.
        - If it was not sent, it never is.

        Raises:
            CoverExistsError: A cover exists and the API did not name its task.
            InsufficientCreditsError: The account has too few credits.
            InvalidRequestError: The request is invalid, such as a music task unknown to the host.
            SunoCoverError: Any other error; if it is `retryable`, submit again.
            ValueError: `music_task_id` is not a valid id, or is the API key.
        """
        self._check_id("music_task_id", music_task_id)
        return await self._covers.submit(music_task_id, callback_timeout=self._covers.poll.timeout)

    async def wait(self, task: CoverTask | str, *, timeout: float | None = None) -> CoverDetails:
        """Wait for a cover task to succeed.

        All callers that wait for one cover task share its polls. A poll that fails with a
        retryable error, as during an outage, is repeated until the timeout.

        Args:
            task: From `submit`, or a cover task id, also one of an earlier day.
            timeout: Seconds; None uses the poll policy's, 900.

        Raises:
            CoverFailedError: The cover task failed.
            CoverTimeoutError: The cover task is not finished in time; wait again.
            NotFoundError: The host knows no such cover task (once it is 60 s old).
            ImagesMissingError: The cover task is a success, but four polls in a row named no
                images.
            CoverExistsError: An adopted task belongs to other music.
            SunoCoverError: Any other error that waiting cannot fix.
            ValueError: An argument has an invalid value.
        """
        self._check_task(task)
        return await self._covers.wait(task, self._timeout(timeout))

    def watch(
        self, task: CoverTask | str, *, timeout: float | None = None
    ) -> AsyncGenerator[CoverDetails, None]:
        """Yield the details at once and at every change of status, up to the last.

        The first one is PENDING, before any request, and has the ids of `task` only. The last one
        is a success or a failure; a failure is not raised. Arguments and errors are those of
        `wait`, except `CoverFailedError`.
        """
        self._check_task(task)
        return self._covers.watch(task, self._timeout(timeout))

    async def details(self, task: CoverTask | str) -> CoverDetails:
        """Poll a cover task once.

        The API may show a task only some seconds after its submit; until then it is PENDING.

        Raises:
            NotFoundError: The host knows no such cover task.
            SunoCoverError: Any other error.
            ValueError: `task` is not a valid id, or is the API key.
        """
        self._check_task(task)
        return await self._covers.details(task)

    async def credits(self) -> float:
        """Return the account's balance, in credits.

        Raises:
            SunoCoverError: The last attempt's error.
        """
        return await self._covers.credits()

    async def music_details(self, music_task_id: str) -> MusicDetails:
        """Poll a music task once.

        Raises:
            NotFoundError: The host knows no such music task.
            SunoCoverError: Any other error.
            ValueError: `music_task_id` is not a valid id, or is the API key.
        """
        self._check_id("music_task_id", music_task_id)
        return await self._covers.music_details(music_task_id)

    async def wait_for_music(
        self, music_task_id: str, *, timeout: float | None = None
    ) -> MusicDetails:
        """Wait until a music task is ready for a cover.

        Args:
            music_task_id: The music task of a song that is being made.
            timeout: Seconds; None uses the poll policy's, 900.

        Raises:
            MusicFailedError: The music task failed; that is final.
            CoverTimeoutError: The music is not ready in time; its `cover_task_id` is None.
            SunoCoverError: As `music_details` raises, except retryable errors.
            ValueError: An argument has an invalid value.
        """
        self._check_id("music_task_id", music_task_id)
        return await self._covers.wait_for_music(music_task_id, self._timeout(timeout))

    async def download(
        self, details: CoverDetails, into: str | os.PathLike[str], *, name: str | None = None
    ) -> SavedImages:
        """Save the images of a cover, concurrently; each file is written whole or not at all.

        Args:
            details: Of a success.
            into: The directory; created if it does not exist.
            name: The stem of the file names; None uses the music task id. Titles must be unique
                even if letter case is ignored, for instance with the id added: files of the same
                name are replaced. The stem is made safe for every file system, and `-1.png`,
                `-2.png` is added, with the extension of the image's format.

        Returns:
            The files, in the order of `details.images`: a tuple of paths.

        Raises:
            CoverExpiredError: The images are gone: they are missing, and the cover is near 14 days
                old, or its age is unknown and they were missing at each of several attempts.
            AddressRefusedError: An image's host leads to an address that is not public.
            DownloadError: An image could not be fetched, is not an image, or could not be saved. It
                is `retryable` and `is_missing` if a young cover's image is not there yet.
            ClientBlockedError: A gateway in front of the image host blocks this client.
            UnexpectedResponseError: The images are gone, and the API now says that the cover task
                belongs to other music.
            ValueError: The details have no images, or `into` is not a valid path.
        """
        stem = client_arguments.stem_of(details, into, name)
        return SavedImages(await self._covers.download(details, stem))

    def _check_id(self, name: str, value: str) -> None:
        """Check an id that a caller gave; nothing else does, before it is used."""
        self._covers.account.key.check_id(name, value)
        validation.task_id(name, value)

    def _check_task(self, task: CoverTask | str) -> None:
        if isinstance(task, CoverTask):
            self._covers.account.key.check_id("task.music_task_id", task.music_task_id)
        self._check_id("task", id_of(task))

    def _timeout(self, timeout: float | None) -> float:
        return validation.positive(
            "timeout", self._covers.poll.timeout if timeout is None else timeout
        )


def covers_of(client: SunoCoverClient) -> CoverService:
    """Return the `CoverService` of a client, for `cover_catalog`."""
    return client._covers  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - its own module

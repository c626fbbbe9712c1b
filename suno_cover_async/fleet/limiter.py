"""A rate limiter whose permits are shared by several processes of one account.

It owns when permits are taken, renewed and returned. `permits.py` says where they are kept;
`resilience/limiter.py` keeps the callers of this process, in order.
"""

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from suno_cover_async.common import validation
from suno_cover_async.errors import ClientUsageError
from suno_cover_async.fleet.permits import permits_at
from suno_cover_async.log_fields import fields
from suno_cover_async.policies import RateLimit
from suno_cover_async.postgres.url import DatabaseUrl, is_postgres_url
from suno_cover_async.resilience.limiter import Limiter, Permit
from suno_cover_async.resilience.rate_limiter import WINDOW

_log = logging.getLogger("suno_cover_async")

_TRY_AGAIN_SECONDS = 1.0
_LONGEST_FAILURE = 60.0  # seconds
_USABLE_SECONDS = 1.0  # less, and a busy machine would waste the permits of short windows


class SharedRateLimiter(Limiter):
    """Lets at most `calls` requests into any window of `seconds`, for all processes together.

    Give each process of an account one of these with the same path, or, on several machines, with
    the same URL of a PostgreSQL database, in which `suno-cover ledger init URL` made the tables::

        client = SunoCoverClient(rate_limit=SharedRateLimiter("limit.db", calls=20, seconds=10))

    Processes may start and end at any time, and one that is killed holds the permits of its
    requests for little more than two windows. Whoever has requests to make gets the permits, so one
    busy process uses the whole limit while others are idle. A pause after a refusal binds all
    processes. Several accounts may share a file or a database; it holds a fingerprint of each,
    never a key.

    With a path, all processes must be on one machine, and the file on a local disk. With a URL,
    each process has one connection, not through a pooler such as PgBouncer, and the server's clock
    alone counts. In one process, a `RateLimiter` does the same without either.

    A file is opened at once. A database is reached at the first request, in a thread, so that this
    may be made as a module is imported, and before a fork. While it cannot be reached, requests
    wait; after `patience` they raise `ClientUsageError`, at once if tables or rights are missing.

    Args:
        where: The path of the file, which is made if it does not exist, or the URL of a PostgreSQL
            database (extra `postgres`), such as `postgresql://user@host/database`.
        calls: How many requests any window may have; the same in all processes. With a URL, a
            process with another limit waits until the permits of the others are free.
        seconds: The length of the window; the same in all processes.
        patience: For how many seconds requests wait while the file or the database cannot be used;
            an attempt that begins within them may take ten more.
        clock: Returns seconds, the same ones in all processes; for tests in virtual time.

    Raises:
        ClientUsageError: The file cannot be made or written.
        ModuleNotFoundError: It is a URL, and psycopg is not installed.
        TypeError: An argument is of the wrong type.
        ValueError: An argument has an invalid value.
    """

    # Why the server never counts more than the limit. A permit is sent with soon after it was
    # taken (within `_usable` seconds), or not at all. A request that the server receives is
    # received within a window after it was sent; `RateLimiter` assumes the same. A permit is taken
    # for a lease of `_usable` seconds and two windows, so when the lease of a killed process ends,
    # its request was received a window ago. While a request is under way, its lease begins anew
    # every window. Once it is answered, its permit is free a window later, as in `RateLimiter`.

    def __init__(
        self,
        where: str | os.PathLike[str],
        *,
        calls: int = 20,
        seconds: float = 10.0,
        patience: float = _LONGEST_FAILURE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a file once, to find out whether it can be used; do not connect to a database."""
        super().__init__(RateLimit(calls=calls, seconds=seconds))
        self._window = seconds * WINDOW
        self._usable = max(_USABLE_SECONDS, self._window / 10)
        lease = self._usable + 2 * self._window
        self._permits = permits_at(where, self.rate_limit, lease, clock)
        self._shown = DatabaseUrl.parse(str(where)).shown if is_postgres_url(where) else where
        self._patience = validation.positive("patience", patience)
        self._clock = clock
        self._account = ""
        self._is_taking = False
        self._none_free = False
        self._failing_since: float | None = None
        self._trouble: str | None = None
        self._when_over = ""
        self._timer: asyncio.TimerHandle | None = None
        self._held: set[int] = set()  # the tokens of permits that are taken and not returned
        self._renewal: asyncio.TimerHandle | None = None
        self._steps = deque[Callable[[], None]]()  # to be taken in a thread
        self._is_writing = False
        self._lock = threading.RLock()  # a coroutine that is collected meanwhile takes it again

    def __repr__(self) -> str:
        """Show the path, or the URL without its password, and the limit."""
        calls, seconds = self.rate_limit.calls, self.rate_limit.seconds
        return f"SharedRateLimiter({str(self._shown)!r}, calls={calls}, seconds={seconds:g})"

    @property
    def trouble(self) -> str | None:
        """What hinders it for the moment, such as a database that does not answer; else None."""
        return self._trouble

    @property
    def busy(self) -> bool:
        """Whether any caller waits for a permit, because none is free."""
        return self._none_free and self._waiting > 0

    def bind(self, account: str) -> None:
        """Learn the account whose limit it keeps, as a fingerprint; the client calls this.

        Raises:
            ValueError: It keeps the limit of another account already.
        """
        if self._account not in {"", account}:
            raise ValueError("a SharedRateLimiter keeps the limit of one account; make another one")
        self._account = account

    def pause(self, until: float) -> None:
        """Let no process have a permit before `until`, by the loop's clock; an hour at most."""
        super().pause(until)
        loop = self._here()
        self._later(partial(self._permits.pause, self._account, until - loop.time()))

    def acquire_nowait(self) -> Permit | None:
        """Return None: it takes a moment to take a permit that others may want too."""
        self._here()
        return None

    def release(self, permit: Permit, *, answered: bool) -> None:
        """Return a permit after its request; it is free one window from now, two if unanswered."""
        self._give_back(permit, self._window * (1 if answered else 2))

    def return_unused(self, permit: Permit) -> None:
        """Return a permit that was not used; it is free at once."""
        if permit.token in self._held and not self._hand_over(permit):
            self._give_back(permit, 0.0)

    def _hand_over(self, permit: Permit) -> bool:
        """Give a permit to the next caller of this process, if one waits and it is fresh."""
        is_good = self._is_fresh(permit) and permit.acquired_at >= self.paused_until
        place = self._next_caller() if is_good else None
        if place is not None:
            place.set_result(permit)
        return place is not None

    def _give_back(self, permit: Permit, seconds: float) -> None:
        self._held.discard(permit.token)
        free_at = self._clock() + seconds
        self._later(partial(self._return, self._account, permit.token, free_at))

    def _return(self, account: str, token: int, free_at: float) -> None:
        """Return a permit, in a thread, which may begin late: the time until then counts."""
        self._permits.give_back(account, token, max(0.0, free_at - self._clock()))

    def _is_usable(self, permit: Permit) -> bool:
        """Return whether a permit is fresh; the loop may have stood still since it was taken."""
        is_usable = self._is_fresh(permit)
        if not is_usable:
            self._give_back(permit, 0.0)
        return is_usable

    def _is_fresh(self, permit: Permit) -> bool:
        loop = self._loop
        return loop is not None and loop.time() - permit.acquired_at <= self._usable

    def _serve(self) -> None:
        """Take a permit for the next caller, unless one is being taken, or after a pause."""
        if not self._waiting or self._is_taking or self._timer is not None or self._loop is None:
            return
        began = self._loop.time()
        if began < self.paused_until:
            self._none_free = True
            self._try_again(self.paused_until - began)
        else:
            self._is_taking = True
            work = self._loop.run_in_executor(None, self._take, self._account)
            work.add_done_callback(partial(self._taken, self._generation, began))

    def _take(self, account: str) -> tuple[int, float, float]:
        """Take a permit, in a thread; return the moment too, by our clock."""
        # An executor with much other work begins late: the age of a permit does not include that.
        moment = self._clock()
        return *self._permits.take(account, self._window), moment

    def _taken(
        self, generation: int, began: float, work: "asyncio.Future[tuple[int, float, float]]"
    ) -> None:
        """Give the permit that was taken to the next caller, or try again later."""
        if work.cancelled() or generation != self._generation:
            return  # the loop ends, or another one is served: the lease of a permit will end
        self._is_taking = False
        error = work.exception()
        if error is not None:
            self._failed(error)
            return
        if self._trouble is not None:
            outage = (str(self._shown), self._when_over)
            _log.warning(self._when_over, extra=fields("limit_outage_over", outage=outage))
        self._forget_trouble()
        token, seconds, moment = work.result()
        if not token:
            self._none_free = True
            self._try_again(seconds)
            return
        if self._loop is not None:
            began = max(began, self._loop.time() - (self._clock() - moment))
        self._held.add(token)
        self.return_unused(Permit(began, generation, token))  # to the next caller, if one waits
        self._renew_later()
        self._none_free = self._none_free and self._waiting > 0
        self._serve()

    def _failed(self, error: BaseException) -> None:
        """Try again after an error that may pass, with patience; then tell all callers."""
        if not self._waiting:
            return
        now = 0.0 if self._loop is None else self._loop.time()
        problem = self._permits.problem(error)
        if self._permits.may_pass(error):
            if self._failing_since is None:
                self._failing_since = now
                self._trouble = self._permits.in_short(error)
                told, self._when_over = self._permits.told(error)
                facts = fields("limit_outage", outage=(str(self._shown), self._trouble))
                _log.warning("%s; trying again for %.0f s", told, _LONGEST_FAILURE, extra=facts)
                _log.info("%s", problem, extra=fields("limit_outage"))
            if now - self._failing_since < self._patience:
                self._try_again(_TRY_AGAIN_SECONDS)
                return
            problem += f"; it was tried for {now - self._failing_since:.0f} s"
        self._forget_trouble()
        while (place := self._next_caller()) is not None:
            place.set_exception(ClientUsageError(problem))

    def _try_again(self, seconds: float) -> None:
        if self._waiting and self._loop is not None:
            self._timer = self._loop.call_later(seconds, self._serve_again)

    def _serve_again(self) -> None:
        self._timer = None
        self._serve()

    def _renew_later(self) -> None:
        """Renew the leases of the permits that are held, every window while there are any."""
        if self._renewal is None and self._loop is not None and self._held:
            renew = partial(self._renew, self._generation)
            self._renewal = self._loop.call_later(self._window, renew)

    def _renew(self, generation: int) -> None:
        if generation == self._generation:
            self._renewal = None
            if self._held:
                self._later(partial(self._permits.renew, self._account, tuple(self._held)))
                self._renew_later()

    def _later(self, step: Callable[[], None]) -> None:
        """Take a step in a thread, after the earlier ones, and do not wait for it."""
        # One thread takes all steps: else, while another process holds the file, they would occupy
        # the executor's threads, which the names of hosts and the disk need. Where a step cannot
        # be taken or fails, the leases of permits end by themselves. So it is with coroutines of a
        # closed loop, which return their permits as they are collected.
        if self._loop is None or self._loop.is_closed():
            return
        with self._lock:
            self._steps.append(step)
            if self._is_writing:
                return
            self._is_writing = True
        try:
            self._loop.run_in_executor(None, self._write)
        except RuntimeError:  # the loop is shutting its threads down
            self._steps.clear()
            self._is_writing = False

    def _write(self) -> None:
        """Take the steps there are, in a thread; after one that fails, leave the others out."""
        while True:
            with self._lock:
                if not self._steps:
                    self._is_writing = False
                    return
                step = self._steps.popleft()
            try:
                step()
            except self._permits.failures as error:
                self._steps.clear()
                _log.debug(
                    "a step on the shared limit failed: %s",
                    self._permits.problem(error),
                    extra=fields("limit_step_failed", error),
                )

    def _clear(self) -> None:
        super()._clear()
        self._none_free = False
        self._forget_trouble()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget_trouble(self) -> None:
        """Forget an outage that is over, or that nobody waits for: the next one is another."""
        self._failing_since = self._trouble = None

    def _here(self) -> asyncio.AbstractEventLoop:
        """Return the running event loop, which is served from now on."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move(loop)
        return loop

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve another event loop; the leases of permits in flight in the last one end."""
        super()._move(loop)
        self._is_taking = False
        self._forget_trouble()
        self._held = set()
        self._renewal = None

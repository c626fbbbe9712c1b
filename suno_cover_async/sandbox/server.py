"""Serve the simulated API on a real socket of this machine.

It owns the server, its clock and its random numbers, and applies to each request what the scenario
or a script says. `routes.py` owns what the API answers.
"""

import asyncio
import random
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Self

import attrs
from aiohttp import web

from suno_cover_async.sandbox import images, routes, socket_faults
from suno_cover_async.sandbox.callback_sender import CallbackSender
from suno_cover_async.sandbox.journal import Arrival, Journal
from suno_cover_async.sandbox.scenario import Fault, Kind, Reply, Scenario
from suno_cover_async.sandbox.world import World

_HOST = "127.0.0.1"
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?")
_SHUTDOWN_SECONDS = 0.01
_KEEP_ALIVE = 75  # seconds, as common gateways do
_EMPTY = Reply()
_SILENT = frozenset({Fault.LOST_REQUEST, Fault.LOST_ANSWER, Fault.RESET})
_UNREADABLE = _SILENT | {Fault.TRUNCATED}
_TRUTHFUL = frozenset({Fault.NONE, Fault.SLOW})
_OK = 200


class Sandbox:
    """A simulated Cover API on loopback, with a journal of what truly happened.

    ::

        async with Sandbox(Scenario(seconds=0.05, lost_answers=0.1)) as sandbox:
            client = SunoCoverClient(sandbox.api_key, base_url=sandbox.url)
            music_task_ids = sandbox.add_music(3)

    After it was left, it can be entered again, with the same world at the same address; for a
    client that is an outage.

    Attributes:
        api_key: The only key that is accepted.
        journal: What the server received, billed and sent.
    """

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        api_key: str = "sandbox-key",
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a world; it listens only after it is entered.

        Args:
            scenario: How it behaves; None: a healthy host that draws quickly.
            api_key: A made-up key.
            port: The port on 127.0.0.1; 0: any free port.
            clock: Returns the seconds for its world and journal; pass `loop.time` of an event loop
                in virtual time to put the API in virtual time too.
        """
        scenario = scenario or Scenario()
        self.api_key = api_key
        self._clock = clock
        self._world = World(scenario, now=clock(), wall=datetime.now(UTC))
        self.journal: Journal = Journal(bills=self._world.bills)
        self._dice = random.Random(f"{scenario.seed} faults")
        self._network = random.Random(f"{scenario.seed} network")
        self._scripts: dict[Kind, deque[Fault | Reply]] = {}
        self._port = port
        self._open = AsyncExitStack()
        self._callback_sender: CallbackSender | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._handlers: set[asyncio.Task[Any] | None] = set()

    def __repr__(self) -> str:
        """Show the URL, never the key."""
        return f"Sandbox({self.url!r})" if self._port else "Sandbox()"

    async def __aenter__(self) -> Self:
        """Begin to listen; raises OSError if the port is taken."""
        server = web.Server(self._handle, access_log=None, keepalive_timeout=_KEEP_ALIVE)
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(server, _HOST, self._port, start_serving=False)
        try:
            await listener.start_serving()
        except asyncio.CancelledError:
            listener.close()
            raise
        self._port = listener.sockets[0].getsockname()[1]
        self._callback_sender = CallbackSender(self.journal.callbacks, self._clock)
        self._open = AsyncExitStack()
        self._open.push_async_callback(self._callback_sender.aclose)
        self._open.push_async_callback(self._stop, listener, server)
        self._send_due()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection, and cancel callbacks that are under way."""
        if self._timer is not None:
            self._timer.cancel()
        self._callback_sender = self._timer = None
        await self._open.aclose()

    @property
    def url(self) -> str:
        """Its URL, without a trailing slash; raises RuntimeError before it was entered."""
        if not self._port:
            raise RuntimeError("the sandbox has no address before `async with` entered it")
        return f"http://{_HOST}:{self._port}"

    @property
    def scenario(self) -> Scenario:
        """How it behaves; may be replaced at any time. Covers already begun keep their duration."""
        return self._world.scenario

    @scenario.setter
    def scenario(self, scenario: Scenario) -> None:
        self._world.scenario = scenario

    def add_music(
        self,
        music: int | Iterable[str] = 1,
        *,
        status: str = "SUCCESS",
        fails: bool | None = None,
    ) -> list[str]:
        """Add music tasks, finished ones by default.

        Args:
            music: How many, or their ids, or one id.
            status: Their status, as the API names it.
            fails: Whether their covers fail; None: the scenario's share of them fails.

        Returns:
            Their ids, in order.

        Raises:
            ValueError: One of them exists already.
        """
        return self._world.add_music(music, status=status, fails=fails)

    def set_music(self, music_task_id: str, status: str) -> None:
        """Change a music task's status; raises LookupError for an unknown one."""
        self._world.set_music(music_task_id, status)

    @staticmethod
    def title_of(music_task_id: str) -> str:
        """Return the title in the images of a music task."""
        return images.title_of(music_task_id)

    def expire_images(self) -> None:
        """Expire all images that exist, as after 14 days."""
        self._world.expire_images(self._clock())

    def script(self, kind: Kind, *steps: Fault | Reply) -> None:
        """Set what happens to the next requests of a kind that the limit admits, in order.

        The scenario's shares do not apply to them; `Fault.NONE` lets one pass.
        """
        self._scripts.setdefault(kind, deque()).extend(steps)

    async def _stop(self, listener: asyncio.Server, server: web.Server) -> None:
        """Close the listener first, then every connection."""
        # Handlers run on after their clients have left, and may sleep for long (`Fault.SLOW`). They
        # are cancelled, so that a sandbox that was left executes nothing more and leaves no task.
        try:
            await socket_faults.hang_up(listener)
        finally:
            for task in filter(None, self._handlers):
                task.cancel()
            await socket_faults.settle()
            await server.shutdown(_SHUTDOWN_SECONDS)
            await socket_faults.settle()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve a request to its end, even when its client leaves, as a host does."""
        task = asyncio.current_task()
        self._handlers.add(task)
        try:
            return await self._serve(request)
        finally:
            self._handlers.discard(task)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        # The arrival is recorded before the body is read, and replaced once the outcome is known:
        # a request must be in the journal and count against the limit even if its client leaves,
        # or the server stops, before it is answered.
        await self._travel()
        arrival, place = self._arrive(request), len(self.journal.arrivals)
        self.journal.arrivals.append(arrival)
        try:
            asked = await self._read(request, arrival)
        except ConnectionError:  # the client left in the middle of its request
            return web.Response()
        step = self._step(arrival)
        reply = self._answer(step, asked)
        done = self._outcome(arrival, asked, step, reply)
        self.journal.arrivals[place] = done
        if self._callback_sender is not None:
            await self._callback_sender.tried(done.cover_task_id)
        await self._travel(self.scenario.slow_seconds if step is Fault.SLOW else 0)
        return _send(request, step, reply)

    async def _read(self, request: web.BaseRequest, arrival: Arrival) -> routes.ApiRequest:
        task_id, callback_url = routes.read(arrival.kind, request.query, await request.read())
        return routes.ApiRequest(
            kind=arrival.kind,
            path=arrival.path,
            at=self._clock(),
            base_url=self._url_for(request),
            task_id=task_id,
            callback_url=callback_url,
            authorized=routes.holds_key(request.headers.get("Authorization"), self.api_key),
        )

    def _url_for(self, request: web.BaseRequest) -> str:
        """Return the URL at which the client reaches us, which may be a proxy on this machine."""
        host = request.headers.get("Host", "")
        return f"http://{host}" if _LOOPBACK.fullmatch(host) else self.url

    def _arrive(self, request: web.BaseRequest) -> Arrival:
        """Record the time before anything else, and whether the limit admits the request."""
        now = self._clock()
        kind = routes.kind_of(request.method, request.path)
        user_agent = request.headers.get("User-Agent")
        counts = kind in self.scenario.counted and not routes.is_blocked(user_agent)
        return Arrival(
            at=now,
            method=request.method,
            path=request.path,
            kind=kind,
            user_agent=user_agent,
            key_sent="Authorization" in request.headers,
            admitted=self._world.admit(now) if counts else True,
        )

    def _step(self, arrival: Arrival) -> Fault | Reply:
        """Decide what happens to a request: first gateway, then limit, script, random faults."""
        if routes.is_blocked(arrival.user_agent):
            return routes.BLOCKED
        if not arrival.admitted:
            return routes.too_often(self.scenario)
        if script := self._scripts.get(arrival.kind):
            return script.popleft()
        return self.scenario.fault(arrival.kind, self._dice)

    def _answer(self, step: Fault | Reply, asked: routes.ApiRequest) -> Reply:
        reply = _EMPTY
        if step.executes:
            reply = routes.execute(asked, self._world)
            self._send_due()
        if isinstance(step, Reply):
            return step
        return routes.apply_fault(step, asked.kind, reply, self.scenario, self._dice)

    def _outcome(
        self, arrival: Arrival, asked: routes.ApiRequest, step: Fault | Reply, reply: Reply
    ) -> Arrival:
        fault = step if isinstance(step, Fault) else Fault.NONE
        ordered = self._world.cover_of(asked.task_id or "") if asked.kind == "submit" else None
        return attrs.evolve(
            arrival,
            music_task_id=asked.music_task_id,
            cover_task_id=asked.cover_task_id or ordered,
            executed=step.executes,
            fault=fault,
            status=None if fault in _SILENT else reply.status,
            code=None if fault in _UNREADABLE else reply.code,
            finished_at=self._finished(asked, fault, step, reply),
        )

    def _finished(
        self, asked: routes.ApiRequest, fault: Fault, step: Fault | Reply, reply: Reply
    ) -> float | None:
        """Return when a cover task finished, if this is a poll and its answer says so."""
        untrue = reply is step or fault not in _TRUTHFUL or reply.code != _OK
        return None if untrue else self._world.finished_at(asked.cover_task_id or "")

    async def _travel(self, seconds: float = 0) -> None:
        if self.scenario.delay is not None:
            seconds += self._network.uniform(*self.scenario.delay)
        if seconds:
            await asyncio.sleep(seconds)

    def _send_due(self) -> None:
        """Send the callbacks that are due, and set a timer for the next one."""
        if self._callback_sender is None:
            return
        for callback in self._world.due(self._clock()):
            self._callback_sender.send(callback, self.scenario, self.url)
        if self._timer is not None:
            self._timer.cancel()
        due = self._world.next_due()
        wait = None if due is None else max(due - self._clock(), 0)
        self._timer = (
            None if wait is None else asyncio.get_running_loop().call_later(wait, self._send_due)
        )


def _send(request: web.BaseRequest, step: Fault | Reply, reply: Reply) -> web.StreamResponse:
    """Answer, or break the connection; then the returned response is not sent."""
    transport = request.transport
    if transport is None or not isinstance(step, Fault):
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
    match step:
        case Fault.LOST_REQUEST | Fault.LOST_ANSWER:
            transport.close()
        case Fault.RESET:
            socket_faults.reset(transport)
        case Fault.TRUNCATED:
            socket_faults.truncate(transport, reply)
        case _:
            pass
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

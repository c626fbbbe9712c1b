"""Chosen moments at which a process that shares a ledger is killed, frozen or cut off.

In each, a process covers a small catalog and is made to stand still by what is outside of it: a
barrier in the tables, an answer of the API that does not come, or a proxy. Then others finish.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Generator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from suno_cover_async import RateLimit
from suno_cover_async.sandbox import Reply
from suno_cover_async.sandbox.scenario import Kind
from tests.proof.shared_faults import SHORT
from tests.proof.shared_fleet import Figures, Fleet, Plan, Worker, fleet
from tests.support import catalogs
from tests.support.barriers import Place
from tests.support.cut_proxy import CutProxy, cut_proxy
from tests.support.postgres import Server, own_server

Moment = Callable[[Fleet], Coroutine[Any, Any, None]]

SMALL = Plan(songs=8)
NEVER = 3_600.0  # seconds
LONGEST = 120.0  # seconds for a moment, after which it hangs
_COMMIT = b"COMMIT\0"
_KEEP = "SELECT number FROM suno_cover.tracks ORDER BY number DESC LIMIT 1 FOR UPDATE"
_HELD_PERMITS = "SELECT count(*)::integer FROM suno_cover.permits WHERE token IS NOT NULL"
_PERMITS = (
    "SELECT array_agg(xmin::text || coalesce(token, 0) ORDER BY number) FROM suno_cover.permits"
)


async def hit(
    moment: str, folder: Path, shared: Server | None = None
) -> tuple[Figures, list[catalogs.Finding]]:
    """Hit a moment, have another process finish the catalog, and judge.

    Those that crash nothing may have a shared server.
    """
    plan = SMALL
    if moment in {"killed holding all permits", "frozen holding all permits"}:
        plan = attrs.evolve(plan, limit=RateLimit(calls=4, seconds=1))
    if moment == "long crash of several":
        # Others must be heard within this time after the outage, on a busy machine too.
        plan = attrs.evolve(plan, dead_after=8, songs=46)
    elif moment.startswith("short crash"):
        plan = attrs.evolve(plan, dead_after=2 * SHORT)
    elif moment.startswith("long crash"):
        plan = attrs.evolve(plan, dead_after=2)
    async with asyncio.timeout(LONGEST), fleet(plan, folder, shared=shared) as processes:
        await MOMENTS[moment](processes)
        await processes.finish(workers=1)
        await asyncio.to_thread(processes.judge)
        return processes.figures, processes.findings


async def hit_all(folder: Path) -> list[catalogs.Finding]:
    """Hit each moment, and name it in what was found."""
    found = list[catalogs.Finding]()
    with own_server() as shared:
        for number, moment in enumerate(MOMENTS):
            own = folder / f"moment-{number}"
            own.mkdir()
            _, findings = await hit(moment, own, None if "crash" in moment else shared)
            found += [attrs.evolve(one, kind=f"{moment}: {one.kind}") for one in findings]
    return found


def _killed_at(place: Place) -> Moment:
    """Return the moment that the first process to come to a barrier is killed there."""

    async def killed(fleet: Fleet) -> None:
        with fleet.barriers.closed(place):
            victim = await fleet.start()
            await fleet.until(lambda: fleet.barriers.waiting(place))
            fleet.kill(victim)
            await fleet.has_ended(victim)

    return killed


@contextlib.contextmanager
def _unanswered(fleet: Fleet, kind: Kind) -> Generator[None]:
    """Have the API execute requests of a kind, and not answer them."""
    usual = fleet.sandbox.scenario
    fleet.sandbox.scenario = attrs.evolve(
        usual, slow=1, slow_seconds=NEVER, faults_on=frozenset({kind})
    )
    try:
        yield
    finally:
        fleet.sandbox.scenario = usual


async def killed_on_the_wire(fleet: Fleet) -> None:
    """Kill a process whose submits were executed, and not answered."""
    with _unanswered(fleet, "submit"):
        victim = await fleet.start()
        await fleet.until(lambda: fleet.sandbox.journal.bills)
        fleet.kill(victim)
        await fleet.has_ended(victim)


async def killed_and_late(fleet: Fleet) -> None:
    """Kill a process whose submit reaches the API long after others took its tracks."""
    with cut_proxy(urlsplit(fleet.sandbox.url).port or 0) as proxy:
        proxy.hold_request(b"POST")
        victim = await fleet.start(url=f"http://127.0.0.1:{proxy.port}")
        await fleet.until(lambda: proxy.holds)
        fleet.kill(victim)
        await fleet.has_ended(victim)
        await fleet.finish(workers=1)
        seen = len(fleet.sandbox.journal.of("submit"))
        proxy.accept()
        await fleet.until(lambda: len(fleet.sandbox.journal.of("submit")) > seen)


async def killed_waiting(fleet: Fleet) -> None:
    """Kill a process that waits for covers: it polls, and every id is on record."""
    with _unanswered(fleet, "details"):
        victim = await fleet.start()
        await fleet.until(lambda: fleet.count("submitted") == fleet.plan.songs)
        await fleet.until(lambda: fleet.sandbox.journal.of("details"))
        fleet.kill(victim)
        await fleet.has_ended(victim)


async def killed_in_a_download(fleet: Fleet) -> None:
    """Kill a process that has received a part of an image."""
    part = Reply(body=b"\x89PNG", headers={"Content-Type": "image/png", "Content-Length": "9000"})
    fleet.sandbox.script("image", part)
    victim = await fleet.start()
    await fleet.until(lambda: fleet.sandbox.journal.of("image"))
    fleet.kill(victim)
    await fleet.has_ended(victim)


async def killed_holding_permits(fleet: Fleet) -> None:
    """Kill a process whose submits on the wire have all permits."""
    with _unanswered(fleet, "submit"):
        victim = await fleet.start()
        await _has_all_permits(fleet)
        fleet.kill(victim)
        await fleet.has_ended(victim)


async def killed_giving_up(fleet: Fleet) -> None:
    """Kill a process that is about to give up another one, which was killed before."""
    await killed_on_the_wire(fleet)
    await _killed_at("giving up")(fleet)


async def frozen_holding_permits(fleet: Fleet) -> None:
    """Freeze a process that has all permits until others finished, then let it go on."""
    with cut_proxy(urlsplit(fleet.sandbox.url).port or 0) as proxy:
        with _unanswered(fleet, "submit"):
            victim = await fleet.start(url=f"http://127.0.0.1:{proxy.port}")
            await _has_all_permits(fleet)
            victim.send(signal.SIGSTOP)
        proxy.hold()  # what it sent and the API has not read yet
        submits = await _others_finish(fleet, victim)
        victim.send(signal.SIGCONT)
        proxy.accept()
        proxy.cut()  # the answers that it waits for are lost
        await fleet.has_ended(victim)
    _sent_nothing_more(fleet, submits)


async def frozen_before_the_send(fleet: Fleet) -> None:
    """Freeze a process between the commit of *submitting* and the send, until others finished."""
    with cut_proxy(fleet.server.port) as proxy:
        victim = await _has_committed_unheard(fleet, proxy)
        victim.send(signal.SIGSTOP)
        submits = await _others_finish(fleet, victim)
        before = fleet.execute(_PERMITS)
        # It hears of its commit and gets a permit, but nothing yet of having been given up.
        victim.send(signal.SIGCONT)
        proxy.answer()
        await fleet.until(lambda: fleet.execute(_PERMITS) != before)
        await fleet.until(lambda: fleet.execute(_HELD_PERMITS) == [(0,)])
        proxy.accept()
        await fleet.has_ended(victim)
    _sent_nothing_more(fleet, submits)


def cut_in_a_commit(what: str, *, done: bool) -> Moment:
    """Return the moment that a connection is lost in a COMMIT, which was done or not."""

    async def cut(fleet: Fleet) -> None:
        with cut_proxy(fleet.server.port) as proxy:
            if done:
                victim = await _has_committed_unheard(fleet, proxy)
                await _lose_connections(fleet, what)
                proxy.cut()
                proxy.accept()
            else:
                with fleet.barriers.closed("commit"):
                    victim = await fleet.start()
                    await fleet.until(lambda: fleet.barriers.waiting("commit"))
                    await _lose_connections(fleet, what)
            await fleet.has_ended(victim)
        if not victim.has_said("ended"):
            fleet.found("lost", [str(victim.said[-1:])], "it did not go on")

    return cut


async def long_crash_of_several(fleet: Fleet) -> None:
    """Crash the server for an hour, by the ledger; one process is back before the others."""
    usual = fleet.sandbox.scenario
    fleet.sandbox.scenario = attrs.evolve(usual, null_polls=1_000_000)
    with (
        cut_proxy(fleet.server.port) as early,
        cut_proxy(fleet.server.port) as late,
        contextlib.closing(fleet.server.connect(fleet.database)) as keeper,
    ):
        others = [await fleet.start(port=late.port) for _ in range(2)]
        full = 2 * fleet.plan.concurrency
        await fleet.until(lambda: len(fleet.held_by(*others)) == full)
        # Nobody claims one track until the crash. Before the first one back claims it, that one
        # gives up whoever has been silent for too long.
        keeper.execute("BEGIN")
        ((kept,),) = keeper.execute(_KEEP).fetchall()
        first = await fleet.start(port=early.port)
        await fleet.until(lambda: len(fleet.held_by(first)) == fleet.plan.songs - full - 1)
        early.refuse()
        late.refuse()
        await asyncio.to_thread(fleet.server.crash)
        await asyncio.to_thread(fleet.server.start)
        fleet.figures.crashes += 1
        fleet.execute("UPDATE suno_cover.runs SET heard_at = heard_at - interval '1 hour'")
        early.accept()
        await fleet.until(lambda: kept in fleet.held_by(first) or not fleet.held_by(*others))
        late.accept()
        fleet.sandbox.scenario = usual
        for worker in (first, *others):
            worker.must_not_be_given_up = True
            await fleet.has_ended(worker)


async def _lose_connections(fleet: Fleet, what: str) -> None:
    if what == "drop":
        fleet.execute(
            "SELECT pg_terminate_backend(pid, 50000) FROM pg_stat_activity "
            "WHERE application_name LIKE 'suno-cover%%' AND datname = %s",
            fleet.database,
        )
        fleet.figures.drops += 1
        return
    await asyncio.to_thread(fleet.server.crash)
    if what != "crash":
        dead_after = fleet.plan.dead_after or 0
        await asyncio.sleep(SHORT if what == "short crash" else 1.5 * dead_after)
    await asyncio.to_thread(fleet.server.start)
    fleet.figures.crashes += 1


async def _has_committed_unheard(fleet: Fleet, proxy: CutProxy) -> Worker:
    """Start a process, and return it when it has recorded a submit, and has not heard so."""
    with fleet.barriers.closed("submitting"):
        victim = await fleet.start(port=proxy.port)
        await fleet.until(lambda: fleet.barriers.waiting("submitting"))
        proxy.hold_answer(_COMMIT)
    await fleet.until(lambda: proxy.holds and fleet.count("submitting"))
    return victim


async def _has_all_permits(fleet: Fleet) -> None:
    await fleet.until(lambda: fleet.execute(_HELD_PERMITS) == [(fleet.plan.limit.calls,)])
    many = fleet.plan.limit.calls
    await fleet.until(lambda: len(fleet.sandbox.journal.of("submit")) >= many)


async def _others_finish(fleet: Fleet, frozen: Worker) -> int:
    """Have others finish while a process is frozen; return how many submits there were."""
    frozen.must_be_given_up = True
    fleet.figures.freezes += 1
    await fleet.finish(workers=1)
    return len(fleet.sandbox.journal.of("submit"))


def _sent_nothing_more(fleet: Fleet, submits: int) -> None:
    more = len(fleet.sandbox.journal.of("submit")) - submits
    if more:
        fleet.found("sent", [str(more)], "submits after it was given up")


MOMENTS: Mapping[str, Moment] = {
    "killed in the take-in": _killed_at("take-in"),
    "killed after the claim": _killed_at("submitting"),
    "killed before the send": _killed_at("permit"),
    "killed on the wire": killed_on_the_wire,
    "killed, and the request arrives late": killed_and_late,
    "killed as the answer is recorded": _killed_at("submitted"),
    "killed waiting for covers": killed_waiting,
    "killed in a download": killed_in_a_download,
    "killed holding all permits": killed_holding_permits,
    "killed giving up another": killed_giving_up,
    "frozen holding all permits": frozen_holding_permits,
    "frozen before the send": frozen_before_the_send,
    "dropped in a commit": cut_in_a_commit("drop", done=False),
    "dropped after a commit": cut_in_a_commit("drop", done=True),
    "crash in a commit": cut_in_a_commit("crash", done=False),
    "crash after a commit": cut_in_a_commit("crash", done=True),
    "short crash in a commit": cut_in_a_commit("short crash", done=False),
    "short crash after a commit": cut_in_a_commit("short crash", done=True),
    "long crash in a commit": cut_in_a_commit("long crash", done=False),
    "long crash after a commit": cut_in_a_commit("long crash", done=True),
    "long crash of several": long_crash_of_several,
}

"""What breaks the processes that share a ledger, at any moment, while others are at work."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

import psycopg

from tests.proof.shared_fleet import Fleet, Worker
from tests.support.barriers import Place

Fault = Callable[[Fleet], Coroutine[Any, Any, None]]

SHORT = 5.0  # seconds


async def suffer(fleet: Fleet, faults: Sequence[str], *, every: int) -> None:
    """Let these faults happen, with up to so many requests between two of them."""
    arrivals = fleet.sandbox.journal.arrivals
    for fault in faults:
        wanted = len(arrivals) + fleet.dice.randint(every // 6, every)
        await fleet.until(partial(_has, fleet, arrivals, wanted))
        await FAULTS[fault](fleet)


def _has(fleet: Fleet, arrivals: Sequence[object], many: int) -> bool:
    return fleet.is_done or len(arrivals) >= many


def mixed(dice: Random, kills: int, freezes: int, drops: int, crashes: int) -> list[str]:
    """Mix so many faults of each kind."""
    faults = [dice.choice([name for name in FAULTS if "kill" in name]) for _ in range(kills)]
    faults += ["freeze"] * freezes
    faults += [("drop", "drop in commits")[number % 2] for number in range(drops)]
    crashing = [name for name in FAULTS if "crash" in name]
    faults += [crashing[number % len(crashing)] for number in range(crashes)]
    dice.shuffle(faults)
    return faults


async def any_worker(fleet: Fleet) -> Worker | None:
    """Return a process at work, once there is one; None if the catalog was finished before."""
    while not fleet.is_done:
        able = [one for one in fleet.workers if not one.spared and one.has_said("began")]
        if able:
            return fleet.dice.choice(able)
        await asyncio.sleep(0.01)
    return None


async def kill(fleet: Fleet) -> None:
    """Kill a process at any moment."""
    await asyncio.sleep(fleet.dice.uniform(0, 0.3))
    _kill_one(fleet, await any_worker(fleet))


async def kill_at_submit(fleet: Fleet) -> None:
    """Kill a process when a submit arrives."""
    arrivals = fleet.sandbox.journal.arrivals
    seen = len(arrivals)
    while not fleet.is_done:
        if any(arrival.kind == "submit" for arrival in arrivals[seen:]):
            break
        await asyncio.sleep(0)
    _kill_one(fleet, await any_worker(fleet))


async def kill_beginner(fleet: Fleet) -> None:
    """Kill a process that has opened the ledger just now."""
    known = set(fleet.workers)
    _kill_one(fleet, await any_worker(fleet))

    def beginners() -> list[Worker]:
        return [one for one in fleet.workers if one not in known and one.has_said("opened")]

    await fleet.until(lambda: fleet.is_done or beginners(), every=0.001)
    for worker in beginners():
        _kill_one(fleet, worker)


def _kill_one(fleet: Fleet, worker: Worker | None) -> None:
    if worker is not None:
        fleet.kill(worker)


def kill_at(place: Place) -> Fault:
    """Return the fault that a process is killed as it comes to a place."""

    async def kill_there(fleet: Fleet) -> None:
        if place == "giving up":  # somebody must have died for that
            await kill(fleet)
        with fleet.barriers.closed(place):
            worker = None
            while worker is None and not fleet.is_done:
                waiting = await asyncio.to_thread(fleet.barriers.waiting, place)
                worker = next((one for one in fleet.workers if one.pid in waiting), None)
                await asyncio.sleep(0.02)
            _kill_one(fleet, worker)

    return kill_there


async def freeze(fleet: Fleet) -> None:
    """Freeze a process that holds tracks until it was given up, then let it go on."""
    while True:
        worker = await any_worker(fleet)
        if worker is None:
            return
        worker.send(signal.SIGSTOP)
        if await asyncio.to_thread(fleet.held_by, worker):
            break
        worker.send(signal.SIGCONT)
        await asyncio.sleep(0.05)
    worker.spared = True
    giving_up = asyncio.create_task(fleet.holds_nothing(worker))
    try:
        await fleet.until(lambda: giving_up.done() or fleet.is_done)
        if giving_up.done():
            worker.must_be_given_up = True
            fleet.figures.freezes += 1
    finally:
        giving_up.cancel()
        worker.send(signal.SIGCONT)


async def drop(fleet: Fleet) -> None:
    """Drop all connections."""
    await asyncio.to_thread(fleet.server.drop_connections, fleet.database)
    fleet.figures.drops += 1


async def crash(fleet: Fleet, *, seconds: float = 0.0) -> None:
    """Crash the server for so long."""
    fleet.is_up.clear()
    await asyncio.to_thread(fleet.server.crash)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(fleet.server.start)
    fleet.is_up.set()
    fleet.figures.crashes += 1


async def short_crash(fleet: Fleet) -> None:
    """Crash the server for 5 s."""
    await crash(fleet, seconds=SHORT)


async def long_crash(fleet: Fleet) -> None:
    """Crash the server for longer than a process may be silent."""
    await crash(fleet, seconds=1.5 * (fleet.plan.dead_after or 40))


def in_commits(fault: Fault) -> Fault:
    """Return the fault that something happens while a process waits in a COMMIT."""

    async def happen_there(fleet: Fleet) -> None:
        with contextlib.suppress(psycopg.OperationalError), fleet.barriers.closed("commit"):
            await fleet.until(lambda: fleet.is_done or fleet.barriers.waiting("commit"))
            await fault(fleet)

    return happen_there


FAULTS: Mapping[str, Fault] = {
    "kill": kill,
    "kill at submit": kill_at_submit,
    "kill beginner": kill_beginner,
    "kill at the claim": kill_at("submitting"),
    "kill in a commit": kill_at("commit"),
    "kill at the answer": kill_at("submitted"),
    "kill giving up": kill_at("giving up"),
    "freeze": freeze,
    "drop": drop,
    "drop in commits": in_commits(drop),
    "crash": crash,
    "short crash": short_crash,
    "long crash": long_crash,
    "crash in commits": in_commits(crash),
}

"""The work that `cancelling.py` interrupts, and the conditions in which it runs."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import attrs

from suno_cover_async import (
    CallbackReceiver,
    CoverDetails,
    CoverTask,
    Ledger,
    RateLimit,
    SunoCoverClient,
    SunoCoverError,
    Track,
    cover_catalog,
)
from suno_cover_async.sandbox import DuplicateId, Fault, Sandbox, Scenario

CONCURRENCY = 2
ATTEMPT = 30.0  # seconds that one may take, by default


@attrs.define(eq=False, kw_only=True)
class Stage:
    """A client, its sandbox and its songs; a second event loop may use them afterwards."""

    client: SunoCoverClient
    sandbox: Sandbox
    ledger: Ledger
    folder: Path
    songs: list[str]
    tasks: list[CoverTask] = attrs.field(factory=list[CoverTask])
    covers: list[CoverDetails] = attrs.field(factory=list[CoverDetails])
    others: list["asyncio.Task[Any]"] = attrs.field(factory=list["asyncio.Task[Any]"])


Act = Callable[[Stage], Awaitable[object]]


async def _submitted(stage: Stage) -> None:
    stage.tasks = [await stage.client.submit(song) for song in stage.songs[:1]]


async def _covered(stage: Stage) -> None:
    stage.covers = [await stage.client.generate(stage.songs[0])]


async def _unfinished_music(stage: Stage) -> None:
    stage.sandbox.set_music(stage.songs[0], "PENDING")
    loop = asyncio.get_running_loop()
    loop.call_later(40, stage.sandbox.set_music, stage.songs[0], "SUCCESS")


async def _others_at_work(stage: Stage) -> None:
    work = [stage.client.generate(song) for song in stage.songs]
    stage.others = [asyncio.create_task(one) for one in work]
    await asyncio.sleep(0.001)


async def _slots_taken(stage: Stage) -> None:
    async def hold() -> None:
        async with stage.client.slot():
            await asyncio.sleep(5)

    stage.others = [asyncio.create_task(hold()) for _ in range(CONCURRENCY)]
    await asyncio.sleep(0)


async def _nothing(_: Stage) -> None:
    pass


async def _submit(stage: Stage) -> None:
    await stage.client.submit(stage.songs[0])


async def _generate(stage: Stage) -> None:
    await stage.client.generate(stage.songs[0])


async def _generate_together(stage: Stage) -> None:
    async def one(song: str) -> None:
        stage.covers.append(await stage.client.generate(song))

    first, second = stage.songs
    work = [one(song) for song in (first, first, second)]
    await asyncio.gather(*work, return_exceptions=True)  # it would go on after an error


async def _wait(stage: Stage) -> None:
    await stage.client.wait(stage.tasks[0])


async def _watch(stage: Stage) -> None:
    async for _ in stage.client.watch(stage.tasks[0]):
        pass


async def _watch_and_leave(stage: Stage) -> None:
    async with aclosing(stage.client.watch(stage.tasks[0])) as news:
        async for _ in news:
            break
    async for _ in stage.client.watch(stage.tasks[0]):
        break  # and the garbage collector closes it
    await asyncio.sleep(0)


async def _details(stage: Stage) -> None:
    await stage.client.details(stage.tasks[0])


async def _wait_for_music(stage: Stage) -> None:
    await stage.client.wait_for_music(stage.songs[0])


async def _download(stage: Stage) -> None:
    await stage.client.download(stage.covers[0], stage.folder / "covers")


async def catalog(stage: Stage, *, most: int = 100) -> None:
    into = stage.folder / "covers"
    songs = [Track(song) for song in stage.songs]
    async with cover_catalog(stage.client, songs, ledger=stage.ledger, into=into) as outcomes:
        seen = 0
        async for _ in outcomes:
            seen += 1
            if seen == most:
                break


async def _catalog_and_leave(stage: Stage) -> None:
    await catalog(stage, most=1)


async def _in_blocks(stage: Stage) -> None:
    """Do what a whole program does: open a ledger and a client, and cover a catalog."""
    async with stage.ledger, stage.client:
        await catalog(stage)


async def _in_a_block(stage: Stage) -> None:
    async with stage.client:
        await _generate_together(stage)


async def _close(stage: Stage) -> None:
    await stage.client.aclose()


async def _listen(_: Stage) -> None:
    receiver = CallbackReceiver(public_url="http://127.0.0.1/suno", secret="s" * 32)
    async with receiver.listen("127.0.0.1", 0) as port:
        with socket.create_connection(("127.0.0.1", port)):
            await asyncio.sleep(0)


async def _sandbox(_: Stage) -> None:
    async with Sandbox():
        pass


async def _slot(stage: Stage) -> None:
    async with stage.client.slot():
        await asyncio.sleep(1)


@attrs.frozen(kw_only=True)
class Verb:
    """What is done, by whom; and how long it may go on after a cancellation, if answers are slow.

    Attributes:
        act: What is done.
        before: What is done before it.
        within: The seconds: only those who leave a block wait for an answer, if they can.
        songs: How many there are.
        closes: The client is closed by it.
        opens_ledger: The ledger is opened and closed by it.
    """

    act: Act
    before: Act = _nothing
    within: float = 0.0
    songs: int = 1
    closes: bool = False
    opens_ledger: bool = False


VERBS = {
    "submit": Verb(act=_submit),
    "generate": Verb(act=_generate),
    "generate together": Verb(act=_generate_together, songs=2),
    "wait": Verb(act=_wait, before=_submitted),
    "watch": Verb(act=_watch, before=_submitted),
    "watch and leave": Verb(act=_watch_and_leave, before=_submitted),
    "details": Verb(act=_details, before=_submitted),
    "wait for music": Verb(act=_wait_for_music, before=_unfinished_music),
    "download": Verb(act=_download, before=_covered),
    "catalog": Verb(act=catalog, within=ATTEMPT, songs=3),
    "catalog and leave": Verb(act=_catalog_and_leave, within=ATTEMPT, songs=3),
    "catalog in blocks": Verb(
        act=_in_blocks, within=ATTEMPT, songs=3, closes=True, opens_ledger=True
    ),
    "client's block": Verb(act=_in_a_block, within=ATTEMPT, songs=2, closes=True),
    "close": Verb(act=_close, before=_others_at_work, songs=2, closes=True),
    "listen": Verb(act=_listen),
    "sandbox": Verb(act=_sandbox),
    "slot": Verb(act=_slot, before=_slots_taken),
}


RATE = RateLimit(calls=4, seconds=10)
HEALTHY = Scenario(seconds=47, image_size=16, rate_limit=RATE)


async def _script(stage: Stage, *steps: Fault) -> None:
    for kind in ("submit", "details", "music", "image"):
        stage.sandbox.script(kind, *steps)


async def _lost_answers(stage: Stage) -> None:
    await _script(stage, Fault.LOST_ANSWER, Fault.NONE, Fault.RESET)


async def _refusals(stage: Stage) -> None:
    await _script(stage, Fault.TOO_OFTEN)


async def _outage(stage: Stage) -> None:
    """Open both breakers; the next probe fails once more."""
    client, sandbox = stage.client, stage.sandbox
    (song,) = sandbox.add_music(1)
    sandbox.script("submit", *[Fault.MAINTENANCE] * 6)
    sandbox.script("credits", *[Fault.SERVER_ERROR] * 5)
    sandbox.script("details", Fault.MAINTENANCE)
    sandbox.script("music", Fault.MAINTENANCE)
    for attempt in (client.submit(song), client.credits()):
        with suppress(SunoCoverError):
            await attempt
    assert client.breakers.api.is_open
    assert client.breakers.submit.is_open


async def _full_queue(stage: Stage) -> None:
    await asyncio.sleep(2.1 * RATE.seconds)
    for _ in range(2):
        await stage.client.credits()


@attrs.frozen(kw_only=True)
class Condition:
    """How the host behaves and how the client is set up, and for how many seconds at most."""

    scenario: Scenario = HEALTHY
    begins: Act = _nothing
    rate_limit: RateLimit = RATE
    receives: bool = False
    has_outages: bool = False
    may_fail: bool = False
    is_sure: bool = False
    lasts: float = 1_000.0


def _like(**facts: Any) -> Scenario:
    return attrs.evolve(HEALTHY, **facts)


CONDITIONS = {
    "healthy": Condition(is_sure=True),
    "answers lost": Condition(begins=_lost_answers),
    "answers slow": Condition(scenario=_like(slow=1.0, slow_seconds=25), is_sure=True),
    "answers too late": Condition(scenario=_like(slow=1.0, slow_seconds=45), may_fail=True),
    "refused": Condition(scenario=_like(retry_after="7"), begins=_refusals),
    "outage": Condition(begins=_outage, has_outages=True),
    "queue full": Condition(
        scenario=_like(rate_limit=RateLimit(calls=2, seconds=10)),
        rate_limit=RateLimit(calls=2, seconds=10),
        begins=_full_queue,
        is_sure=True,
    ),
    "called back": Condition(receives=True, is_sure=True),
    "called back alone": Condition(
        scenario=_like(duplicate_id=DuplicateId.ABSENT),
        begins=_lost_answers,
        receives=True,
    ),
}

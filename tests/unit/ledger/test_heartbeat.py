"""When a run tells a shared ledger that it is alive, in virtual time."""

import asyncio

import attrs
import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.heartbeat import Heartbeat
from tests.support.virtual_time import run


@attrs.define
class Told:
    """A ledger that is told, and two clocks."""

    at: list[float] = attrs.Factory(list)
    gives_up_at: float = float("inf")
    slept: float = 0.0
    set_by: float = 0.0

    async def beat(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self.gives_up_at:
            raise LedgerError("given up")
        self.at.append(now)

    def clocks(self) -> tuple[float, float]:
        now = asyncio.get_running_loop().time()
        return now, now + self.slept + self.set_by

    @property
    def heartbeat(self) -> Heartbeat:
        return Heartbeat(self.beat, 10.0, self.clocks)


def test_the_ledger_is_told_every_few_seconds_inside_the_block() -> None:
    async def scene() -> None:
        told = Told()
        async with told.heartbeat.going():
            await asyncio.sleep(35)
        await asyncio.sleep(100)

        assert told.at == [10, 20, 30]

    run(scene())


def test_a_run_that_was_given_up_is_told_so_at_its_next_beat() -> None:
    async def scene() -> None:
        told = Told(gives_up_at=25)
        heartbeat = told.heartbeat
        async with heartbeat.going():
            with pytest.raises(LedgerError, match="given up"):
                await heartbeat.lost()

            assert asyncio.get_running_loop().time() == 30

    run(scene())


def test_whoever_waits_for_the_loss_goes_on_when_the_block_ends() -> None:
    async def scene() -> None:
        heartbeat = Told().heartbeat
        async with heartbeat.going():
            waiting = asyncio.create_task(heartbeat.lost())
            await asyncio.sleep(25)
        await waiting

    run(scene())


def test_a_run_is_fresh_while_it_beats_and_for_two_beats_after_the_last() -> None:
    async def scene() -> None:
        told = Told(gives_up_at=35)
        heartbeat = told.heartbeat
        fresh: list[bool] = []
        async with heartbeat.going():
            for _ in range(7):
                fresh.append(heartbeat.is_fresh)
                await asyncio.sleep(9.9)

        assert fresh == [True] * 6 + [False]

    run(scene())


@pytest.mark.parametrize("name", ["slept", "set_by"])
def test_a_run_whose_machine_slept_or_whose_clock_was_set_is_not_fresh_until_it_beats(
    name: str,
) -> None:
    async def scene() -> None:
        told = Told()
        heartbeat = told.heartbeat
        async with heartbeat.going():
            setattr(told, name, 3600.0)
            before = heartbeat.is_fresh
            await asyncio.sleep(11)

            assert (before, heartbeat.is_fresh) == (False, True)

    run(scene())


def test_a_beat_counts_from_its_beginning() -> None:
    async def scene() -> None:
        told = Told()

        async def slowly() -> None:
            await asyncio.sleep(30)

        heartbeat = Heartbeat(slowly, 10.0, told.clocks)
        async with heartbeat.going():
            await asyncio.sleep(40.5)

            assert not heartbeat.is_fresh

    run(scene())

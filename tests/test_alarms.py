"""Many moments on one timer, in virtual time."""

import asyncio
import math
import random

import attrs
import pytest
from virtual_time import run

from suno_cover_async.alarms import Alarms


@attrs.define(eq=False)
class Sleeper:
    name: int
    woken: list[float] = attrs.field(factory=list[float])

    def wake(self) -> None:
        self.woken.append(asyncio.get_running_loop().time())


def test_each_is_woken_at_the_moment_that_was_set_last_and_once() -> None:
    dice = random.Random(1)
    sleepers = [Sleeper(number) for number in range(500)]
    last: dict[int, float] = {}

    async def scenario() -> None:
        alarms = Alarms(Sleeper.wake)
        for _ in range(5):
            for sleeper in sleepers:
                last[sleeper.name] = dice.choice([math.inf, *range(10, 60)])
                alarms.set(sleeper, last[sleeper.name])
            await asyncio.sleep(1)
        await asyncio.sleep(100)

    run(scenario())

    for sleeper in sleepers:
        moment = last[sleeper.name]
        assert sleeper.woken == ([] if moment == math.inf else [moment])


def test_what_is_past_is_woken_at_once() -> None:
    async def scenario() -> list[float]:
        alarms, sleeper = Alarms(Sleeper.wake), Sleeper(1)
        await asyncio.sleep(10)
        alarms.set(sleeper, 3.0)
        await asyncio.sleep(1)
        return sleeper.woken

    assert run(scenario()) == [10.0]


def test_nobody_is_woken_while_held_and_then_each_in_turn() -> None:
    async def scenario() -> tuple[list[int], list[int]]:
        woken: list[int] = []
        held = True
        alarms = Alarms[Sleeper](lambda one: woken.append(one.name), are_held=lambda: held)
        for number in range(100):
            alarms.set(Sleeper(number), 5.0 + number / 1000)
        await asyncio.sleep(50)
        while_held = list(woken)
        held = False
        alarms.go_on()
        await asyncio.sleep(1)
        return while_held, woken

    while_held, woken = run(scenario())

    assert while_held == []
    assert woken == list(range(100))


def test_whoever_is_woken_may_hold_those_who_come_next() -> None:
    async def scenario() -> list[int]:
        woken: list[int] = []
        alarms = Alarms[Sleeper](
            lambda one: woken.append(one.name), are_held=lambda: len(woken) >= 5
        )
        for number in range(100):
            alarms.set(Sleeper(number), 5.0)
        await asyncio.sleep(50)
        return woken

    assert run(scenario()) == [0, 1, 2, 3, 4]


def test_others_have_their_turn_while_many_are_woken() -> None:
    async def scenario() -> tuple[int, int]:
        woken, most, turns = 0, 0, 0
        loop = asyncio.get_running_loop()

        def wake(_: Sleeper) -> None:
            nonlocal woken
            woken += 1

        def turn(before: int = 0) -> None:
            nonlocal most, turns
            most, turns = max(most, woken - before), turns + 1
            if woken < 1_000:
                loop.call_soon(turn, woken)

        alarms = Alarms(wake)
        for number in range(1_000):
            alarms.set(Sleeper(number), 5.0)
        loop.call_at(5.0, turn)
        await asyncio.sleep(6)
        return most, turns

    most, turns = run(scenario())

    assert most <= 40
    assert turns >= 1_000 / 40


@pytest.mark.parametrize("moment", [1_000.0, math.inf])
def test_setting_anew_without_end_keeps_no_more_than_twice_as_much(moment: float) -> None:
    async def scenario() -> int:
        alarms = Alarms(Sleeper.wake)
        sleepers = [Sleeper(number) for number in range(100)]
        for turn in range(1_000):
            for sleeper in sleepers:
                alarms.set(sleeper, 500.0 + turn)
                alarms.set(sleeper, moment)
        return len(alarms._heap)

    assert run(scenario()) <= 2 * 100 + 64 + 1


def timers() -> int:
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return sum(not timer.cancelled() for timer in scheduled)


def test_there_is_one_timer_for_all_and_none_for_nobody() -> None:
    async def scenario() -> tuple[int, int, int]:
        alarms = Alarms(Sleeper.wake)
        for number in range(1_000):
            alarms.set(Sleeper(number), 1_000.0 - number / 2)
        few = timers()
        await asyncio.sleep(2_000)
        none = timers()
        sleeper = Sleeper(1)
        alarms.set(sleeper, 5_000.0)
        alarms.set(sleeper, math.inf)
        return few, none, timers()

    assert run(scenario()) == (1, 0, 0)

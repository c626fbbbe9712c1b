"""The credits that a run uses, measured in virtual time."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from suno_cover_async import Ledger, LedgerError, LedgerHolder, Progress, ServerError
from suno_cover_async.cli.actions.credits_used import CreditsUsed
from tests.support.virtual_time import run as in_virtual_time

Ask = Callable[[], Awaitable[float]]


async def watched(
    ask: Ask,
    meanwhile: Callable[[CreditsUsed, Progress], Awaitable[None]],
    path: Path | None = None,
) -> CreditsUsed:
    """Measure what is used meanwhile."""
    numbers = Progress()
    async with Ledger(path) as ledger, ledger.lease("account"):
        spent = CreditsUsed(ask, numbers, ledger)
        async with spent.watched():
            await meanwhile(spent, numbers)
        return spent


def balances(*values: float | Exception) -> Ask:
    """Answer each request with the next of these, and the last one again and again."""
    left = list(values)

    async def ask() -> float:
        value = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(value, Exception):
            raise value
        return value

    return ask


def test_the_balance_is_asked_for_at_first_once_a_minute_and_in_the_end(tmp_path: Path) -> None:
    asked: list[float] = []
    numbers = Progress()

    async def ask() -> float:
        asked.append(asyncio.get_running_loop().time())
        return 100.0 - numbers.billed

    async def work() -> tuple[float | None, float | None]:
        async with Ledger(path) as ledger, ledger.lease("account"):
            spent = CreditsUsed(ask, numbers, ledger)
            async with spent.watched():
                await asyncio.sleep(30)
                numbers.billed = 3
                await asyncio.sleep(200)
                meanwhile = spent.used
                numbers.billed = 4
            return meanwhile, spent.used

    path = tmp_path / "covers.db"

    assert in_virtual_time(work()) == (3.0, 4.0)
    (run,) = asyncio.run(Ledger(path).runs())
    assert (run.balance_before, run.balance_after, run.credits_used) == (100.0, 96.0, 4.0)
    assert asked == [0.0, 60.0, 230.0]


@pytest.mark.parametrize("fails", [0, 1])
def test_credits_are_unknown_where_a_balance_is(fails: int, tmp_path: Path) -> None:
    asked: list[int] = []

    async def ask() -> float:
        asked.append(len(asked))
        if asked[-1] == fails:
            raise ServerError("x")
        return 7.0

    async def work() -> float | None:
        async with Ledger(tmp_path / "covers.db") as ledger, ledger.lease("account"):
            spent = CreditsUsed(ask, Progress(), ledger)
            async with spent.watched():
                await asyncio.sleep(1)
            return spent.used

    assert in_virtual_time(work()) is None


def test_before_a_run_nothing_is_known_and_nothing_requested() -> None:
    asked: list[float] = []

    async def ask() -> float:
        asked.append(1.0)
        return 1.0

    assert CreditsUsed(ask, Progress(), Ledger(None)).used is None
    assert asked == []


def test_a_balance_that_comes_after_the_first_bill_is_no_beginning() -> None:
    async def slowly() -> float:
        await asyncio.sleep(5)
        return 100.0

    async def bill(_: CreditsUsed, numbers: Progress) -> None:
        await asyncio.sleep(1)
        numbers.billed = 1
        await asyncio.sleep(100)

    assert in_virtual_time(watched(slowly, bill)).used is None


def test_a_top_up_makes_the_credits_used_unknown() -> None:
    async def rest(_: CreditsUsed, __: Progress) -> None:
        await asyncio.sleep(1)

    assert in_virtual_time(watched(balances(100.0, 100.5), rest)).used is None
    assert in_virtual_time(watched(balances(100.0, 100.0), rest)).used == 0.0


def test_a_request_that_fails_meanwhile_leaves_the_figure_and_is_repeated() -> None:
    seen: list[float | None] = []

    async def bill(spent: CreditsUsed, numbers: Progress) -> None:
        numbers.billed = 1
        for _ in range(3):
            await asyncio.sleep(61)
            seen.append(spent.used)

    async def begin(spent: CreditsUsed, numbers: Progress) -> None:
        await asyncio.sleep(0.5)
        await bill(spent, numbers)

    ask = balances(100.0, ServerError("x"), 99.0, 98.0)
    spent = in_virtual_time(watched(ask, begin))

    assert seen == [None, 1.0, 1.0]
    assert spent.used == 2.0


def test_the_last_balance_is_awaited_for_ten_seconds_only(tmp_path: Path) -> None:
    count = 0

    async def ask() -> float:
        nonlocal count
        count += 1
        await asyncio.sleep(0 if count == 1 else 60)
        return 100.0

    async def rest(_: CreditsUsed, __: Progress) -> None:
        await asyncio.sleep(1)

    async def work() -> tuple[float | None, float]:
        spent = await watched(ask, rest, tmp_path / "covers.db")
        return spent.used, asyncio.get_running_loop().time()

    assert in_virtual_time(work()) == (None, 11.0)
    (run,) = asyncio.run(Ledger(tmp_path / "covers.db").runs())
    assert (run.balance_before, run.balance_after) == (100.0, None)


def test_a_cancelled_run_does_not_wait_for_a_balance() -> None:
    asked: list[float] = []

    async def ask() -> float:
        asked.append(asyncio.get_running_loop().time())
        return 100.0

    async def rest(_: CreditsUsed, __: Progress) -> None:
        await asyncio.sleep(1_000)

    async def work() -> float:
        task = asyncio.create_task(watched(ask, rest))
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert len(asyncio.all_tasks()) == 1
        return asyncio.get_running_loop().time()

    assert in_virtual_time(work()) == 5.0
    assert asked == [0.0]


def test_a_ledger_that_cannot_note_a_balance_ends_no_run(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"

    async def work() -> float | None:
        async with Ledger(path) as ledger, ledger.lease("account"):
            with sqlite3.connect(path) as database:
                database.execute("DROP TABLE runs")
            database.close()
            with pytest.raises(LedgerError):
                await ledger.note_balance(before=9.0)
            spent = CreditsUsed(balances(9.0, 8.0), Progress(), ledger)
            async with spent.watched():
                await asyncio.sleep(1)
            return spent.used

    assert in_virtual_time(work()) == 1.0


class Unreadable(Ledger):
    """A ledger of which nobody can learn who else is at work."""

    async def holders(self) -> tuple[LedgerHolder, ...]:
        raise LedgerError("no database answers")


@pytest.mark.parametrize(("shared", "used"), [(True, None), (False, 1.0)])
def test_where_it_is_not_known_who_else_is_at_work_credits_are_unknown(
    shared: bool, used: float | None
) -> None:
    async def work() -> float | None:
        async with Unreadable(None) as ledger, ledger.lease("account"):
            spent = CreditsUsed(balances(9.0, 8.0), Progress(), ledger, shared=shared)
            async with spent.watched():
                await asyncio.sleep(1)
            return spent.used

    assert in_virtual_time(work()) == used

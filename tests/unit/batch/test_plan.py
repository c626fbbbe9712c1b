"""Plans: they count what a run would submit, alike, and change nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async import (
    CatalogPlan,
    CoverDetails,
    CoverFailedError,
    CoverStatus,
    CoverTask,
    Ledger,
    LedgerError,
    RateLimit,
    ServerError,
    Track,
    TrackState,
    plan_catalog,
    read_catalog,
)
from tests.support.ledger_files import contents

USUAL = RateLimit(calls=20, seconds=10)
EMPTY = CatalogPlan(
    total=0,
    new=0,
    again=0,
    possibly_billed=0,
    submitted=0,
    covered=0,
    done=0,
    failed=0,
    retry_failed=False,
    dropped=0,
    submits=0,
    max_covers=None,
    credits_used=0,
    credits_covers=0,
)
STATES = ("saved", "covered", "submitted", "submitting", "failed", "refused", "attention")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "covers.db"


async def a_used_ledger(path: Path) -> None:
    """Have a ledger with a track in each state, of a run that measured 3 credits a cover."""
    async with Ledger(path) as ledger, ledger.lease("account"):
        await ledger.take_in([Track(state) for state in (*STATES, "waiting")])
        entries = await ledger.next_open(TrackState.WAITING, 0, 9)
        found = {entry.music_task_id: entry for entry in entries}
        for state in STATES:
            await ledger.submitting(found[state])
        for state in ("saved", "covered", "submitted", "failed"):
            task = CoverTask(cover_task_id=f"c-{state}", music_task_id=state)
            await ledger.submitted(found[state], task)
        details = CoverDetails(cover_task_id="c", status=CoverStatus.SUCCESS, images=("x",))
        await ledger.covered(found["saved"], details)
        await ledger.covered(found["covered"], details)
        await ledger.saved(found["saved"], [Path("x.png")])
        await ledger.unsent(found["refused"])
        for state, kind, error in (
            ("failed", TrackState.FAILED, CoverFailedError(details)),
            ("refused", TrackState.FAILED, ServerError("x")),
            ("attention", TrackState.ATTENTION, ServerError("x")),
        ):
            await ledger.ended(found[state], kind, error)
        await ledger.note_balance(before=100, after=88)


async def test_a_plan_without_a_ledger_counts_each_music_task_once_and_makes_nothing(
    path: Path,
) -> None:
    plan = await plan_catalog(["a", "b", Track("a", title="Again")], ledger=path)

    assert plan == attrs.evolve(EMPTY, total=2, new=2)
    assert plan.to_submit == 2
    assert plan.cost is None
    assert list(path.parent.iterdir()) == []


async def test_a_plan_counts_what_is_new_resumed_done_and_failed(path: Path) -> None:
    await a_used_ledger(path)
    before = contents(path.parent)

    plan = await plan_catalog([*STATES, "waiting", "new"], ledger=path)

    assert plan == attrs.evolve(
        EMPTY,
        total=9,
        new=2,
        possibly_billed=1,
        submitted=1,
        covered=1,
        done=1,
        failed=3,
        dropped=1,
        submits=6,
        credits_used=12,
        credits_covers=4,
    )
    assert (plan.to_submit, plan.credits_per_cover, plan.cost) == (2, 3.0, 6.0)
    assert before.items() <= contents(path.parent).items()


async def test_failed_tracks_that_start_again_are_counted_by_what_becomes_of_them(
    path: Path,
) -> None:
    await a_used_ledger(path)

    plan = await plan_catalog([*STATES, "waiting"], ledger=path, retry_failed=True)

    assert (plan.new, plan.again, plan.possibly_billed) == (2, 1, 2)
    assert (plan.failed, plan.retry_failed, plan.to_submit) == (3, True, 3)
    assert plan.cost == 9.0  # that of the failed one too
    assert attrs.evolve(plan, max_covers=plan.submits + 1).cost == 3.0


@pytest.mark.parametrize(
    ("max_covers", "to_submit", "waiting"),
    [(None, 5, 0), (11, 5, 0), (8, 2, 3), (6, 0, 5), (0, 0, 5)],
)
async def test_a_limit_counts_what_the_ledger_has_submitted_before(
    max_covers: int | None, to_submit: int, waiting: int, path: Path
) -> None:
    await a_used_ledger(path)

    plan = await plan_catalog(["1", "2", "3", "4", "5"], ledger=path, max_covers=max_covers)

    assert (plan.to_submit, plan.waiting) == (to_submit, waiting)


async def test_a_catalog_that_the_ledger_has_is_not_read_again(path: Path) -> None:
    file = path.with_name("songs.txt")
    file.write_text("a\nb\n")
    catalog = read_catalog(file)
    async with Ledger(path) as ledger:
        await ledger.take_in(list(catalog))
        await ledger.took_in(catalog.fingerprint())

    plan = await plan_catalog(read_catalog(file), ledger=path)
    file.write_text("b\nc\nd\n")
    other = await plan_catalog(read_catalog(file), ledger=path)

    assert plan == attrs.evolve(EMPTY, total=2, new=2)
    assert other == attrs.evolve(EMPTY, total=3, new=3, dropped=2)


async def test_runs_with_unknown_balances_or_without_submits_measure_nothing(path: Path) -> None:
    async with Ledger(path) as ledger:
        for before, after in ((9.0, None), (None, 9.0), (5.0, 50.0), (50.0, 20.0)):
            async with ledger.lease("account"):
                await ledger.note_balance(before=before, after=after)
        unknown = await plan_catalog(["a"], ledger=path)
        await ledger.take_in([Track("paid")])
        [paid] = await ledger.next_open(TrackState.WAITING, 0, 1)
        async with ledger.lease("account"):
            await ledger.submitted(paid, CoverTask(cover_task_id="c", music_task_id="paid"))
            await ledger.note_balance(before=10.0, after=8.0)

    plan = await plan_catalog(["a"], ledger=path)

    assert (unknown.credits_per_cover, unknown.cost) == (None, None)
    assert (plan.credits_per_cover, plan.cost) == (2.0, 2.0)


def test_the_time_is_that_of_the_limit_at_some_two_requests_a_cover() -> None:
    new = attrs.evolve(EMPTY, new=10_000)
    limited = attrs.evolve(new, max_covers=10)
    resumed = attrs.evolve(EMPTY, submitted=100, possibly_billed=100, covered=100, done=100)

    assert new.seconds(USUAL) == pytest.approx(10_250)
    assert new.seconds(RateLimit(calls=40, seconds=10)) == pytest.approx(5_125)
    assert limited.seconds(USUAL) == pytest.approx(10.25)
    assert resumed.seconds(USUAL) == pytest.approx(155)


async def test_a_ledger_of_another_account_is_refused(path: Path) -> None:
    await a_used_ledger(path)

    assert (await plan_catalog(["a"], ledger=path, account="account")).new == 1
    assert (await plan_catalog(["a"], ledger=path)).new == 1
    with pytest.raises(LedgerError, match="belongs to another account"):
        await plan_catalog(["a"], ledger=path, account="another")


async def test_a_ledger_in_use_is_planned_with(path: Path) -> None:
    async with Ledger(path) as ledger, ledger.lease("account"):
        await ledger.take_in([Track("a")])

        plan = await plan_catalog(["a", "b"], ledger=path)

        assert (plan.new, plan.total) == (2, 2)
        assert await ledger.next_open(TrackState.WAITING, 1, 9) == []


async def test_what_cannot_be_planned_is_refused(path: Path) -> None:
    async def feed() -> AsyncIterator[str]:
        yield "a"

    wrong: Any = feed()
    with pytest.raises(TypeError):
        await plan_catalog(wrong, ledger=path)
    with pytest.raises(TypeError, match="read_catalog"):
        await plan_catalog("catalog.csv", ledger=path)
    with pytest.raises(ValueError, match="max_covers must be a whole number of at least 0"):
        await plan_catalog(["a"], ledger=path, max_covers=-1)
    with pytest.raises(ValueError, match="music_task_id"):
        await plan_catalog(["no id!"], ledger=path)
    with pytest.raises(LedgerError, match="there is no folder"):
        await plan_catalog(["a"], ledger=path / "covers.db")


async def test_a_plan_is_made_off_the_event_loop(path: Path) -> None:
    ticks: list[int] = []

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await plan_catalog([f"m{number}" for number in range(12_000)], ledger=path)
    ticking.cancel()

    assert len(ticks) > 10

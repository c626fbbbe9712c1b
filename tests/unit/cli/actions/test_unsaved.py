"""Covers that are not downloaded yet: how many, for how long, and when a warning is due."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from suno_cover_async import CoverDetails, CoverStatus, CoverTask, Ledger, LedgerEntry, Track
from suno_cover_async import TrackState as State
from suno_cover_async.cli.actions.unsaved import Unsaved, say_unsaved, unsaved_of, warn_of_expiry
from tests.support.reports import an_entry
from tests.support.terminal import log, said

NOW = datetime(2026, 1, 20, tzinfo=UTC)
DAY = timedelta(days=1)


def an_old(age: timedelta | None) -> LedgerEntry:
    return an_entry(completed_at=None if age is None else NOW - age, state=State.COVERED)


def words(unsaved: Unsaved) -> tuple[str, str]:
    """Return what is said of it, and the warning."""
    facts, warning = log(), log()
    say_unsaved(facts, unsaved)
    warn_of_expiry(warning, unsaved, "my covers.db")
    return said(facts), said(warning)


def test_the_least_hours_of_those_that_are_kept_are_counted() -> None:
    ages = [13.9 * DAY, 1 * DAY, None, 14 * DAY, 20 * DAY]

    found = Unsaved.of(9, map(an_old, ages), NOW)

    assert found == Unsaved(covers=9, hours_left=2, gone=2)
    assert found.fields() == ("unsaved", "9", "2", "2")


def test_hours_are_unknown_where_no_age_is_known() -> None:
    found = Unsaved.of(1, [an_old(None)], NOW)

    assert found == Unsaved(covers=1)
    assert found.fields() == ("unsaved", "1", "", "0")
    assert words(found) == ("1 cover is not downloaded yet\n", "")


@pytest.mark.parametrize(("hours", "warned"), [(48, False), (47, True), (0, True)])
def test_below_48_hours_there_is_a_warning_with_the_command_that_saves_them(
    hours: int, warned: bool
) -> None:
    facts, warning = words(Unsaved(covers=2, hours_left=hours))

    assert facts == (
        f"2 covers are not downloaded yet; {hours} hours left of the 14 days that images are kept\n"
    )
    assert bool(warning) is warned
    if warned:
        assert f"images are deleted in {hours} hours, for good: there is no second set" in warning
        assert "  suno-cover batch CATALOG --ledger 'my covers.db' --max-covers 0\n" in warning


def test_beyond_14_days_images_may_be_gone() -> None:
    facts, warning = words(Unsaved(covers=1, gone=1))

    assert facts == "1 cover is not downloaded yet\n"
    assert "1 cover is older than 14 days: the images may be gone" in warning
    assert "--max-covers 0" in warning
    assert "deleted in" not in warning


def test_where_all_is_saved_nothing_is_said() -> None:
    assert words(Unsaved(covers=0)) == ("", "")


async def test_the_oldest_of_a_ledger_are_read_also_those_put_off(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    async with Ledger(path) as ledger, ledger.lease("account"):
        await ledger.take_in([Track("new"), Track("old"), Track("waiting")])
        new, old, _ = await ledger.next_open(State.WAITING, 0, 9)
        for entry, age in ((new, DAY), (old, 13 * DAY)):
            task = CoverTask(cover_task_id="c", music_task_id=entry.music_task_id)
            await ledger.submitted(entry, task)
            made = datetime.now(UTC) - age
            details = CoverDetails(
                cover_task_id="c", status=CoverStatus.SUCCESS, images=("x",), completed_at=made
            )
            await ledger.covered(entry, details)
        await ledger.put_off(old)

        found = await unsaved_of(Ledger(path), 2)

    assert (found.covers, found.hours_left, found.gone) == (2, 23, 0)
    assert [one.music_task_id for one in await Ledger(path).unsaved(9)] == ["old", "new"]
    assert len(await Ledger(path).unsaved(1)) == 1

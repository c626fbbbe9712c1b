"""What a ledger holds that a person must know of."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from suno_cover_async import Ledger, Track, TrackState
from suno_cover_async.cli.doctor.finding import Finding, State
from suno_cover_async.cli.doctor.ledgers import check_ledger
from tests.support.ledger_steps import TASK, details

ACCOUNT = "0123456789abcdef"


async def found(path: Path, account: str | None = ACCOUNT) -> dict[str, Finding]:
    return {one.check: one for one in await check_ledger(path, account)}


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (timedelta(days=1), State.OK),
        (timedelta(days=13), State.WARNING),
        (timedelta(days=20), State.WARNING),
    ],
)
async def test_covers_that_are_deleted_soon_and_submits_without_an_answer_are_warned_of(
    age: timedelta, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
        await ledger.take_in([Track("m1"), Track("m2")])
        first, second = await ledger.claim([TrackState.WAITING], 9)
        await ledger.submitting(first)
        await ledger.submitting(second)
        await ledger.submitted(second, TASK)
        made = attrs.evolve(details(), completed_at=datetime.now(UTC) - age)
        await ledger.covered(second, made)

    told = await found(path)

    assert told["ledger images"].state is state
    assert "1 cover not downloaded yet" in told["ledger images"].message
    assert told["ledger tracks"].state is State.WARNING
    assert "1 possibly billed" in told["ledger tracks"].message
    assert "never pays twice" in (told["ledger tracks"].advice or "")
    assert told["ledger account"].state is State.OK
    assert (await found(path, None))["ledger account"].state is State.NOT_CHECKED

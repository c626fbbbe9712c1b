"""Catalogs that are killed, stormed at, cut off and stopped: quick forms of the scripts here."""

import signal
from pathlib import Path

import pytest

from suno_cover_async import Ledger, LedgerError, TrackState
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.proof import kill_loop, outages, storm
from tests.support import catalogs
from tests.support.runs import read_now
from tests.support.waiting import until

SLOW_ANSWERS = Scenario(rate_limit=None, delay=(0.01, 0.03), image_size=16)
SONGS = 30


def options(sandbox: Sandbox, folder: Path) -> dict[str, object]:
    """Make a catalog, and say what a child needs to cover it."""
    songs = "\n".join(["music_task_id", *sandbox.add_music(SONGS)])
    (folder / "catalog.csv").write_text(songs)
    place = {"catalog": "catalog.csv", "ledger": "covers.db", "into": "covers"}
    return {name: folder / path for name, path in place.items()} | {"scale": 100}


async def test_killed_again_and_again_a_run_loses_and_doubles_nothing(tmp_path: Path) -> None:
    progress, findings = await kill_loop.kill(12, lanes=2, seed=2026, folder=tmp_path)

    assert findings == []
    assert progress.kills == 12
    assert progress.kills_with_an_open_submit > 6
    assert progress.recovered > 0


async def test_a_storm_costs_patience_and_nothing_else(tmp_path: Path) -> None:
    figures, findings = await storm.endure(300, concurrency=100, folder=tmp_path)

    assert findings == []
    assert figures["share_with_a_fault"] > 0.25
    assert figures["recovered"] > 0


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        ("gone", 120.0),
        ("gone at first", 600.0),
        ("cut off", 120.0),
        ("maintenance", 120.0),
        ("pages", 120.0),
        ("images", 120.0),
    ],
)
async def test_an_outage_is_sat_out_with_few_requests_and_fails_no_track(
    tmp_path: Path, kind: str, seconds: float
) -> None:
    result = await outages.suffer(kind, seconds, tracks=100, scale=200, folder=tmp_path)

    assert result.is_good(200), result


async def test_a_second_process_is_told_who_holds_the_ledger_and_submits_nothing(
    tmp_path: Path,
) -> None:
    async with Sandbox(Scenario(rate_limit=None, seconds=3600)) as sandbox:  # the first one goes on
        given, journal = options(sandbox, tmp_path), sandbox.journal
        async with catalogs.child(sandbox, **given) as first:
            await until(lambda: len(journal.bills) == SONGS, every=0.001)
            async with catalogs.child(sandbox, **given) as second:
                await second.hear()
            with pytest.raises(LedgerError, match=f"in use by process {first.process.pid} on "):
                await Ledger(tmp_path / "covers.db").__aenter__()

        assert "imported" in second.told
        assert "opened" not in second.told
        assert second.process.returncode == 1
        assert len(journal.of("submit")) == SONGS


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
async def test_a_stopped_run_is_taken_up_by_the_next(tmp_path: Path, sign: signal.Signals) -> None:
    ledger = Ledger(tmp_path / "covers.db")
    async with Sandbox(SLOW_ANSWERS) as sandbox:
        given, bills = options(sandbox, tmp_path), sandbox.journal.bills
        async with catalogs.child(sandbox, **given) as stopped:
            await stopped.hear("opened")
            await until(lambda: bills, every=0.001)
            stopped.process.send_signal(sign)
            await stopped.hear()
        known = catalogs.audit(list(bills), ledger, ended=False)
        unknown = read_now(ledger, TrackState.SUBMITTING)
        async with catalogs.child(sandbox, **given) as next_one:
            await next_one.hear()

        assert stopped.process.returncode == -sign
        assert known == []
        assert sign is signal.SIGTERM or unknown == []  # a KeyboardInterrupt waits for answers
        assert next_one.told["failed"] == 0
        assert catalogs.audit(bills, ledger, ended=True) == []

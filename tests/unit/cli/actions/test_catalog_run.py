"""A run over a catalog, in virtual time: what it asks for, says, and ends with."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async import (
    Ledger,
    LedgerError,
    PollPolicy,
    RetryPolicy,
    SunoCoverClient,
    Track,
    TrackState,
)
from suno_cover_async.cli.actions.catalog_run import Batch
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.output.console import stderr
from suno_cover_async.cli.output.follow_up import Command, LedgerFollowUp
from suno_cover_async.cli.output.results import Results, When
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.clients import connect
from tests.support.commands import FULL, needs_full
from tests.support.runs import billed, states
from tests.support.streams import written_to

ONCE = RetryPolicy(max_attempts=1)


@attrs.frozen(kw_only=True)
class Place:
    """A sandbox in virtual time, and a folder."""

    sandbox: Sandbox
    folder: Path

    @property
    def ledger(self) -> Path:
        return self.folder / "covers.db"

    def client(self, **options: Any) -> SunoCoverClient:
        return connect(self.sandbox, **({"poll": PollPolicy()} | options))

    def batch(
        self, songs: Iterable[str], *, client: SunoCoverClient | None = None, **options: Any
    ) -> Batch:
        command = Command(catalog="songs.csv", ledger="covers.db", options=())
        defaults: dict[str, Any] = {
            "client": client or self.client(),
            "tracks": [Track(song) for song in songs],
            "ledger_path": self.ledger,
            "into": self.folder / "art",
            "results": Results(with_json=True, when=When.NOW),
            "follow_up": LedgerFollowUp(stderr(), command),
        }
        return Batch(**(defaults | options))


def play(scene: Callable[[Place], Awaitable[None]], folder: Path, **fields: Any) -> None:
    async def whole() -> None:
        clock = asyncio.get_running_loop().time
        fields.setdefault("seconds", 1)
        scenario = Scenario(rate_limit=None, image_size=16, **fields)
        async with Sandbox(scenario, clock=clock) as sandbox:
            await scene(Place(sandbox=sandbox, folder=folder))

    virtual_time.run(whole())


def told(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, str], dict[str, Any], str]:
    """Read what was written: the state of each track, the summary, and the words for people."""
    out, err = capsys.readouterr()
    *tracks, last = map(json.loads, out.splitlines())
    return {one["music_task_id"]: one["state"] for one in tracks}, last["summary"], err


def test_a_catalog_is_covered_and_every_number_is_of_this_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene(here: Place) -> None:
        batch = here.batch(here.sandbox.add_music(["a", "b"]), bad_lines=3)

        assert batch.billed == 0
        assert await batch.run() == ExitCode.DONE
        assert batch.billed == 2
        assert len(here.sandbox.journal.of("credits")) == 2

    play(scene, tmp_path)

    tracks, summary, err = told(capsys)
    assert tracks == {"a": "saved", "b": "saved"}
    assert (summary["done"], summary["billed"], summary["bad_lines"]) == (2, 2, 3)
    assert summary["credits_used"] is not None
    assert "saved 2 of 2 tracks in" in err
    assert len(list((tmp_path / "art").iterdir())) == 4


def test_a_second_run_has_nothing_to_do_and_requests_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene(here: Place) -> None:
        songs = here.sandbox.add_music(["a"])
        await here.batch(songs).run()
        before = len(here.sandbox.journal.arrivals)
        capsys.readouterr()

        assert await here.batch(songs).run() == ExitCode.DONE
        assert len(here.sandbox.journal.arrivals) == before

    play(scene, tmp_path)

    tracks, summary, err = told(capsys)
    assert (tracks, summary["done"], summary["billed"]) == ({}, 1, 0)
    assert err.startswith("nothing left to do: 1 of 1 track is saved\nnext, choose one image")


def test_a_track_that_failed_in_an_earlier_run_is_a_failure_still(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene(here: Place) -> None:
        songs = [*here.sandbox.add_music(["good"]), "nobody"]

        assert await here.batch(songs).run() == ExitCode.FAILED
        assert await here.batch(songs).run() == ExitCode.FAILED
        assert "1 track failed or needs attention" in capsys.readouterr().err
        here.sandbox.add_music(["nobody"])
        assert await here.batch(songs, retry_failed=True).run() == ExitCode.DONE
        assert billed(here.sandbox) == {"good": 1, "nobody": 1}

    play(scene, tmp_path)


def test_covers_that_take_too_long_have_a_code_unless_others_failed(tmp_path: Path) -> None:
    async def scene(here: Place) -> None:
        songs = here.sandbox.add_music(2)
        hurried = PollPolicy(timeout=60)
        late = here.batch(songs, client=here.client(poll=hurried))
        mixed = here.batch([*songs, "nobody"], client=here.client(poll=hurried))
        again = here.batch([*songs, "nobody"], client=here.client(poll=hurried))

        assert await late.run() == ExitCode.TIMED_OUT
        assert await mixed.run() == ExitCode.FAILED
        assert await again.run() == ExitCode.FAILED  # of the earlier run

    play(scene, tmp_path, seconds=1_000)


def test_an_argument_that_names_no_track_decides_the_code_alone(tmp_path: Path) -> None:
    refused = [ValueError("no id")]

    async def scene(here: Place) -> None:
        songs = here.sandbox.add_music(1)

        assert await here.batch([], refused=refused).run() == ExitCode.USAGE
        assert await here.batch([*songs, "nobody"], refused=refused).run() == ExitCode.FAILED

    play(scene, tmp_path)


def test_an_error_that_stops_the_run_has_its_code_and_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene(here: Place) -> None:
        here.sandbox.add_music(["a", "b"])
        client = here.client(api_key="another-key")

        assert await here.batch(["a", "b"], client=client).run() == ExitCode.KEY

    play(scene, tmp_path)

    _, summary, err = told(capsys)
    assert (summary["stopped_by"], summary["left"]) == ("AuthenticationError", 2)
    assert "Error: " in err
    assert "2 tracks are left" in err


def test_a_ledger_in_use_ends_a_run_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene(here: Place) -> None:
        songs = here.sandbox.add_music(1)
        async with Ledger(here.ledger):
            batch = here.batch(songs)
            with pytest.raises(LedgerError, match="in use"):
                await batch.run()

        assert not batch.finish()
        assert here.sandbox.journal.arrivals == []

    play(scene, tmp_path)

    assert tuple(capsys.readouterr()) == ("", "")


def test_without_a_ledger_file_no_balance_is_requested_and_an_outage_is_not_waited_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene(here: Place) -> None:
        here.sandbox.add_music(["a", "b"])
        client = here.client(retry=ONCE)
        here.sandbox.script("submit", *[Fault.MAINTENANCE] * 2)

        ended = await here.batch(["a", "b"], client=client, ledger_path=None).run()

        assert ended == ExitCode.FAILED
        assert here.sandbox.journal.of("credits") == []
        assert here.sandbox.journal.bills == []

    play(scene, tmp_path)

    tracks, summary, _ = told(capsys)
    assert tracks == {"a": "left", "b": "left"}
    assert summary["credits_used"] is None
    assert not (tmp_path / "covers.db").exists()


def test_with_a_ledger_file_an_outage_is_waited_out(tmp_path: Path) -> None:
    async def scene(here: Place) -> None:
        songs = here.sandbox.add_music(2)
        here.sandbox.script("submit", *[Fault.MAINTENANCE] * 9)

        assert await here.batch(songs).run() == ExitCode.DONE

    play(scene, tmp_path)


def test_a_run_that_finishes_submits_nothing_more_and_saves_what_is_paid_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene(here: Place) -> None:
        songs = here.sandbox.add_music(5)
        batch = here.batch(songs, client=here.client(concurrency=2))
        assert not batch.finish()
        task = asyncio.create_task(batch.run())
        await asyncio.sleep(20)
        assert batch.finish()

        assert await task == ExitCode.FAILED
        assert not batch.finish()
        assert states(Ledger(here.ledger)) == {TrackState.SAVED: 2, TrackState.WAITING: 3}
        assert len(here.sandbox.journal.bills) == 2

    play(scene, tmp_path, seconds=30)

    _, summary, err = told(capsys)
    assert (summary["done"], summary["left"], summary["stopped_by"]) == (2, 3, None)
    assert "finishing 2 covers that are paid for; Ctrl-C again stops now" in err
    assert "3 tracks are left; the same command continues" in err


def test_where_nothing_is_paid_for_what_is_under_way_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene(here: Place) -> None:
        batch = here.batch(here.sandbox.add_music(1))
        task = asyncio.create_task(batch.run())
        await asyncio.sleep(2)
        assert batch.finish()
        await task

    play(scene, tmp_path, delay=(5, 5))

    assert "finishing what is under way; " in capsys.readouterr().err


def test_a_cancelled_run_reports_what_is_unfinished_the_paid_ones_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene(here: Place) -> None:
        songs = here.sandbox.add_music(["a", "b", "c"])
        patient = RetryPolicy(initial_delay=500, max_delay=500, total_timeout=None)
        here.sandbox.script("submit", Fault.MAINTENANCE)
        client = here.client(retry=patient, concurrency=2)
        batch = here.batch(songs, client=client, ledger_path=None)
        task = asyncio.create_task(batch.run())
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        paid.extend(bill.cover_task_id for bill in here.sandbox.journal.bills)

    paid: list[str] = []
    play(scene, tmp_path, seconds=1_000)

    out, err = capsys.readouterr()
    *tracks, last = map(json.loads, out.splitlines())
    assert [one["state"] for one in tracks] == ["unfinished"] * 3
    assert [one["cover_task_id"] for one in tracks] == [*paid, None, None]
    assert {one["music_task_id"] for one in tracks} == {"a", "b", "c"}
    assert (last["summary"]["billed"], last["summary"]["left"]) == (1, 3)
    assert err.count("interrupted\n") == 1


@needs_full
def test_results_that_cannot_be_written_lose_no_cover_but_the_run_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(here: Place) -> None:
        songs = here.sandbox.add_music(2)
        with written_to(FULL, monkeypatch):
            assert await here.batch(songs).run() == ExitCode.FAILED

        assert states(Ledger(here.ledger)) == {TrackState.SAVED: 2}

    play(scene, tmp_path)

    assert "Error: standard output cannot be written" in capsys.readouterr().err

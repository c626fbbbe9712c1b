"""What an earlier run left: its submits, its catalog, its folder."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from suno_cover_async import (
    Covered,
    Ledger,
    Track,
    TrackState,
    read_catalog,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from suno_cover_async.sandbox.scenario import DuplicateId
from tests.support.catalog_clients import QUICK, client_of
from tests.support.clients import receiving
from tests.support.runs import billed, covered, states

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_a_submit_that_an_earlier_process_left_open_is_completed_from_its_callback(
    tmp_path: Path,
) -> None:
    scenario = Scenario(
        rate_limit=None, seconds=0.3, image_size=16, duplicate_id=DuplicateId.ABSENT
    )
    async with receiving() as receiver, Sandbox(scenario) as sandbox:
        (song,) = sandbox.add_music(1)
        async with client_of(sandbox, callback_url=receiver.url(song)) as earlier:
            await earlier.submit(song)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(song)])
            (entry,) = await ledger.next_open(TrackState.WAITING, 0, 1)
            await ledger.submitting(entry)
            async with client_of(sandbox, receiver=receiver) as client:
                (outcome,) = await covered(client, [song], ledger)

        assert isinstance(outcome, Covered)
        assert len(sandbox.journal.bills) == 1


async def test_a_catalog_that_changed_says_what_is_wanted_and_the_ledger_what_was_paid_for(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        kept, dropped, paid, new = sandbox.add_music(4)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(one) for one in (kept, dropped, paid)])
            found = await ledger.next_open(TrackState.WAITING, 0, 10)
            await ledger.submitted(found[2], await client.submit(paid))

            outcomes = await covered(client, [kept, new], ledger)

        assert {outcome.track.music_task_id for outcome in outcomes} == {kept, paid, new}
        assert billed(sandbox) == Counter([kept, paid, new])


async def test_a_catalog_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.txt"
    told: list[object] = []
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)
        catalog.write_text("\n".join([*songs, "not an id"]))
        async with Ledger(tmp_path / "covers.db") as ledger:
            for _ in range(2):
                await covered(client, read_catalog(catalog, on_bad=told.append), ledger)
            with pytest.raises(ValueError, match="line 4"):
                await covered(client, read_catalog(catalog), ledger)

        assert len(told) == 1
        assert billed(sandbox) == Counter(songs)


async def test_a_bad_track_is_named_before_anything_is_submitted(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            for wrong, kind in (("", ValueError), ("two words", ValueError), (7, TypeError)):
                with pytest.raises(kind):
                    await covered(client, [*songs, wrong], ledger)
            many = (f"song-{number}" for number in range(5_001))
            with pytest.raises(ValueError, match="empty"):
                await covered(client, itertools.chain(many, [""]), ledger)
            with pytest.raises(TypeError, match="read_catalog"):
                await covered(client, "catalog.csv", ledger)
            with pytest.raises(TypeError):
                await covered(client, [Track("a", columns={"x": object()})], ledger)

            assert not sandbox.journal.arrivals
            assert states(ledger)[TrackState.WAITING] == 0


@pytest.mark.parametrize("into", ["covers\0", "\ud800"])
async def test_a_folder_that_can_be_nowhere_is_named_before_anything_is_submitted(
    into: str,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        (song,) = sandbox.add_music(1)
        with pytest.raises(ValueError, match="into"):
            await covered(client, [song], into=into)
        assert not sandbox.journal.arrivals

        details = await client.generate(song)
        with pytest.raises(ValueError, match="into"):
            await client.download(details, into)

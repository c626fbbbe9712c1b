"""Errors that stop a catalog, and errors that fail one track."""

import resource
from collections import Counter
from pathlib import Path

import pytest

from suno_cover_async import (
    AuthenticationError,
    Covered,
    CoverExistsError,
    CoverFailedError,
    CoverTimeoutError,
    Failed,
    InsufficientCreditsError,
    InvalidRequestError,
    Ledger,
    LedgerError,
    NotFoundError,
    PollPolicy,
    SunoCoverError,
    Track,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from suno_cover_async.sandbox.scenario import DuplicateId, Reply
from tests.support.catalog_clients import QUICK, SLOW_POLL, client_of, entries
from tests.support.clients import receiving
from tests.support.runs import billed, covered, ended, read_now, states
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_a_key_that_is_refused_ends_the_waits_of_what_was_paid_for_too(
    tmp_path: Path,
) -> None:
    async with Sandbox(Scenario(rate_limit=None, seconds=3_000)) as sandbox:
        songs = sandbox.add_music(150)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with (
                client_of(sandbox, concurrency=150) as client,
                cover_catalog(client, songs, ledger=ledger),
            ):
                await until(lambda: len(sandbox.journal.bills) == 150)
            refusals = [Reply(body=b'{"code":401,"msg":"no"}')] * 300
            sandbox.script("details", *refusals)
            polls = len(sandbox.journal.of("details"))
            async with client_of(sandbox, concurrency=2) as client:
                with pytest.raises(AuthenticationError):
                    await covered(client, songs, ledger)

            assert len(sandbox.journal.of("details")) <= polls + 2
            assert states(ledger) == {TrackState.SUBMITTED: 150}


async def test_without_credits_what_is_paid_for_is_finished_and_the_rest_waits(
    tmp_path: Path,
) -> None:
    scenario = Scenario(rate_limit=None, polls=4, image_size=16, credits=7)
    async with Sandbox(scenario) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(20)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                seen, reason = await ended(outcomes)
            assert isinstance(reason, InsufficientCreditsError)
            assert [type(outcome) for outcome in seen] == [Covered] * 7
            assert states(ledger) == {TrackState.SAVED: 7, TrackState.WAITING: 13}
            assert (outcomes.progress.billed, outcomes.progress.left) == (7, 13)

            sandbox.scenario = QUICK
            assert len(await covered(client, songs, ledger, into=tmp_path)) == 13

        assert billed(sandbox) == Counter(songs)


async def test_a_failed_cover_is_submitted_again_only_when_that_is_asked_for(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2, fails=True)
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes = await covered(client, songs, ledger)
            assert [type(o.error) for o in outcomes if isinstance(o, Failed)] == [
                CoverFailedError
            ] * 2
            assert not await covered(client, songs, ledger)
            assert len(sandbox.journal.of("submit")) == 2

            again = await covered(client, songs, ledger, retry_failed=True)

            assert len(again) == 2
            assert len(sandbox.journal.of("submit")) == 4
            assert states(ledger) == {TrackState.FAILED: 2}


async def test_a_failed_cover_is_submitted_again_though_its_callback_is_remembered(
    tmp_path: Path,
) -> None:
    async with receiving() as receiver, Sandbox(Scenario(rate_limit=None)) as sandbox:
        (song,) = sandbox.add_music(1, fails=True)
        async with (
            client_of(sandbox, receiver=receiver) as client,
            Ledger(tmp_path / "covers.db") as ledger,
        ):
            await covered(client, [song], ledger)
            await until(lambda: receiver.notifier.named(song))

            await covered(client, [song], ledger, retry_failed=True)

        assert len(sandbox.journal.of("submit")) == 2


@pytest.mark.parametrize(
    ("scenario", "kind", "task_known"),
    [
        (DuplicateId.ABSENT, CoverExistsError, False),
        (DuplicateId.WRONG, CoverExistsError, False),
    ],
    ids=["no id", "another's id"],
)
async def test_a_cover_that_cannot_be_found_needs_attention(
    tmp_path: Path, scenario: DuplicateId, kind: type[SunoCoverError], task_known: bool
) -> None:
    rule = Scenario(rate_limit=None, polls=1, image_size=16, duplicate_id=scenario)
    async with Sandbox(rule) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2)
        async with client_of(sandbox) as somebody_else:
            await somebody_else.generate(songs[0])
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes = await covered(client, songs, ledger)
            failed = [one for one in outcomes if isinstance(one, Failed)]
            entry = entries(ledger)[songs[0]]
            assert not await covered(client, songs, ledger)

            assert [type(one.error) for one in failed] == [kind]
            assert (entry.state, entry.error) == (TrackState.ATTENTION, kind.__name__)
            assert (entry.task is not None) is task_known

            sandbox.scenario = QUICK  # now the host says which
            async with client_of(sandbox) as client_of_tomorrow:
                again = await covered(client_of_tomorrow, songs, ledger, retry_failed=True)
            assert [type(one) for one in again] == [Covered]
        assert billed(sandbox) == Counter(songs)


async def test_a_cover_task_that_vanished_needs_attention(tmp_path: Path) -> None:
    poll = PollPolicy(
        initial_delay=0.01, min_interval=0.01, max_interval=0.02, not_found_grace=0.01
    )
    async with Sandbox(QUICK) as sandbox, client_of(sandbox, poll=poll) as client:
        (song,) = sandbox.add_music(1)
        async with Ledger(tmp_path / "covers.db") as ledger:
            sandbox.scenario = Scenario(rate_limit=None, null_polls=1_000)
            (outcome,) = await covered(client, [song], ledger)
            (entry,) = read_now(ledger)

        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, NotFoundError)
        assert entry.state is TrackState.ATTENTION
        assert entry.task is not None


async def test_music_that_the_host_does_not_know_fails_alone(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes = await covered(client, [songs[0], "unknown", *songs[1:]], ledger)
            assert entries(ledger)["unknown"].state is TrackState.FAILED

        (failed,) = [one for one in outcomes if isinstance(one, Failed)]
        assert failed.track == Track("unknown")
        assert isinstance(failed.error, InvalidRequestError)
        assert billed(sandbox) == Counter(songs)


async def test_a_cover_that_takes_too_long_is_left_to_the_next_run(tmp_path: Path) -> None:
    async with Sandbox(Scenario(rate_limit=None, seconds=3_000, image_size=16)) as sandbox:
        (song,) = sandbox.add_music(1)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with client_of(sandbox, poll=SLOW_POLL) as client:
                (outcome,) = await covered(client, [song], ledger)
                assert isinstance(outcome, Failed)
                assert isinstance(outcome.error, CoverTimeoutError)
                assert states(ledger) == {TrackState.SUBMITTED: 1}
                polls = len(sandbox.journal.of("details"))
                (outcome,) = await covered(client, [song], ledger)
            assert len(sandbox.journal.of("details")) > polls
            assert len(sandbox.journal.of("submit")) == 1


async def test_a_ledger_that_cannot_be_written_stops_everything_and_forgets_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "covers.db"
    async with Sandbox(QUICK) as sandbox, client_of(sandbox, concurrency=5) as client:
        songs = sandbox.add_music(2_000)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        async with Ledger(path) as ledger:
            async with cover_catalog(client, songs, ledger=ledger) as outcomes:
                for _ in range(5):
                    await anext(outcomes)
                largest = Path(f"{path}-wal").stat().st_size + 40_000
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
                _, reason = await ended(outcomes)
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert isinstance(reason, LedgerError)
            paid = set(billed(sandbox))
            assert 5 <= len(paid) < 2_000
            unwritten = {task.music_task_id for task in ledger.unwritten}  # what is left to write
            found = entries(ledger)  # may be written by now
            known = {one for one, entry in found.items() if entry.task is not None}
            doubted = {one for one, entry in found.items() if entry.state is TrackState.SUBMITTING}
            assert paid <= known | unwritten | doubted
        assert not ledger.unwritten
        assert paid <= {one for one, entry in entries(Ledger(path)).items() if entry.task}

        async with Ledger(path) as ledger:
            rest = await covered(client, songs[:200], ledger)
            assert all(isinstance(one, Covered) for one in rest)
        assert set(billed(sandbox).values()) == {1}

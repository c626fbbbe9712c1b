"""Ledgers in a database as runs use them: the fence of every step, the heartbeat, and closing."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from platform import node
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

from suno_cover_async.batch.runner import cover_catalog
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.postgres.database import PostgresDatabase
from suno_cover_async.ledger.postgres.store import PostgresStore
from suno_cover_async.ledger.reader import LedgerReader
from suno_cover_async.ledger.recorder import Recorder
from suno_cover_async.ledger.run_steps import HeldBy, Others
from suno_cover_async.models import Choice, Decision, Track
from suno_cover_async.postgres.url import DatabaseUrl
from suno_cover_async.sandbox import Sandbox
from tests.support.catalog_clients import QUICK, client_of
from tests.support.cut_proxy import cut_proxy
from tests.support.ledger_steps import FAILED, FILES, NOON, STEPS, TASK, details
from tests.support.postgres import PASSWORD, Server
from tests.support.shared_ledgers import OTHERS, OURS, Session
from tests.support.waiting import until

WAITING, SUBMITTING = TrackState.WAITING, TrackState.SUBMITTING
Step = Callable[[Ledger, LedgerEntry], Awaitable[Any]]

FENCED: dict[str, Step] = {
    "begin_intake": lambda ledger, _: ledger.begin_intake("another"),
    "follow": lambda ledger, _: ledger.follow(),
    "take_in": lambda ledger, _: ledger.take_in([Track("new"), Track("m1", title="New")]),
    "took_in": lambda ledger, _: ledger.took_in("another"),
    "retry_failed": lambda ledger, _: ledger.retry_failed(),
    "retry_refused": lambda ledger, entry: ledger.retry_refused(entry),
    "claim": lambda ledger, _: ledger.claim([*TrackState], 9),
    "claim_unsaved": lambda ledger, _: ledger.claim_unsaved(9),
    "others_hold": lambda ledger, _: ledger.others_hold([*TrackState]),
    "release": lambda ledger, entry: ledger.release(entry),
    "release_waiting": lambda ledger, _: ledger.release_waiting(),
    "submitting": lambda ledger, entry: ledger.submitting(entry),
    "unsent": lambda ledger, entry: ledger.unsent(entry),
    "submitted": lambda ledger, entry: ledger.submitted(entry, TASK, base_url="https://a"),
    "covered": lambda ledger, entry: ledger.covered(entry, details()),
    "saved": lambda ledger, entry: ledger.saved(entry, FILES),
    "put_off": lambda ledger, entry: ledger.put_off(entry),
    "ended": lambda ledger, entry: ledger.ended(entry, TrackState.FAILED, FAILED),
    "forget_waiting": lambda ledger, _: ledger.forget_waiting(),
}
READS: dict[str, Step] = {
    "outlook": lambda ledger, _: ledger.outlook(),
    "count": lambda ledger, _: ledger.count(),
    "next_open": lambda ledger, _: ledger.next_open(WAITING, 0, 9),
    "submits": lambda ledger, _: ledger.submits(),
    "has_answered": lambda ledger, _: ledger.has_answered("https://a"),
    "others_at_work": lambda ledger, _: ledger.others_at_work(),
}
OWN = {"note_balance", "end_run"}
"""They write what the run itself knows of its account, and release what the run itself holds."""


@pytest.fixture
async def ledger(url: DatabaseUrl) -> AsyncIterator[Ledger]:
    async with Ledger(url.conninfo) as ledger:
        yield ledger


async def claimed(ledger: Ledger) -> LedgerEntry:
    """Take a track in and claim it; another one failed."""
    await ledger.take_in([Track("m1"), Track("m2")])
    found = await ledger.claim([WAITING], 9)
    await ledger.ended(found[1], TrackState.FAILED, FAILED)
    return found[0]


def test_every_step_of_a_run_is_fenced_or_only_reads() -> None:
    names = {
        name
        for name, _ in inspect.getmembers(Recorder, inspect.isfunction)
        if not name.startswith("_") and not hasattr(LedgerReader, name)
    }
    assert names == {*FENCED, *READS, *OWN}


@pytest.mark.parametrize("state", ["waiting", "submitting", "submitted", "covered"])
@pytest.mark.parametrize("name", FENCED)
async def test_a_run_that_was_given_up_changes_nothing(
    ledger: Ledger, one: Session, name: str, state: str
) -> None:
    async with ledger.lease(OURS):
        entry = await claimed(ledger)
        for step in [] if state == "waiting" else STEPS[state][0]:
            await step(ledger, entry)
        assert one.track()["state"] == state
        run = one.track()["holder"] or 1
        other = one.begin()
        assert one.there.give_up(run)
        one.claim(other, state=TrackState(state))
        before = one.contents()
        with pytest.raises(LedgerError, match=f"run {run} was given up for dead"):
            await FENCED[name](ledger, entry)

        assert one.contents() == before


@pytest.mark.parametrize("name", FENCED)
async def test_a_run_that_has_its_tracks_does_every_step(
    ledger: Ledger, one: Session, name: str
) -> None:
    async with ledger.lease(OURS):
        entry = await claimed(ledger)
        one.there.change(1, {"state": "submitting"})
        await FENCED[name](ledger, entry)


@pytest.mark.parametrize("name", READS)
async def test_what_only_reads_may_be_asked_by_anybody_and_changes_nothing(
    ledger: Ledger, one: Session, name: str
) -> None:
    async with ledger.lease(OURS):
        entry = await claimed(ledger)
        one.there.give_up(1)
        before = one.contents()
        await READS[name](ledger, entry)

        assert one.contents() == before


async def test_a_balance_is_written_to_the_row_of_its_run_alone(
    ledger: Ledger, one: Session
) -> None:
    async with ledger.lease(OURS):
        await claimed(ledger)
        other = one.begin()
        one.there.give_up(1)
        before = one.contents()
        await ledger.note_balance(after=7.0)
        after = one.contents()

    assert after["runs"][0].pop("balance_after") == 7.0
    before["runs"][0].pop("balance_after")
    assert after == before
    assert one.run(other)["balance_after"] is None


async def test_a_fact_that_was_refused_is_not_written_later(ledger: Ledger, one: Session) -> None:
    async with ledger.lease(OURS):
        entry = await claimed(ledger)
        one.there.give_up(1)
        with pytest.raises(LedgerError):
            await ledger.submitted(entry, TASK)
        assert ledger.unwritten == ()
    assert one.track()["state"] == "waiting"


async def test_a_run_beats_and_is_lost_once_it_was_given_up(url: DatabaseUrl, one: Session) -> None:
    one.execute("UPDATE ledger SET dead_after = 1")
    async with Ledger(url.conninfo) as ledger, ledger.lease(OURS):
        heard = one.run(1)["heard_at"]
        await until(lambda: one.run(1)["heard_at"] != heard)
        one.there.give_up(1)
        with pytest.raises(LedgerError, match="run 1 was given up for dead"):
            await ledger.lost()


async def test_a_catalog_of_a_run_that_was_given_up_ends_though_it_had_no_step_to_take(
    url: DatabaseUrl, one: Session
) -> None:
    async def never() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield "never"

    one.execute("UPDATE ledger SET dead_after = 1")
    async with (
        Sandbox(QUICK) as sandbox,
        client_of(sandbox) as client,
        Ledger(url.conninfo) as ledger,
        cover_catalog(client, never(), ledger=ledger) as run,
    ):
        await until(lambda: one.run(1)["catalog"] is not None)
        one.there.give_up(1)

        with pytest.raises(LedgerError, match="run 1 was given up for dead"):
            await anext(run)


async def test_a_run_that_hears_nothing_of_its_ledger_does_not_call_its_tracks_its_own(
    url: DatabaseUrl, one: Session, postgres_server: Server
) -> None:
    one.execute("UPDATE ledger SET dead_after = 2")
    with cut_proxy(postgres_server.port) as proxy:
        port = urlsplit(url.conninfo).port
        there = url.conninfo.replace(f":{port}/", f":{proxy.port}/")
        async with Ledger(there) as ledger, ledger.lease(OURS):
            assert ledger.has_its_tracks()
            proxy.hold()
            await until(lambda: not ledger.has_its_tracks())
            proxy.accept()
            await until(ledger.has_its_tracks)


async def test_a_run_whose_event_loop_hangs_loses_its_tracks(
    url: DatabaseUrl, one: Session
) -> None:
    one.execute("UPDATE ledger SET dead_after = 1")
    async with Ledger(url.conninfo) as ledger, ledger.lease(OURS):
        await claimed(ledger)
        other = one.begin()
        while not one.claim(other):  # the event loop stands still
            pass
        with pytest.raises(LedgerError, match="run 1 was given up for dead"):
            await ledger.claim([WAITING], 1)


async def test_a_run_that_was_refused_is_no_run(ledger: Ledger, one: Session) -> None:
    other = one.begin()
    one.do(run_steps.begin_intake(other, "another", "L"))
    async with ledger.lease(OURS):
        with pytest.raises(LedgerError, match="works on another catalog"):
            await ledger.begin_intake("catalog")
    assert [run.number for run in await ledger.runs()] == [other]


ALONE: dict[str, Callable[[Ledger], Awaitable[Any]]] = {
    "another catalog": lambda ledger: ledger.begin_intake("another"),
    "tracks as they arrive": lambda ledger: ledger.follow(),
    "retry failed": lambda ledger: ledger.retry_failed(),
}


@pytest.mark.parametrize("name", ALONE)
async def test_a_run_that_died_is_in_nobodys_way_once_a_new_run_has_waited(
    ledger: Ledger, one: Session, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    dead = one.begin()
    one.do(run_steps.begin_intake(dead, "catalog", "L"))
    one.silence(dead)
    async with ledger.lease(OURS):
        await ALONE[name](ledger)

        assert one.run(dead)["released_at"] is not None
    (said,) = [text for text in caplog.messages if f"run {dead} on " in text]
    assert "it is silent: waiting until it comes back, or is given up for dead" in said


async def test_a_run_that_was_cut_off_and_comes_back_while_another_waits_refuses_it(
    ledger: Ledger, one: Session, caplog: pytest.LogCaptureFixture
) -> None:
    cut_off = one.begin()
    one.do(run_steps.begin_intake(cut_off, "catalog", "L"))
    one.silence(cut_off)
    async with ledger.lease(OURS):
        # The new run has begun only in an hour, so that it gives nobody up meanwhile.
        one.execute("UPDATE runs SET began_at = began_at + 3600 WHERE number > %s", cut_off)
        retrying = asyncio.create_task(ledger.retry_failed())
        await until(lambda: "it is silent" in caplog.text)
        one.execute(
            "UPDATE runs SET heard_at = clock_timestamp() + interval '1 hour' WHERE number = %s",
            cut_off,
        )
        with pytest.raises(LedgerError, match=rf"run {cut_off} on .* is at work.*out$"):
            await retrying
    assert await ledger.holders()
    assert [run.number for run in await ledger.runs()] == [cut_off]


async def test_silent_runs_are_not_at_work_and_what_they_were_submitting_may_be_billed(
    url: DatabaseUrl, ledger: Ledger, one: Session
) -> None:
    one.fill(1)
    dead = one.begin()
    one.claim(dead)
    one.do(HeldBy(dead, steps.submitting(1, dead)))
    async with ledger.lease(OURS):
        found = Others(hosts=(node(),), submitting=1)
        assert await ledger.others_at_work() == found
        assert await Ledger(url.conninfo).at_work() == attrs.evolve(found, hosts=(node(),) * 2)
        one.silence(dead)

        assert await ledger.others_at_work() == Others(hosts=(), submitting=0)


async def test_a_run_that_only_dropped_what_waits_or_began_anew_what_failed_is_kept(
    ledger: Ledger,
) -> None:
    async with ledger.lease(OURS):
        await claimed(ledger)
    async with ledger.lease(OURS):
        await ledger.retry_failed()
    async with ledger.lease(OURS):
        await ledger.retry_failed()  # nothing failed any more
    async with ledger.lease(OURS):
        await ledger.forget_waiting()
    async with ledger.lease(OURS):
        await ledger.forget_waiting()  # nothing waits any more
    async with ledger.lease(OURS):
        await ledger.begin_intake("empty")
        await ledger.took_in("empty")

    assert [run.number for run in await ledger.runs()] == [6, 4, 2, 1]


async def test_others_at_work_are_counted_with_what_they_submit(
    ledger: Ledger, one: Session
) -> None:
    async with ledger.lease(OURS):
        assert await ledger.others_at_work() == Others(hosts=(), submitting=0)
        one.fill(4)
        first, second, ended = one.begin(), one.begin(), one.begin()
        for number, run in ((1, first), (2, ended)):
            assert one.claim(run, 1) == [number]
            one.do(HeldBy(run, steps.submitting(number, run)))
        one.claim(second, 1)
        one.do(run_steps.end_run(ended))
        for entry in await ledger.claim([WAITING], 1):
            await ledger.submitting(entry)

        assert await ledger.others_at_work() == Others(hosts=(node(), node()), submitting=2)


async def test_the_end_of_a_lease_ends_its_run(ledger: Ledger, one: Session) -> None:
    async with ledger.lease(OURS):
        await claimed(ledger)
        assert [holder.tracks for holder in await ledger.holders()] == [1]
    assert await ledger.holders() == ()
    assert one.run(1)["ended_at"] is not None
    assert one.track()["holder"] is None


async def test_a_person_gives_a_run_up(ledger: Ledger, one: Session) -> None:
    async with ledger.lease(OURS):
        await claimed(ledger)
        await ledger.give_up(1)
        assert one.track()["holder"] is None
        with pytest.raises(LedgerError, match="no run 1 is at work"):
            await ledger.give_up(1)


async def test_runs_of_two_accounts_share_a_ledger(
    url: DatabaseUrl, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    async with ledger.lease(OURS):
        entry = await claimed(ledger)
        await ledger.submitting(entry)
        async with Ledger(url.conninfo) as other, other.lease(OTHERS):
            assert await other.claim([SUBMITTING, WAITING], 9) == []
            assert not await other.others_hold([SUBMITTING])
    assert "1 tracks of the ledger" in caplog.text
    assert "belong to other accounts" in caplog.text


async def test_a_ledger_that_is_not_open_does_nothing(url: DatabaseUrl) -> None:
    with pytest.raises(LedgerError, match="is not open"):
        Ledger(url.conninfo).submits()
    async with Ledger(url.conninfo) as ledger:
        pass
    with pytest.raises(LedgerError, match="is not open"):
        ledger.submits()
    async with ledger:
        assert await ledger.submits() == 0


async def test_a_ledger_is_made_by_a_step_of_its_own(database_url: str) -> None:
    with pytest.raises(LedgerError, match="no ledger yet"):
        async with Ledger(database_url):
            pass
    assert await Ledger(database_url).init() == 0
    assert await Ledger(database_url).init() == 1
    async with Ledger(database_url) as ledger:
        assert await ledger.submits() == 0
    with pytest.raises(LedgerError, match="cannot be used"):
        await Ledger("postgresql://nobody@127.0.0.1:1/none").init()


async def test_its_name_and_the_list_of_sessions_show_no_password(
    url: DatabaseUrl, one: Session
) -> None:
    store = PostgresStore(url.conninfo)
    await store.open()
    found = one.execute("SELECT application_name FROM pg_stat_activity")
    await store.aclose()

    assert any(name.startswith("suno-cover run ") for (name,) in found)
    assert store.name == url.shown
    assert PASSWORD not in store.name


async def test_a_cancelled_opening_leaves_no_connection(url: DatabaseUrl, one: Session) -> None:
    opening = asyncio.create_task(PostgresStore(url.conninfo).open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    while one.execute(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE 'suno-cover%'"
    ):
        pass


async def test_readers_see_one_moment_while_runs_write(
    url: DatabaseUrl, ledger: Ledger, one: Session
) -> None:
    one.fill(1_500)
    numbers: list[int] = []
    async for entry in Ledger(url.conninfo).entries():
        numbers.append(entry.number)
        if entry.number == 1:
            one.fill(10)
            one.execute("DELETE FROM tracks WHERE number = 1200")

    assert numbers == [*range(1, 1_501)]
    assert sum((await ledger.totals()).values()) == 1_509


async def test_a_person_decides_while_a_run_works(ledger: Ledger, one: Session) -> None:
    async with ledger.lease(OURS):
        entry = await claimed(ledger)
        for step in STEPS["saved"][0]:
            await step(ledger, entry)
    one.do(
        lambda there: there.decide(
            1,
            "c1",
            {
                "decision": Decision.LATER.value,
                "image": None,
                "revision": 1,
                "decided_at": NOON.timestamp(),
                "decided_by": "Ann",
            },
            revision=0,
        )
    )
    (entry,) = [one_ async for one_ in ledger.entries(TrackState.SAVED)]
    assert entry.choice == Choice(
        decision=Decision.LATER, revision=1, decided_at=NOON, decided_by="Ann"
    )


async def test_a_fact_that_an_outage_kept_back_is_written_when_the_ledger_closes(
    postgres_server: Server, database_url: str, one: Session
) -> None:
    with cut_proxy(postgres_server.port) as proxy:
        url = database_url.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        async with Ledger(url) as ledger:
            async with ledger.lease(OURS):
                entry = await claimed(ledger)
                assert await ledger.submitting(entry)
            proxy.refuse()
            fact = ledger.submitted(entry, TASK)
            closing = asyncio.create_task(ledger.aclose())
            await asyncio.sleep(0)
            proxy.accept()
            await closing
            await fact
    assert one.track()["state"] == "submitted"


class NeverGivesUp(PostgresStore):
    """A store whose time stands still, so that it tries a lost server again for ever."""

    def _new_database(self, *, of_a_run: bool = True) -> PostgresDatabase:
        return PostgresDatabase(self._url, f"test {of_a_run}", clock=lambda: 0.0)


@pytest.mark.parametrize("way", ["of a run", "of a review"])
async def test_a_cancellation_ends_an_opening_that_waits_for_the_server(
    url: DatabaseUrl, postgres_server: Server, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    with cut_proxy(postgres_server.port) as proxy:
        there = url.conninfo.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        proxy.cut_at(b"DELETE FROM commits", "between and refuse")
        store = NeverGivesUp(there)
        opening = asyncio.create_task(
            store.open() if way == "of a run" else store.share().__aenter__()
        )
        await until(lambda: "trying again" in caplog.text, every=0.01)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await store.aclose()
    assert "answers again" not in caplog.text


async def test_a_ledger_whose_opening_was_cancelled_can_be_opened(
    url: DatabaseUrl, one: Session
) -> None:
    ledger = Ledger(url.conninfo)
    opening = asyncio.create_task(ledger.__aenter__())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)

    async with ledger, ledger.lease(OURS):
        assert one.run(1)["ended_at"] is None

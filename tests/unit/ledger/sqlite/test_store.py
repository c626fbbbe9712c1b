"""Work on the ledger's database: in order, a commit a step, answered once it is on the disk."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.sqlite.store import SqliteStore
from suno_cover_async.ledger.store import Transaction
from suno_cover_async.models import Track
from tests.support.bad_disk import run, strace
from tests.support.ledger_files import contents
from tests.support.word_books import Book, Held, writes, wrong


@pytest.fixture(params=["file", "private"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "covers.db" if request.param == "file" else None)
    await store.open()
    yield store
    await store.aclose()


async def test_what_was_answered_is_committed(book: Book) -> None:
    for n in range(50):
        await book.do(writes(str(n)))

        assert len(book.words()) == n + 1


MANY_AND_SINGLE = """
    import threading
    from suno_cover_async.ledger.sqlite.store import SqliteStore

    def work(n):
        return lambda there: there.add_run(n, "account")

    async def main():
        store = SqliteStore(Path(sys.argv[1]))
        await store.open()
        for n in range(8):
            await store.do(work(n))
            say("done", n)
        busy, go = threading.Event(), threading.Event()
        store.do(lambda _: (busy.set(), go.wait()))
        busy.wait()
        many = [store.do(work(n)) for n in range(8, 28)]
        go.set()
        for one in many:
            await one
            say("done one of many")
        if sys.argv[2] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        await store.aclose()

    asyncio.run(main())
"""


def test_nothing_is_answered_before_it_is_synced_and_each_step_has_a_sync_of_its_own(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    slow = strace(  # a slow disk: who answers too early is seen to
        "-e", "trace=fdatasync,pwrite64,write", "-e", "inject=fdatasync:delay_enter=10000", log=log
    )
    code, said = run(MANY_AND_SINGLE, tmp_path / "covers.db", "close", prefix=slow)

    assert (code, said[-1]) == (0, "done one of many")
    syncs = syncs_before_each_answer(log)
    assert syncs[:8] == [1] * 8
    assert sum(syncs[8:]) == 20
    for known in range(1, 21):  # the next step is being written while this one is told of
        assert sum(syncs[8:][:known]) >= known


def syncs_before_each_answer(log: Path) -> list[int]:
    """Count the syncs of the WAL, and assert that it holds nothing unsynced at a single answer."""
    counts: list[int] = []
    unsynced, syncs, calls = False, 0, dict[str, str]()
    opened = False
    for text in log.read_text(errors="replace").splitlines():
        thread, call = text.split(maxsplit=1)
        if "<unfinished ...>" in call:
            calls[thread] = call.removesuffix("<unfinished ...>")
            if not call.startswith("pwrite64"):
                continue
        elif resumed := re.match(r"<\.\.\. \w+ resumed>", call):
            call = calls.pop(thread) + call[resumed.end() :]
        if call.startswith("pwrite64") and ".db-wal>" in call:
            unsynced = True
        elif call.startswith("fdatasync") and ".db-wal>" in call and "= 0" in call:
            unsynced, syncs = False, syncs + 1
        elif call.startswith("write(1<") and "done" in call:
            assert not unsynced or "of many" in call, text
            counts.append(syncs if opened else 1)
            syncs, opened = 0, True
    return counts


def test_who_dies_right_after_the_answer_has_lost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    code, said = run(MANY_AND_SINGLE, path, "die")

    assert (code, said[-1]) == (-9, "done one of many")
    with sqlite3.connect(path) as database:
        (count,) = database.execute("SELECT count(*) FROM runs").fetchone()
    database.close()
    assert count == 8 + 20


async def test_a_disk_that_is_full_in_the_middle_of_a_step_undoes_that_step_alone(
    book: Book,
) -> None:
    def much(there: Any) -> None:
        there._database.execute("INSERT INTO words VALUES ('half', 1)")
        there._database.execute("PRAGMA max_page_count = 40")
        there._database.execute("INSERT INTO words VALUES (?, 1)", ("x" * 1_000_000,))

    def make_space(there: Any) -> None:
        there._database.execute("PRAGMA max_page_count = 100000")

    held = Held(book)
    steps: list[asyncio.Future[Any]] = [
        book.do(writes("fact"), keep=True),
        book.do(much),
        book.do(writes("wish")),
    ]
    held.go.set()
    answers = await asyncio.gather(*steps, return_exceptions=True)
    seen = book.words()
    await book.do(make_space)

    assert (answers[0], answers[2]) == ("wrote fact", "wrote wish")
    assert "database or disk is full" in str(answers[1])
    assert seen == book.words() == ["fact", "wish"]


async def test_wrong_work_is_undone_alone_and_only_who_wanted_it_hears_of_it(book: Book) -> None:
    await book.do(writes("taken"))
    held = Held(book)
    group: list[asyncio.Future[Any]] = [
        book.do(writes("before"), keep=True),
        book.do(wrong),
        book.do(writes("taken"), keep=True),
        book.do(writes("\ud800"), keep=True),
        book.do(writes("after"), keep=True),
    ]
    held.go.set()
    answers = await asyncio.gather(*group, return_exceptions=True)

    assert [type(answer) for answer in answers] == [
        str,
        TypeError,
        sqlite3.IntegrityError,
        UnicodeEncodeError,
        str,
    ]
    assert book.words() == ["taken", "before", "after"]


async def begun(store: SqliteStore) -> int:
    """Add two tracks and begin a run; return its number."""
    await store.do(steps.take_in([Track("m1"), Track("m2")]))
    return (await store.do(run_steps.begin_run("account", "covers.db"))).number


async def claimed(store: SqliteStore, run: int) -> list[int]:
    found = await store.do(run_steps.claim([TrackState.WAITING], run, 9))
    return [entry.number for entry in found]


async def test_a_claim_that_is_undone_holds_nothing(store: SqliteStore) -> None:
    run = await begun(store)

    def claims_and_fails(there: Transaction) -> None:
        assert len(there.claim("waiting", run, 9)) == 2
        raise ValueError("after all not")

    with pytest.raises(ValueError, match="after all not"):
        await store.do(claims_and_fails)
    assert await claimed(store, run) == [1, 2]


async def test_a_claim_whose_commit_fails_holds_nothing_and_a_release_releases_nothing(
    store: SqliteStore,
) -> None:
    run = await begun(store)

    def fill_the_disk(there: Any) -> None:
        there.execute("PRAGMA max_page_count = 40")
        there.execute("UPDATE tracks SET reason = ?", ("x" * 1_000_000,))

    def claims(there: Transaction) -> None:
        assert len(there.claim("waiting", run, 9)) == 2
        fill_the_disk(there)

    def releases(there: Transaction) -> None:
        there.release(1, 1)
        there.end_run(run, 1.0)
        fill_the_disk(there)

    with pytest.raises(LedgerError, match="full"):
        await store.do(claims)
    assert await claimed(store, run) == [1, 2]
    with pytest.raises(LedgerError, match="full"):
        await store.do(releases)
    assert await claimed(store, run) == []


async def test_a_claim_writes_nothing_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    store = SqliteStore(path)
    await store.open()
    run = await begun(store)
    before = contents(tmp_path)
    assert await claimed(store, run) == [1, 2]
    await store.do(lambda there: there.release(1, 1))
    assert await claimed(store, run) == [1]
    after = contents(tmp_path)
    await store.aclose()

    assert {name for name in before if after[name] != before[name]} <= {"covers.db-shm"}
    assert after.keys() == before.keys()


async def test_a_store_that_is_opened_again_holds_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "covers.db")
    await store.open()
    run = await begun(store)
    assert await claimed(store, run) == [1, 2]
    await store.aclose()  # without the end of the run, as after a kill
    await store.open()

    assert await claimed(store, run) == [1, 2]
    await store.aclose()

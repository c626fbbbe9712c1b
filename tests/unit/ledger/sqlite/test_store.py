"""Work on the ledger's database: in order, a commit a step, answered once it is on the disk."""

import asyncio
import contextlib
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.sqlite.store import _Writer
from suno_cover_async.ledger.store import Work
from tests.support.bad_disk import run, strace


class Book:
    """A database whose words are written by a ledger's thread, and read from beside."""

    def __init__(self, path: Path) -> None:
        self._beside = sqlite3.connect(path, timeout=0, isolation_level=None)
        self._beside.execute("PRAGMA journal_mode = WAL")
        self._beside.execute("CREATE TABLE IF NOT EXISTS words (word TEXT UNIQUE, size INT)")
        database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        self.writer = _Writer(database, None, "of words")

    def do(self, work: Work[Any], *, keep: bool = False) -> "asyncio.Future[Any]":
        return self.writer.do(work, keep=keep)

    def words(self) -> list[str]:
        """Read what is committed, in the order in which it was written."""
        return [word for (word,) in self._beside.execute("SELECT word FROM words ORDER BY rowid")]

    def refuse(self) -> None:
        """Make every commit fail from now on."""
        self._beside.execute("BEGIN IMMEDIATE")

    def allow(self) -> None:
        self._beside.execute("ROLLBACK")

    def shut(self) -> None:
        if self._beside.in_transaction:
            self.allow()
        with contextlib.suppress(LedgerError):
            self.writer.close()
        self._beside.close()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "words.db")
    yield book
    book.shut()


def writes(word: str) -> Work[str]:
    def work(there: Any) -> str:
        there._database.execute("INSERT INTO words VALUES (?, 1)", (word,))
        return f"wrote {word}"

    return work


def wrong(there: Any) -> None:
    there._database.execute("INSERT INTO words VALUES ('half done', 1)")
    raise TypeError("not so")


class Held:
    """Keeps the thread busy until it is let go, so that other work queues up."""

    def __init__(self, book: Book) -> None:
        self._busy, self.go = threading.Event(), threading.Event()
        book.do(self._wait)
        assert self._busy.wait(10)

    def _wait(self, _: object) -> None:
        self._busy.set()
        assert self.go.wait(10)


async def test_work_is_done_in_the_order_of_calls_and_its_value_comes_back(book: Book) -> None:
    words = [f"word {n}" for n in range(300)]
    answers = await asyncio.gather(*(book.do(writes(word)) for word in words))

    assert answers == [f"wrote {word}" for word in words]
    assert book.words() == words


async def test_what_was_answered_is_committed(book: Book) -> None:
    for n in range(50):
        await book.do(writes(str(n)))

        assert len(book.words()) == n + 1


MANY_AND_SINGLE = """
    import threading
    from suno_cover_async.ledger.sqlite.store import SqliteStore

    def work(n):
        return lambda there: there.add_run(n, 0.0)

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


async def test_who_no_longer_waits_loses_nothing(book: Book) -> None:
    async def wait(word: str) -> None:
        await book.do(writes(word))

    held = Held(book)
    waiter = asyncio.create_task(wait("cancelled waiter"))
    await asyncio.sleep(0)
    waiter.cancel()
    book.do(writes("cancelled future")).cancel()
    last = book.do(writes("last"))
    held.go.set()

    assert await last == "wrote last"
    assert book.words() == ["cancelled waiter", "cancelled future", "last"]
    assert waiter.cancelled()


def test_several_event_loops_are_answered_each_in_its_own(book: Book) -> None:
    threads_of_answers: dict[str, set[str]] = {}

    async def write(name: str) -> None:
        for n in range(50):
            future = book.do(writes(f"{name} {n}"))
            future.add_done_callback(
                lambda _: threads_of_answers.setdefault(name, set()).add(
                    threading.current_thread().name
                )
            )
            assert await future == f"wrote {name} {n}"

    threads = [
        threading.Thread(target=asyncio.run, args=(write(name),), name=name) for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert threads_of_answers == {"a": {"a"}, "b": {"b"}, "c": {"c"}}
    for name in "abc":
        assert [word for word in book.words() if word[0] == name] == [
            f"{name} {n}" for n in range(50)
        ]


def test_an_event_loop_that_ended_holds_up_no_other(book: Book) -> None:
    async def leave() -> Held:
        held = Held(book)
        book.do(writes("left behind"))
        return held

    async def stay(held: Held) -> str:
        future = book.do(writes("awaited"))
        held.go.set()
        written: str = await future
        return written

    held = asyncio.run(leave())

    assert asyncio.run(stay(held)) == "wrote awaited"
    assert book.words() == ["left behind", "awaited"]


async def test_closing_finishes_what_is_queued_and_ends_the_thread(book: Book) -> None:
    futures = [book.do(writes(str(n))) for n in range(100)]
    book.writer.close()

    assert len(book.words()) == 100
    assert len(await asyncio.gather(*futures)) == 100
    assert not [one for one in threading.enumerate() if "suno-cover-ledger" in one.name]


async def test_closing_twice_is_fine_and_use_after_it_is_refused_at_once(book: Book) -> None:
    book.writer.close()
    book.writer.close()

    with pytest.raises(RuntimeError):
        book.do(writes("too late"))


async def test_when_a_commit_fails_each_who_waits_gets_an_error_of_its_own(book: Book) -> None:
    book.refuse()
    futures = [book.do(writes(str(n)), keep=n % 2 == 0) for n in range(4)]
    errors = await asyncio.gather(*futures, return_exceptions=True)

    assert [type(error) for error in errors] == [LedgerError] * 4
    assert len({id(error) for error in errors}) == 4
    assert "locked" in str(errors[0])


async def test_facts_that_were_not_written_are_written_first_and_nothing_else(book: Book) -> None:
    book.refuse()
    facts = [book.do(writes(f"fact {n}"), keep=True) for n in range(3)]
    wishes = [book.do(writes(f"wish {n}")) for n in range(3)]
    await asyncio.gather(*facts, *wishes, return_exceptions=True)
    late = book.do(writes("late fact"), keep=True)
    await asyncio.gather(late, return_exceptions=True)
    kept = len(book.writer.unwritten)
    book.allow()
    await book.do(writes("next"))

    assert kept == 4
    assert book.words() == ["fact 0", "fact 1", "fact 2", "late fact", "next"]
    assert book.writer.unwritten == ()


async def test_closing_tries_once_more(book: Book) -> None:
    book.refuse()
    await asyncio.gather(book.do(writes("fact"), keep=True), return_exceptions=True)
    book.allow()
    book.writer.close()

    assert book.words() == ["fact"]


async def test_closing_says_what_it_could_not_write(book: Book) -> None:
    book.refuse()
    fact = writes("fact")
    await asyncio.gather(book.do(fact, keep=True), return_exceptions=True)

    with pytest.raises(LedgerError, match="locked"):
        book.writer.close()
    assert book.writer.unwritten == (fact,)


async def test_closing_after_a_wish_failed_is_no_error(book: Book) -> None:
    book.refuse()
    await asyncio.gather(book.do(writes("wish")), return_exceptions=True)
    book.allow()
    book.writer.close()

    assert book.words() == []


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


async def test_wrong_work_is_not_done_again_and_again(book: Book) -> None:
    book.refuse()
    group: list[asyncio.Future[Any]] = [
        book.do(wrong, keep=True),
        book.do(writes("fact"), keep=True),
    ]
    await asyncio.gather(*group, return_exceptions=True)
    book.allow()
    await book.do(writes("next"))

    assert book.words() == ["fact", "next"]
    assert book.writer.unwritten == ()


@given(steps=st.lists(st.sampled_from(["fact", "wish", "wrong", "refuse", "allow"]), max_size=25))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_in_any_order_of_outages_facts_are_written_in_order_and_wishes_at_once_or_never(
    tmp_path: Path, steps: list[str]
) -> None:
    (tmp_path / "words.db").unlink(missing_ok=True)
    book = Book(tmp_path / "words.db")

    async def act() -> list[str]:
        refused, written, kept = False, list[str](), list[str]()
        for n, step in enumerate(steps):
            if step in {"refuse", "allow"}:
                if refused != (step == "refuse"):
                    refused = not refused
                    (book.refuse if refused else book.allow)()
                continue
            word = f"{step} {n}"
            work = wrong if step == "wrong" else writes(word)
            future: asyncio.Future[object] = book.do(work, keep=step == "fact")
            await asyncio.gather(future, return_exceptions=True)
            assert isinstance(future.exception(), LedgerError) == refused
            kept += [word] if step == "fact" else []
            if not refused:
                written += kept + ([word] if step == "wish" else [])
                kept.clear()
            assert len(book.writer.unwritten) == len(kept)
        return written + kept

    expected = asyncio.run(act())
    if book._beside.in_transaction:
        book.allow()
    book.writer.close()

    assert book.words() == expected
    book.shut()

"""The thread that runs a ledger's steps: in order, answered once written, facts kept for later."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.store import Work
from suno_cover_async.ledger.writer import CommitFailedError, Writer
from tests.support.word_books import Book, Held, writes, wrong


async def test_work_is_done_in_the_order_of_calls_and_its_value_comes_back(book: Book) -> None:
    words = [f"word {n}" for n in range(300)]
    answers = await asyncio.gather(*(book.do(writes(word)) for word in words))

    assert answers == [f"wrote {word}" for word in words]
    assert book.words() == words


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


class Patient:
    """A database whose commits wait until they are to hurry, and then fail."""

    trouble: str | None = "it does not answer"

    def __init__(self) -> None:
        self.asked, self._hurry = threading.Event(), threading.Event()
        self.closed = 0

    def commit(self, works: Sequence[Work[Any]]) -> list[Any]:
        self.asked.set()
        assert self._hurry.wait(50)
        raise CommitFailedError(OSError(f"no server, {len(works)} lost"))

    def failed(self, reason: Exception) -> LedgerError:
        return LedgerError(f"not written: {reason}")

    def hurry(self) -> None:
        self._hurry.set()

    def close(self) -> None:
        self.closed += 1


async def test_closing_hurries_a_commit_that_is_being_repeated_and_closes_what_it_has() -> None:
    database = Patient()
    writer = Writer(database)
    facts: list[Work[str]] = [writes("first"), writes("second")]
    answers = [writer.do(fact, keep=True) for fact in facts]
    assert database.asked.wait(50)

    with pytest.raises(LedgerError, match="not written: no server, 2 lost"):
        writer.close()
    told = await asyncio.gather(*answers, return_exceptions=True)

    assert [str(error) for error in told] == ["not written: no server, 1 lost"] * 2
    assert writer.unwritten == (*facts,)
    assert database.closed == 1

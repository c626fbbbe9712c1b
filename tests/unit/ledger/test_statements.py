"""The statements that serve every store: what each changes, and in which order rows come."""

import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger import steps
from suno_cover_async.ledger.entry import CHOICE_COLUMNS, RUN_COLUMNS, TRACK_COLUMNS, Row
from suno_cover_async.ledger.sqlite import statements, tables
from suno_cover_async.ledger.store import Transaction
from suno_cover_async.models import Decision

URL = "https://api.example"
NAMES = '{"": {}}'


def add(there: Transaction, *music_tasks: str, names: str = NAMES) -> list[str]:
    """Add tracks; return those that were known."""
    return [music for music, _ in there.add([(music, names) for music in music_tasks])]


def numbers(rows: Sequence[Row]) -> list[object]:
    return [row["number"] for row in rows]


def save(there: Transaction, number: int, cover_task_id: str = "c1") -> None:
    there.change(number, {"state": "saved", "cover_task_id": cover_task_id})


def choose(
    there: Transaction, number: int, decision: Decision, revision: int, cover_task_id: str = "c1"
) -> bool:
    """Record a decision that follows this revision."""
    columns = dict(
        zip(CHOICE_COLUMNS, (decision.value, None, revision + 1, 1.0, "Ann"), strict=True)
    )
    return there.decide(number, cover_task_id, columns, revision=revision)


def test_tracks_are_added_in_order_and_those_that_are_known_come_back(there: Transaction) -> None:
    assert add(there, "b", "a", "c") == []
    assert add(there, "c", "d", "a", "d") == ["c", "a", "d"]
    assert [row["music_task_id"] for row in there.page([], 0, 9)] == ["b", "a", "c", "d"]
    assert there.add([]) == []


def test_what_is_known_comes_back_as_it_was_given(there: Transaction) -> None:
    first, second = ("m1", '{"Song": {}}'), ("m1", '{"Other": {}}')

    assert there.add([first, second]) == [second]
    assert there.find("m1")["names"] == first[1]


def test_a_track_that_is_gone_is_an_error_that_names_it(there: Transaction) -> None:
    add(there, "m1")

    assert there.track(1) == there.find("m1")
    assert tuple(there.track(1)) == TRACK_COLUMNS
    with pytest.raises(LedgerError, match="entry 2 is gone: does another program write"):
        there.track(2)
    with pytest.raises(LedgerError, match="entry of m2 is gone"):
        there.find("m2")


def test_a_change_is_of_the_given_columns_of_one_track(there: Transaction) -> None:
    add(there, "m1", "m2")
    before = there.track(1)
    there.change(1, {"submits": 3, "reason": "why"})
    there.change(2, {})

    assert there.track(1) == {**before, "submits": 3, "reason": "why"}
    assert there.track(2) == {**before, "number": 2, "music_task_id": "m2"}


def test_pages_are_of_the_wanted_states_in_the_order_of_numbers(there: Transaction) -> None:
    add(there, *"abcdefg")
    for number in (2, 5):
        there.change(number, {"state": "failed"})
    there.change(4, {"state": "attention"})

    assert numbers(there.page([], 0, 3)) == [1, 2, 3]
    assert numbers(there.page([], 3, 9)) == [4, 5, 6, 7]
    assert numbers(there.page(["failed"], 2, 9)) == [5]
    assert numbers(there.page(["attention", "failed"], 0, 2)) == [2, 4]
    assert numbers(there.page(["attention", "failed"], 4, 9)) == [5]


def test_states_are_counted_with_the_first_of_each(there: Transaction) -> None:
    add(there, "m1", "m2", "m3", "m4")
    there.change(2, {"state": "submitting"})
    there.change(4, {"state": "submitting", "retried": 1})
    there.change(3, {"retried": 1})

    assert sorted(there.counts(), key=str) == [("submitting", 2, 2), ("waiting", 2, 1)]
    assert there.count_retried() == 1


def test_tracks_in_one_state_are_dropped_and_counted(there: Transaction) -> None:
    add(there, "m1", "m2", "m3")
    there.change(2, {"state": "submitting"})

    assert there.drop("waiting") == 2
    assert there.drop("waiting") == 0
    assert numbers(there.page([], 0, 9)) == [2]


def test_the_covers_that_are_not_saved_come_oldest_first(there: Transaction) -> None:
    add(there, *"abcde")
    for number, completed_at in ((1, 30.5), (2, 10.0), (3, 20.0), (5, 30.25)):
        there.change(number, {"state": "covered", "completed_at": completed_at})
    there.change(3, {"state": "saved"})

    assert numbers(there.unsaved(9)) == [2, 5, 1]
    assert numbers(there.unsaved(2)) == [2, 5]


def test_base_urls_are_kept_once_until_they_are_dropped(there: Transaction) -> None:
    there.add_base_url(URL)
    there.add_base_url(URL)

    assert there.has_base_url(URL)
    assert not there.has_base_url(f"{URL}/v2")
    there.drop_base_urls()
    assert not there.has_base_url(URL)


def test_the_latest_catalog_is_known_by_its_fingerprint(there: Transaction) -> None:
    known = [there.catalog()]
    for fingerprint in ("a", "b", None):
        there.set_catalog(fingerprint)
        known.append(there.catalog())

    assert known == [None, "a", "b", None]


def test_runs_come_latest_first_each_with_its_own_counts(there: Transaction) -> None:
    runs = [there.add_run(float(began_at), "account") for began_at in (7, 8, 9)]
    for adopted in (False, False, True):
        there.count_submit(runs[1], adopted=adopted)
    there.change_run(runs[0], {"balance_before": 4.5})
    rows = there.runs(9)

    assert numbers(rows) == [*reversed(runs)]
    assert numbers(there.runs(2)) == [runs[2], runs[1]]
    assert tuple(rows[0]) == RUN_COLUMNS
    assert [(row["submitted"], row["adopted"]) for row in rows] == [(0, 0), (2, 1), (0, 0)]
    assert [row["balance_before"] for row in rows] == [None, None, 4.5]
    began_at = [
        float(str(row["began_at"])) for row in rows
    ]  # by a database's own clock, if it has one
    assert began_at == sorted(began_at, reverse=True)
    assert len(set(began_at)) == 3


def test_submits_are_added_up_to_the_limit_and_taken_off(there: Transaction) -> None:
    assert there.submits() == 0
    assert there.add_submits(2)
    assert there.add_submits(1, at_most=3)
    assert not there.add_submits(1, at_most=3)
    assert not there.add_submits(1, at_most=0)
    assert there.submits() == 3
    assert there.add_submits(-1)
    assert not there.add_submits(2, at_most=3)
    assert there.add_submits(1, at_most=3)
    assert there.add_submits(1)
    assert there.submits() == 4


def test_no_more_submits_are_begun_than_may_be_however_many_handles_begin_them(
    tmp_path: Path,
) -> None:
    at_most, each = 25, 20

    def handle() -> sqlite3.Connection:
        return sqlite3.connect(
            tmp_path / "covers.db", timeout=60, isolation_level=None, check_same_thread=False
        )

    with contextlib.closing(handle()) as one, contextlib.closing(handle()) as two:
        one.execute("PRAGMA journal_mode = WAL")
        tables.make(one)
        add(statements.transaction(one), *(f"m{number}" for number in range(2 * each)))
        begun: list[bool] = []

        def begin(database: sqlite3.Connection, first: int) -> None:
            there = statements.transaction(database)
            for number in range(first, first + each):
                database.execute("BEGIN IMMEDIATE")
                begun.append(steps.submitting(number, 1, at_most)(there))
                database.execute("COMMIT")

        threads = [
            threading.Thread(target=begin, args=arguments)
            for arguments in ((one, 1), (two, 1 + each))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        there = statements.transaction(one)
        assert begun.count(True) == there.submits() == at_most
        assert ("submitting", at_most) in [(state, many) for state, many, _ in there.counts()]


def test_a_choice_is_recorded_if_it_follows_the_one_that_stands(there: Transaction) -> None:
    add(there, "m1")
    save(there, 1)

    assert not choose(there, 1, Decision.LATER, revision=1)
    assert choose(there, 1, Decision.LATER, revision=0)
    assert not choose(there, 1, Decision.IMAGE, revision=0)
    assert choose(there, 1, Decision.NEITHER, revision=1)
    (row,) = there.page([], 0, 9)
    assert [row[name] for name in CHOICE_COLUMNS] == ["neither", None, 2, 1.0, "Ann"]


def test_a_choice_about_another_cover_task_does_not_stand(there: Transaction) -> None:
    add(there, "m1")
    save(there, 1)
    choose(there, 1, Decision.LATER, revision=0)
    save(there, 1, cover_task_id="c2")
    (row,) = there.page([], 0, 9)

    assert (row["decision"], row["revision"]) == ("undecided", 0)
    assert choose(there, 1, Decision.NEITHER, revision=0, cover_task_id="c2")
    assert [(name, many) for name, many, _ in there.decisions("")] == [("neither", 1)]


def test_saved_tracks_are_found_by_decision_and_by_a_part_of_a_title(there: Transaction) -> None:
    for number, title in enumerate(("Straße", "Søster", "Strasse 2", "100 %_"), 1):
        add(there, f"m{number}", names=f'{{"{title}": {{"column": "unseen"}}}}')
    for number in (1, 2, 3):
        save(there, number)
    choose(there, 2, Decision.LATER, revision=0)

    def pairs(decisions: list[str], search: str, after: int = 0) -> list[object]:
        return numbers(there.pairs(decisions, search, after, 9))

    assert pairs([], "") == [1, 2, 3]
    assert pairs([], "", after=1) == [2, 3]
    assert numbers(there.pairs([], "", 0, 2)) == [1, 2]
    assert pairs(["undecided"], "") == [1, 3]
    assert pairs(["later", "neither"], "") == [2]
    assert pairs([], "STRASSE") == [1, 3]
    assert pairs([], "SØS") == [2]
    assert pairs([], "unseen") == pairs([], "100") == []
    save(there, 4)
    assert pairs([], "%_") == [4]
    assert sorted(there.decisions("st"), key=str) == [("later", 1, 2), ("undecided", 2, 1)]

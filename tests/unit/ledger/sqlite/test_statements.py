"""The statements on a ledger's tables: that pages, claims and counts use an index."""

import contextlib
import sqlite3
from collections.abc import Callable

import pytest

from suno_cover_async.ledger.sqlite import statements, tables
from suno_cover_async.ledger.store import Transaction

PAGES: dict[str, Callable[[Transaction], object]] = {
    "pairs": lambda there: there.pairs(["undecided"], "song", 0, 50),
    "page": lambda there: there.page(["covered"], 0, 100),
    "unsaved": lambda there: there.unsaved(8),
    "claim": lambda there: there.claim("waiting", 1, 20),
    "claim unsaved": lambda there: there.claim_unsaved(1, 8),
}


def plan_of(name: str) -> str:
    """Return the plan of a page's query."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        tables.make(database)
        statements.prepare_to_hold(database)
        there = statements.transaction(database)
        queries: list[str] = []
        database.set_trace_callback(queries.append)
        PAGES[name](there)
        database.set_trace_callback(None)
        (query,) = queries
        return "; ".join(row[-1] for row in database.execute(f"EXPLAIN QUERY PLAN {query}"))


@pytest.mark.parametrize("name", PAGES)
def test_no_page_reads_the_whole_table_or_sorts(name: str) -> None:
    plan = plan_of(name)

    assert "SCAN tracks" not in plan or "tracks_by_age" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("name", PAGES)
def test_choices_are_found_by_their_number(name: str) -> None:
    assert "SEARCH choices USING INTEGER PRIMARY KEY" in plan_of(name)


def test_held_tracks_are_found_by_their_number() -> None:
    for name in ("claim", "claim unsaved"):
        assert "USING ROWID SEARCH ON TABLE held" in plan_of(name)

"""The statements on a ledger's tables: that pages and counts use an index."""

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from suno_cover_async.ledger.sqlite import statements, tables


@pytest.fixture
def plans() -> Iterator[list[str]]:
    """Return the plans of the queries that are run with the fixture's connection."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        tables.make(database)
        statements.prepare_to_hold(database)
        there = statements.transaction(database)
        found: list[str] = []
        queries: list[str] = []
        database.set_trace_callback(queries.append)
        there.pairs(["undecided"], "song", 0, 50)
        there.page(["covered"], 0, 100)
        there.unsaved(1, 8)
        database.set_trace_callback(None)
        for query in queries:
            rows = database.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            found.append("; ".join(row[-1] for row in rows))
        yield found


def test_no_page_reads_the_whole_table_or_sorts(plans: list[str]) -> None:
    assert len(plans) == 3
    for plan in plans:
        assert "SCAN tracks" not in plan or "tracks_by_age" in plan
        assert "TEMP B-TREE" not in plan


def test_choices_are_found_by_their_number(plans: list[str]) -> None:
    for plan in plans:
        assert "SEARCH choices USING INTEGER PRIMARY KEY" in plan

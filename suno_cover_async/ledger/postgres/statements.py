"""Define the statements on the tables of a ledger that are PostgreSQL's own.

A run holds the tracks that it works on, by its number in `tracks.holder`, and says every few
seconds that it is alive. One that is silent for too long, by the server's clock, loses them. This
module must not know connections or what a state means. `tables.py` has the tables.
"""

import json
import os
from collections.abc import Mapping, Sequence
from platform import node
from typing import Any, ClassVar

from psycopg import Cursor
from psycopg.rows import TupleRow

from suno_cover_async.ledger.entry import HOLDER_COLUMNS, Plain, Row
from suno_cover_async.ledger.statements import JOIN, Statements
from suno_cover_async.ledger.store import Transaction
from suno_cover_async.postgres.connection import Connection

# What may come to a run: only earlier runs put it off, and no other account paid for it. Both
# parameters are the run. It may take it now if no run holds it.
_FOR_RUN = """
    coalesce(put_off, 0) < ? AND (tracks.account IS NULL
        OR tracks.account = (SELECT runs.account FROM runs WHERE runs.number = ?))
"""
_FREE = f"tracks.holder IS NULL AND {_FOR_RUN}"
_NOW = "extract(epoch FROM clock_timestamp())::float8"
_PAID = "state IN ('submitting', 'submitted')"
# Whether a run was heard of lately. While the server is away, nobody is heard of.
_HEARD = """
    clock_timestamp() - greatest(runs.heard_at, pg_postmaster_start_time())
    <= (SELECT dead_after FROM ledger) * interval '1 second'
"""
# Holders that are no run at work, as another program may have written. It goes from one holder to
# the next by the index: a plan for `holder IS NOT NULL` would read all tracks.
_ORPHANS = """
    WITH RECURSIVE held (holder) AS (
        SELECT min(holder) FROM tracks
        UNION ALL
        SELECT (SELECT min(tracks.holder) FROM tracks WHERE tracks.holder > held.holder)
        FROM held WHERE held.holder IS NOT NULL
    )
    SELECT holder FROM held WHERE holder IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM runs WHERE number = holder AND released_at IS NULL)
"""

Places = dict[tuple[int, str], int]
"""The number of the track that a run claimed last in a state, by both; empty as a run begins."""


def transaction(
    connection: Connection, *, writes: bool = True, places: Places | None = None
) -> Transaction:
    """Return the statements on a connection; the caller begins and ends the transaction.

    A transaction that `writes` locks each track that it reads by its number or music task. `places`
    is kept from one transaction to the next, so that claims go on where the last one ended.
    """
    return _Transaction(connection, writes=writes, places={} if places is None else places)


class _Transaction(Statements):
    """The statements of a transaction, documented in `store.Transaction`."""

    has_title: ClassVar[str] = "(? = '' OR strpos(titles, ?) > 0)"

    def __init__(self, connection: Connection, *, writes: bool, places: Places) -> None:
        self._connection = connection
        self._lock = " FOR UPDATE" if writes else ""
        self._places = places

    def execute(self, statement: str, values: Sequence[Plain] = ()) -> Cursor[TupleRow]:
        return self._execute(statement, *values)

    def _execute(self, statement: str, *values: object) -> Cursor[TupleRow]:
        query = statement.replace("?", "%s").encode()
        return self._connection.execute(query, [_plain(value) for value in values])

    def _only_value(self, statement: str, *values: object) -> Any:
        row = self._execute(statement, *values).fetchone()
        return None if row is None else row[0]

    def take_account(self, _account: str) -> bool:
        return True  # each track has its own

    def forget_account(self) -> None:
        self._execute("UPDATE tracks SET account = NULL WHERE account IS NOT NULL")

    def own(self, number: int, run: int) -> None:
        self._execute(
            "UPDATE tracks SET account = (SELECT account FROM runs WHERE number = ?) "
            "WHERE number = ?",
            *(run, number),
        )

    def disown(self, number: int) -> None:
        self._execute("UPDATE tracks SET account = NULL WHERE number = ?", number)

    def count_foreign(self, account: str) -> int:
        query = f"SELECT count(*) FROM tracks WHERE {_PAID} AND account <> ?"  # noqa: S608 - a constant of ours
        return int(self._only_value(query, account))

    def add_run(self, _began_at: float, account: str) -> int:
        self._places.clear()
        self._release_orphans()
        statement = (
            f"INSERT INTO runs (began_at, account, host, process) VALUES ({_NOW}, ?, ?, ?) "  # noqa: S608 - a constant of ours
            "RETURNING number"
        )
        return int(self._only_value(statement, account, node(), os.getpid()))

    def is_at_work(self, run: int) -> bool:
        # The lock keeps others from giving the run up before this transaction ends. So what it
        # writes, it writes while the tracks are its own.
        query = "SELECT 1 FROM runs WHERE number = ? AND released_at IS NULL FOR SHARE"
        return self._only_value(query, run) is not None

    def beat_seconds(self) -> float | None:
        return float(self._only_value("SELECT dead_after / 4 FROM ledger"))

    def beat(self, run: int) -> None:
        self._execute(
            "UPDATE runs SET heard_at = clock_timestamp(), returned_at = CASE "
            "WHEN clock_timestamp() - heard_at > dead_after / 2 * interval '1 second' "
            "THEN clock_timestamp() ELSE returned_at END FROM ledger WHERE number = ?",
            run,
        )

    def end_run(self, run: int, _ended_at: float) -> None:
        self._lock_run(run)
        # A submit without an answer may still be on its way to the API, and must not be repeated
        # meanwhile: its track stays held until the run counts as silent.
        self._release("holder = ? AND state <> 'submitting'", run)
        ended = f"""
            UPDATE runs SET ended_at = {_NOW}, heard_at = clock_timestamp(), released_at = CASE
                WHEN EXISTS (SELECT 1 FROM tracks WHERE holder = runs.number) THEN released_at
                ELSE coalesce(released_at, clock_timestamp())
            END WHERE number = ?
        """  # noqa: S608 - a constant of ours
        self._execute(ended, run)

    def drop_run(self, number: int) -> bool:
        self._lock_run(number)
        dropped = self._execute(
            "DELETE FROM runs WHERE number = ? "
            "AND NOT EXISTS (SELECT 1 FROM tracks WHERE holder = runs.number)",
            number,
        )
        return dropped.rowcount == 1

    def give_up_silent_runs(self, run: int) -> None:
        # After an outage all runs are silent, and the first one back must not give the others up:
        # so silence counts from the server's start and from this run's own return at the earliest,
        # and a run that is silent itself gives up nobody, nor itself. A run that has just begun
        # cannot know of an outage: it leaves the others half of `dead_after`, in which those that
        # were cut off connect again, which they try every 12 s at the least; a run that must have
        # the ledger alone waits for as long. A run whose transaction is under way is locked, and
        # left to the next call.
        silent = self._execute(
            "SELECT runs.number FROM runs, runs AS ours, ledger "
            "WHERE ours.number = ? AND runs.released_at IS NULL "
            "AND clock_timestamp() - greatest(runs.heard_at, ours.returned_at, "
            "to_timestamp(ours.began_at) - dead_after / 2 * interval '1 second', "
            "pg_postmaster_start_time()) > dead_after * interval '1 second' "
            "AND clock_timestamp() - ours.heard_at < dead_after / 2 * interval '1 second' "
            "FOR UPDATE OF runs SKIP LOCKED",
            run,
        ).fetchall()
        for (other,) in silent:
            self._release_tracks_of(other)
        if silent:
            self._release_orphans()

    def give_up(self, run: int) -> bool:
        is_there = self._lock_run(run)
        if is_there:
            self._release_tracks_of(run)
        return is_there

    def _lock_run(self, run: int) -> bool:
        """Lock a run, and return whether it has its tracks.

        Whoever releases the tracks of a run locks it before it reads them: else it would miss those
        that a last transaction of the run claims meanwhile, and nobody would ever get them.
        """
        query = "SELECT 1 FROM runs WHERE number = ? AND released_at IS NULL FOR UPDATE"
        return self._only_value(query, run) is not None

    def _release_tracks_of(self, run: int) -> None:
        self._release("holder = ?", run)
        self._execute("UPDATE runs SET released_at = clock_timestamp() WHERE number = ?", run)

    def _release_orphans(self) -> bool:
        # Not with each claim: the index has an entry for each track held since the last vacuum.
        orphans = [number for (number,) in self._execute(_ORPHANS).fetchall()]
        return bool(orphans) and self._release("holder = ANY(?)", orphans) > 0

    def lock_catalog(self) -> None:
        self._execute("SELECT 1 FROM ledger FOR UPDATE")

    def others(self, run: int) -> list[tuple[int, str, str | None, bool]]:
        return self._execute(
            f"SELECT number, host, catalog, NOT ({_HEARD}) FROM runs "  # noqa: S608 - a constant of ours
            "WHERE ended_at IS NULL AND released_at IS NULL AND number <> ? ORDER BY number",
            run,
        ).fetchall()

    def work_on(self, run: int, catalog: str) -> None:
        self._execute("UPDATE runs SET catalog = ? WHERE number = ?", catalog, run)

    def holders(self) -> list[Row]:
        found = self._execute(
            "SELECT runs.number, host, process, began_at, ended_at IS NOT NULL, "
            "extract(epoch FROM heard_at)::float8, count(tracks.number), "
            "extract(epoch FROM min(held_since))::float8, runs.submitted + runs.adopted "
            "FROM runs LEFT JOIN tracks ON holder = runs.number WHERE released_at IS NULL "
            "GROUP BY runs.number ORDER BY runs.number"
        )
        return [dict(zip(HOLDER_COLUMNS, row, strict=True)) for row in found]

    def others_submitting(self, run: int) -> int:
        query = f"""
            SELECT count(*) FROM tracks JOIN runs ON runs.number = holder
            WHERE state = 'submitting' AND holder <> ? AND released_at IS NULL AND {_HEARD}
        """  # noqa: S608 - a constant of ours
        return int(self._only_value(query, run))

    def claim(self, state: str, run: int, limit: int) -> list[Row]:
        # The index has the entries of tracks that were taken until they are vacuumed, which may be
        # a million in a row. So a run goes on above the last track that it claimed; tracks that
        # were released below come once there is no other. A place need not be right: the claim
        # that it comes from may have been undone.
        place = self._places.get((run, state), 0)
        rows = self._claim_above(place, state, run, limit)
        if not rows and place:
            rows = self._claim_above(0, state, run, limit)
        if rows:
            self._places[run, state] = int(str(rows[-1]["number"]))
        return rows

    def _claim_above(self, place: int, state: str, run: int, limit: int) -> list[Row]:
        chosen = f"state = ? AND tracks.number + 0 > ? AND {_FREE} ORDER BY tracks.number + 0"
        return self._hold(chosen, run, limit, "tracks.number", state, place, run, run)

    def claim_unsaved(self, run: int, limit: int) -> list[Row]:
        chosen = f"state = 'covered' AND {_FREE} ORDER BY completed_at"
        return self._hold(chosen, run, limit, "completed_at", run, run)

    def _hold(self, chosen: str, run: int, limit: int, order: str, *values: object) -> list[Row]:
        held = self._execute(
            f"WITH chosen AS (SELECT number FROM tracks WHERE {chosen} LIMIT ? "  # noqa: S608 - constants of ours
            "FOR UPDATE SKIP LOCKED) "
            "UPDATE tracks SET holder = ?, held_since = clock_timestamp() FROM chosen "
            "WHERE tracks.number = chosen.number RETURNING tracks.number",
            *(*values, limit, run),
        ).fetchall()
        if not held:
            return []
        # One text for all claims, so that the server plans it once.
        numbers = ",".join(str(number) for (number,) in held)
        chosen = "tracks.number = ANY(string_to_array(?, ',')::bigint[])"
        return self.entries(f"FROM tracks {JOIN} WHERE {chosen} ORDER BY {order}", numbers)

    def holds(self, number: int, run: int) -> bool:
        query = "SELECT 1 FROM tracks WHERE number = ? AND holder = ?"
        return self._only_value(query, number, run) is not None

    def release(self, number: int, run: int) -> None:
        self._release("number = ? AND holder = ?", number, run)

    def release_all(self, state: str, run: int) -> None:
        self._release("state = ? AND holder = ?", state, run)

    def _release(self, where: str, *values: object) -> int:
        released = f"UPDATE tracks SET holder = NULL, held_since = NULL WHERE {where}"  # noqa: S608 - constants of ours
        return self._execute(released, *values).rowcount

    def others_hold(self, states: Sequence[str], run: int) -> bool:
        came_free = self._release_orphans()
        query = f"""
            SELECT EXISTS (
                SELECT 1 FROM tracks
                WHERE holder IS NOT NULL AND holder <> ? AND state = ANY(?) AND {_FOR_RUN}
            )
        """  # noqa: S608 - a constant of ours
        return came_free or bool(self._only_value(query, run, list(states), run, run))

    def page(self, states: Sequence[str], after: int, limit: int) -> list[Row]:
        wanted = f"state IN ({', '.join('?' * len(states))}) AND " if states else ""
        rest = f"FROM tracks {JOIN} WHERE {wanted}tracks.number > ? ORDER BY tracks.number LIMIT ?"
        return self.entries(rest, *states, after, limit)

    def track(self, number: int) -> Row:
        return self.only(f"entry {number}", f"FROM tracks WHERE number = ?{self._lock}", number)

    def find(self, music_task_id: str) -> Row:
        rest = f"FROM tracks WHERE music_task_id = ?{self._lock}"
        return self.only(f"entry of {music_task_id}", rest, music_task_id)

    def add(self, tracks: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        first: dict[str, str] = {}  # of several tracks of one music task
        for song, names in tracks:
            first.setdefault(song, names)
        titles = list(map(_titles, first.values()))
        # psycopg makes arrays in binary with a tenth of the CPU that it needs for text.
        added = self._execute(
            """
            INSERT INTO tracks (music_task_id, names, titles)
            SELECT music_task_id, names, titles
            FROM unnest(%b::text[], %b::text[], %b::text[])
            WITH ORDINALITY AS given (music_task_id, names, titles, position)
            WHERE NOT EXISTS (SELECT 1 FROM tracks WHERE music_task_id = given.music_task_id)
            ORDER BY position ON CONFLICT DO NOTHING RETURNING music_task_id
            """,
            *(list(first), list(first.values()), titles),
        )
        new, known = {song for (song,) in added}, list[tuple[str, str]]()
        for track in tracks:
            if track[0] in new:
                new.remove(track[0])  # a second one of the same music task is known
            else:
                known.append(track)
        return known

    def change(self, number: int, columns: Mapping[str, Plain]) -> None:
        if "names" in columns:
            columns = {**columns, "titles": _titles(columns["names"])}
        super().change(number, columns)


def _plain(value: object) -> object:
    """Return a value as the columns have it: flags are 0 or 1."""
    if isinstance(value, str):
        return _text(value)
    return int(value) if isinstance(value, bool) else value


def _titles(names: Plain) -> str:
    """Return the titles in the column `names` in small letters."""
    titles: Mapping[str, object] = json.loads(str(names))
    return _text("\n".join(titles).casefold())


def _text(value: str) -> str:
    """Return a text without what PostgreSQL refuses: NUL, and halves of pairs of surrogates."""
    return value.encode(errors="replace").decode().replace("\0", "\ufffd")

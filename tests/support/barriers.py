"""Barriers in a ledger's tables: whoever comes to a closed one waits inside of its statement.

A barrier is a trigger that waits for an advisory lock. So a test has a process stand still at a
chosen step of its work, without a word in that process's own code.
"""

import contextlib
from collections.abc import Generator
from typing import Literal

import attrs

from tests.support.postgres import Server

Place = Literal["take-in", "submitting", "commit", "submitted", "permit", "giving up"]

_PLACES: dict[Place, str] = {
    "take-in": "BEFORE INSERT ON suno_cover.tracks FOR EACH ROW "
    "WHEN (right(NEW.music_task_id, 1) = '3')",
    "submitting": "BEFORE UPDATE ON suno_cover.tracks FOR EACH ROW "
    "WHEN (OLD.state <> 'submitting' AND NEW.state = 'submitting')",
    "commit": "AFTER UPDATE ON suno_cover.tracks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
    "WHEN (OLD.state <> 'submitting' AND NEW.state = 'submitting')",
    "submitted": "BEFORE UPDATE ON suno_cover.tracks FOR EACH ROW "
    "WHEN (OLD.state <> 'submitted' AND NEW.state = 'submitted')",
    "permit": "BEFORE UPDATE ON suno_cover.permits FOR EACH ROW "
    "WHEN (NEW.token IS NOT NULL AND NEW.token IS DISTINCT FROM OLD.token)",
    "giving up": "BEFORE UPDATE ON suno_cover.runs FOR EACH ROW "
    "WHEN (OLD.released_at IS NULL AND NEW.released_at IS NOT NULL AND NEW.ended_at IS NULL)",
}
"""Where the barriers are; that of the commit is passed as the transaction is committed."""

_FUNCTION = """
CREATE FUNCTION pass_barrier() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared(1717, TG_ARGV[0]::integer); RETURN NEW; END $$
"""
_WAITING = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = 1717 AND objid = %s AND NOT granted
    AND datname = current_database()
"""


@attrs.frozen
class Barriers:
    """The barriers of one ledger, all of them open at first."""

    _server: Server
    _database: str

    def make(self) -> None:
        """Make the barriers, once the tables are there."""
        self._server.execute(_FUNCTION, database=self._database)
        for number, place in enumerate(_PLACES):
            kind = "CONSTRAINT TRIGGER" if place == "commit" else "TRIGGER"
            self._server.execute(
                f"CREATE {kind} barrier_{number} {_PLACES[place]} "
                f"EXECUTE FUNCTION pass_barrier('{number}')",
                database=self._database,
            )

    @contextlib.contextmanager
    def closed(self, place: Place) -> Generator[None]:
        """Keep a barrier closed in the block, or until the server ends."""
        with contextlib.closing(self._server.connect(self._database)) as connection:
            connection.execute("SELECT pg_advisory_lock(1717, %s)", (_number(place),))
            yield

    def waiting(self, place: Place) -> list[int]:
        """Return the processes at work that wait at one, or 0 for those that limit requests."""
        found = self._server.execute(_WAITING, _number(place), database=self._database)
        words = [str(name).split()[-1] for (name,) in found]
        return [int(word) if word.isdigit() else 0 for word in words]


def _number(place: Place) -> int:
    return list(_PLACES).index(place)

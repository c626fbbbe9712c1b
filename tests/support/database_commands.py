"""Ledgers in a database, which commands reach by a URL without the password."""

import asyncio
from collections import Counter
from typing import Any

import attrs

from suno_cover_async import Ledger
from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.commands import PATIENCE
from tests.support.postgres import Server

DEAD_AFTER = 8.0  # seconds; a process on a busy machine stands still for less


@attrs.frozen
class Database:
    """A database with a ledger, or one for it.

    Attributes:
        server: Its server.
        url: Its URL for commands, which find the password in PGPASSWORD.
    """

    server: Server
    url: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    def execute(self, statement: str, *values: object) -> list[Any]:
        """Run a statement as a superuser, committed at once, and return its rows."""
        return self.server.execute(statement, *values, database=self.name)

    def states(self) -> Counter[str]:
        """Count the tracks in each state."""
        return Counter(
            dict(self.execute("SELECT state, count(*) FROM suno_cover.tracks GROUP BY 1"))
        )

    def rows(self) -> str:
        """Return all that the ledger has, as text."""
        everything = "SELECT schema_to_xml('suno_cover', true, false, '')::text"
        return "".join(row for (row,) in self.execute(everything))

    async def until(self, condition: str, *values: object) -> None:
        """Return once the ledger has a track or run for which a condition holds."""
        async with asyncio.timeout(PATIENCE):
            while not await asyncio.to_thread(self.execute, condition, *values):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)


def without_password(url: str) -> str:
    return DatabaseUrl.parse(url).shown


async def make_ledger(database: Database, url: str) -> None:
    """Make a ledger whose silent runs are given up soon."""
    await Ledger(url).init()
    database.execute("UPDATE suno_cover.ledger SET dead_after = %s", DEAD_AFTER)

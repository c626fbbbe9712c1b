"""The commands and the program of the page "Several processes and machines", as on two hosts.

A host is a folder here, with a home folder of its own.
"""

import asyncio
import os
import re
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.integration.test_code_blocks import PAGES, blocks_of, pointed_at
from tests.support.batch_commands import catalog
from tests.support.commands import MODULE, Ended, environment, finish, start
from tests.support.database_commands import Database, without_password
from tests.support.job_engines import ROOT
from tests.support.postgres import PASSWORD, ROLE, Server
from tests.support.runs import billed

NAME = "docs/how-to/several-processes.md"
PAGE = PAGES[NAME]
COMMANDS = [
    line.removesuffix(" |")
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("suno-cover ")
]
PASSWORD_LINE = "db.example:5432:songs:me:PASSWORD"
UNSEEN = Scenario(image_size=16, null_polls=1_000_000)
QUICK = Scenario(image_size=16, seconds=0)


@attrs.frozen
class Hosts:
    """Two hosts, and the database with a role for their runs."""

    database: Database
    server: Server
    role: str
    folder: Path

    def command(self, words: str) -> list[str]:
        """Return the page's command with these words, for the test's database."""
        (line,) = [one for one in COMMANDS if words in one]
        here = f"127.0.0.1:{self.server.port}/{self.database.name}"
        line = line.replace("db.example/songs", here).replace("me@", f"{self.role}@")
        return shlex.split(line.replace("owner@", f"{ROLE}@"))[1:]

    def home(self, name: str, songs: list[str]) -> Path:
        """Make a host's folder, with the password where the page says, and the catalog."""
        home = self.folder / name
        home.mkdir()
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        line = PASSWORD_LINE.replace("db.example:5432", f"127.0.0.1:{self.server.port}")
        line = line.replace("songs", self.database.name).replace("PASSWORD", escaped)
        lines = [line.replace(":me:", f":{role}:") for role in (self.role, ROLE)]
        (home / ".pgpass").touch(mode=0o600)
        (home / ".pgpass").write_text("\n".join(lines))
        catalog(home, songs)
        return home

    async def started(
        self, words: str, home: Path, sandbox: Sandbox, *more: str
    ) -> asyncio.subprocess.Process:
        there = {"HOME": str(home), "SUNO_BASE_URL": sandbox.url, "SUNO_API_KEY": sandbox.api_key}
        own = environment(**there, PYTHONPATH=str(ROOT))
        return await start(*self.command(words), *more, program=MODULE, cwd=home, env=own)

    async def run(self, words: str, home: Path, sandbox: Sandbox) -> Ended:
        return await finish(await self.started(words, home, sandbox))


@pytest.fixture
def hosts(postgres_server: Server, database_url: str, tmp_path: Path) -> Iterator[Hosts]:
    database = Database(postgres_server, without_password(database_url))
    role = f"me_{database.name[-8:]}"
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    try:
        yield Hosts(database, postgres_server, role, tmp_path)
    finally:
        database.execute(f"DROP OWNED BY {role}")
        database.execute(f"DROP ROLE {role}")


async def test_the_pages_commands_cover_one_catalog_on_two_hosts_of_which_one_is_taken_away(
    hosts: Hosts,
) -> None:
    async with Sandbox(UNSEEN) as sandbox:
        songs = sandbox.add_music(3)
        a, b = hosts.home("a", songs), hosts.home("b", songs)

        made = await hosts.run("ledger init", a, sandbox)
        hosts.database.execute("\n".join(made.lines).replace("ROLE", hosts.role))
        doomed = await hosts.started("batch", a, sandbox, "--poll", "3")
        await hosts.database.until(
            "SELECT 1 FROM suno_cover.tracks WHERE state = 'submitted' HAVING count(*) = 3"
        )
        other = await hosts.started("batch", b, sandbox, "--poll", "3")
        await hosts.database.until("SELECT 1 FROM suno_cover.runs WHERE number = 2")
        doomed.kill()
        await finish(doomed)
        shown = await hosts.run("ledger show", b, sandbox)
        released = await hosts.run("ledger release", b, sandbox)
        await hosts.database.until("SELECT 1 FROM suno_cover.tracks WHERE holder = 2")
        other.send_signal(signal.SIGTERM)
        stopped = await finish(other)
        sandbox.scenario = QUICK
        last = await finish(await hosts.started("batch", a, sandbox, "--poll", "3"))

        assert (made.code, shown.code, released.code) == (ExitCode.DONE,) * 3
        assert len([line for line in shown.lines if line.startswith("holder\t")]) == 2
        assert stopped.code == ExitCode.TERMINATED
        assert last.code == ExitCode.DONE, last
        assert billed(sandbox) == Counter(songs)
        assert len(sandbox.journal.of("submit")) == 3
        assert len(list((a / "covers").glob("*.png"))) == 6


async def test_the_pages_program_shares_a_catalog_between_two_processes(
    hosts: Hosts, database_url: str
) -> None:
    (block,) = [one for one in blocks_of(NAME) if "DATABASE_URL" in one]
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(4)
        homes = [hosts.home(name, songs) for name in ("a", "b")]
        await hosts.run("ledger init", homes[0], sandbox)
        program = pointed_at(sandbox, block, "")
        here = os.environ | {"DATABASE_URL": database_url, "PYTHONPATH": str(ROOT)}

        both = [
            await start("-c", program, program=(sys.executable,), cwd=home, env=here)
            for home in homes
        ]
        ended = await asyncio.gather(*map(finish, both))

        assert [one.code for one in ended] == [0, 0], ended
        assert sorted(line for one in ended for line in one.lines) == sorted(
            f"Song {song}" for song in songs
        )
        assert billed(sandbox) == Counter(songs)


def test_the_page_has_these_commands_and_its_line_for_the_password() -> None:
    words = ["ledger init", "batch catalog.csv", "ledger show", "ledger release"]

    assert [" ".join(one.split()[1:3]) for one in COMMANDS] == words
    assert f"\n{PASSWORD_LINE}\n" in PAGE
    init = re.search(r"ledger init (\S+) \|\s+sed s/ROLE/me/ \| psql (\S+)\n", PAGE)
    assert init is not None
    assert init[1] == init[2]

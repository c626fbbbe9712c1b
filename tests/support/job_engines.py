"""Run the programs of `examples/` as users do: as workers of a job engine, in processes."""

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import attrs
import psycopg

from suno_cover_async import Ledger
from suno_cover_async.sandbox import Sandbox
from tests.support.commands import finish, start

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
QUICK = "poll=PollPolicy(initial_delay=0.05, min_interval=0.05), "


@attrs.frozen
class Engine:
    """A folder with an example, and what its processes find in their environment."""

    folder: Path
    url: str
    environment: dict[str, str]

    async def run(self, *program: str) -> None:
        """Run a program there to its end."""
        ended = await finish(await self.started(*program))
        assert ended.code == 0, ended

    async def started(self, *program: str) -> asyncio.subprocess.Process:
        return await start(
            program=(sys.executable, *program), cwd=self.folder, env=self.environment
        )

    @contextlib.asynccontextmanager
    async def worker(self, *program: str) -> AsyncGenerator[asyncio.subprocess.Process, None]:
        """Run a worker in a process group of its own, which is killed at the end."""
        with (self.folder / "worker.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *program),
                cwd=self.folder,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    @property
    def log(self) -> str:
        """What all workers wrote."""
        return (self.folder / "worker.log").read_text()

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Run a statement in the database, committed at once, and return its rows."""
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def accounts_that_share_a_limit(self) -> int:
        ((number,),) = self.rows("SELECT count(DISTINCT account) FROM suno_cover.permits")
        return int(number)

    def covers(self) -> dict[str, list[str]]:
        """The files on record for each song, which must exist."""
        found = dict(self.rows("SELECT song, files FROM cover_jobs"))
        assert all((self.folder / file).is_file() for files in found.values() for file in files)
        return found


def printed_commands(name: str, beginning: str) -> list[list[str]]:
    """Return the words of each command in an example's docstring that begins so."""
    lines = (EXAMPLES / name).read_text().split('"""')[1].splitlines()
    return [shlex.split(line) for line in lines if line.startswith(f"    {beginning}")]


async def engine_of(name: str, folder: Path, url: str, sandbox: Sandbox, **more: str) -> Engine:
    """Copy an example whose clients poll often, and make the tables that it names."""
    program = (EXAMPLES / name).read_text()
    quick = program.replace("SunoCoverClient(", f"SunoCoverClient({QUICK}").replace(
        "import ClientUsageError", "import PollPolicy, ClientUsageError"
    )
    assert quick.count(QUICK) == 1
    (folder / name).write_text(quick)
    here = {
        "SUNO_API_KEY": sandbox.api_key,
        "SUNO_BASE_URL": sandbox.url,
        "DATABASE_URL": url,
        "PYTHONPATH": str(ROOT),
    }
    engine = Engine(folder, url, os.environ | here | more)
    await Ledger(url).init()
    ((*_, table),) = printed_commands(name, "psql ")
    engine.rows(table)
    return engine

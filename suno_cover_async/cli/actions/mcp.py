"""`mcp`: serve agents over standard input and output, by the Model Context Protocol.

`suno_cover_async.agents` is the server. Nothing here writes to standard output, which is the
protocol's alone.
"""

import contextlib
import os
import sys
from pathlib import Path

import click

from suno_cover_async import Ledger
from suno_cover_async.agents.server import AgentServer
from suno_cover_async.cli import settings
from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.ledger_path import LedgerPath, is_database
from suno_cover_async.cli.output.console import say, stderr
from suno_cover_async.cli.process import run

_NO_LIMIT = (
    "--max-covers N is missing: an agent spends money by itself, so there is no default; N is the "
    "most covers that this ledger ever pays for"
)


def perform(
    *, ledger_path: LedgerPath, into: Path, max_covers: int | None, connection: Connection
) -> int:
    """Serve an agent until its host closes standard input, and return the exit code."""
    if max_covers is None:
        raise click.UsageError(_NO_LIMIT)
    if is_database(ledger_path):
        raise click.UsageError("--ledger must be a file: one server works with its ledger alone")
    if _is_standard_input(settings.key_file(connection).value):
        raise click.UsageError("standard input is the protocol's, so it cannot hold the key")
    server = AgentServer(
        connection.client(), Ledger(ledger_path), into=into.absolute(), max_covers=max_covers
    )
    return run(_serve(server, ledger_path), leaving=server)


def _is_standard_input(name: str | None) -> bool:
    """Return whether the key's file is standard input, also by a name such as /dev/stdin."""
    if name is None or name == "-":
        return name == "-"
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it is closed, or no file
        return os.path.samestat(os.stat(name), os.fstat(sys.stdin.fileno()))  # noqa: PTH116
    return False


async def _serve(server: AgentServer, ledger_path: LedgerPath) -> int:
    async with server.opened() as agent_run:
        budget = await agent_run.budget()
        covers = f"{budget.begun:,} of {budget.max_covers:,} covers begun"
        say(stderr(), f"serving agents on standard input and output; {ledger_path}: {covers}")
        if sys.stdin.isatty():
            say(stderr(), "a program that runs agents starts this command; Ctrl-C ends it")
        await server.serve(agent_run)
    return ExitCode.DONE

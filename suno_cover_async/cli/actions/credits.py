"""`credits`: request the account's balance, and show it as text or JSON."""

import json

from suno_cover_async import SunoCoverClient
from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.output.console import result, stderr
from suno_cover_async.cli.output.records import CreditsRecord, as_json
from suno_cover_async.cli.output.spinner import waiting
from suno_cover_async.cli.process import run


def perform(*, as_json: bool, connection: Connection) -> int:
    """Show the balance, and return the exit code."""
    return run(show_credits(connection.client(), with_json=as_json))


async def show_credits(client: SunoCoverClient, *, with_json: bool) -> int:
    """Request the balance and show it."""
    async with client:
        with waiting(stderr(), "waiting for the balance"):
            balance = await client.credits()
    if with_json:
        result(as_json(CreditsRecord(credits=balance)))
    else:
        result(json.dumps(balance).removesuffix(".0"))
    return ExitCode.DONE

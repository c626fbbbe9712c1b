"""`details`: request the details of a cover task, or wait for it, and show them."""

import asyncio
from pathlib import Path

from suno_cover_async import (
    CoverDetails,
    CoverStatus,
    CoverTimeoutError,
    NotFoundError,
    SunoCoverClient,
)
from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.failures import explain
from suno_cover_async.cli.output.console import copyable, result, say, stderr
from suno_cover_async.cli.output.follow_up import command_line
from suno_cover_async.cli.output.records import DetailsRecord, as_json, facts
from suno_cover_async.cli.output.spinner import waiting
from suno_cover_async.cli.process import run
from suno_cover_async.common.text import printable


def perform(
    *, cover_task_id: str, wait: bool, into: Path | None, as_json: bool, connection: Connection
) -> int:
    """Show a cover task as the options say, and return the exit code."""
    return run(
        show_details(
            connection.client(),
            cover_task_id,
            wait=wait,
            into=into,
            with_json=as_json,
            connection=connection,
        )
    )


async def show_details(
    client: SunoCoverClient,
    cover_task_id: str,
    *,
    wait: bool,
    into: Path | None,
    with_json: bool,
    connection: Connection,
) -> int:
    """Request the details of a cover task, or wait for it; save its images into a folder.

    A wait that is cancelled or too long, and a download that is cancelled, end with the command
    that continues.

    Args:
        client: The client to use; it is closed at the end.
        cover_task_id: The cover task.
        wait: Wait until it is finished.
        into: The folder of the images; None saves none.
        with_json: Write a record as JSON.
        connection: The options that the client was made from.
    """

    def again(connection: Connection) -> str:
        out = [] if into is None else ["--out", str(into)]
        options = ["--wait", *out, *["--json"] * with_json, *connection.arguments()]
        if cover_task_id.startswith("-"):
            return command_line("details", *options, "--", cover_task_id)
        return command_line("details", cover_task_id, *options)

    files: tuple[Path, ...] = ()
    async with client:
        try:
            details = await (_wait if wait else _request)(client, cover_task_id)
        except NotFoundError as error:
            error.add_note("is it a music task's id? then: suno-cover generate ID")
            raise
        except CoverTimeoutError as error:
            say(stderr(), f"Error: {explain(error)}", "red")
            say(stderr(), "to continue, and wait twice as long:")
            copyable(stderr(), again(connection.longer()))
            return ExitCode.TIMED_OUT
        except asyncio.CancelledError:
            if wait:
                say(stderr(), "the cover task goes on at the host; to continue:", "yellow")
                copyable(stderr(), again(connection))
            raise
        if into is not None and details.status is CoverStatus.SUCCESS:
            try:
                with waiting(stderr(), "saving the images"):
                    files = await client.download(details, into=into)
            except asyncio.CancelledError:
                say(stderr(), "the cover is finished; to save its images:", "yellow")
                copyable(stderr(), again(connection))
                raise
    record = DetailsRecord.of(details, files)
    if with_json:
        result(as_json(record))
    else:
        _show(record)
    return ExitCode.DONE


async def _wait(client: SunoCoverClient, cover_task_id: str) -> CoverDetails:
    with waiting(stderr(), "waiting for the cover"):
        return await client.wait(cover_task_id)


async def _request(client: SunoCoverClient, cover_task_id: str) -> CoverDetails:
    with waiting(stderr(), "waiting for the details"):
        return await client.details(cover_task_id)


def _show(record: DetailsRecord) -> None:
    """Write a line for each field that has a value, and for each image and file."""
    for name, value in facts(record).items():
        lines = value if isinstance(value, list | tuple) else (value,)
        for line in lines:
            if line is not None:
                result(f"{name.replace('_', ' ').removesuffix(' at'):15}{printable(str(line))}")

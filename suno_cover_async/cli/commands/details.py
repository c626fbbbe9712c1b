"""`details` and `credits`: make one request to the API, and show the result as text or JSON."""

import json
from pathlib import Path

from suno_cover_async import CoverStatus, NotFoundError, SunoCoverClient
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.output.console import result
from suno_cover_async.cli.output.records import CreditsRecord, DetailsRecord, as_json, facts
from suno_cover_async.common.text import printable


async def show_details(
    client: SunoCoverClient, cover_task_id: str, *, wait: bool, into: Path | None, with_json: bool
) -> int:
    """Request the details of a cover task, or wait for it; save its images into a folder."""
    async with client:
        request = client.wait if wait else client.details
        try:
            details = await request(cover_task_id)
        except NotFoundError as error:
            error.add_note("is it a music task's id? then: suno-cover generate ID")
            raise
        files: tuple[Path, ...] = ()
        if into is not None and details.status is CoverStatus.SUCCESS:
            files = await client.download(details, into=into)
    record = DetailsRecord.of(details, files)
    if with_json:
        result(as_json(record))
    else:
        _show(record)
    return ExitCode.DONE


async def show_credits(client: SunoCoverClient, *, with_json: bool) -> int:
    """Request the balance and show it."""
    async with client:
        balance = await client.credits()
    if with_json:
        result(as_json(CreditsRecord(credits=balance)))
    else:
        result(json.dumps(balance).removesuffix(".0"))
    return ExitCode.DONE


def _show(record: DetailsRecord) -> None:
    """Write a line for each field that has a value, and for each image and file."""
    for name, value in facts(record).items():
        lines = value if isinstance(value, list | tuple) else (value,)
        for line in lines:
            if line is not None:
                result(f"{name.replace('_', ' ').removesuffix(' at'):15}{printable(str(line))}")

"""`details` and `credits`: one look at the API, shown to people or to programs."""

import json
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from suno_cover_async import CoverDetails, CoverStatus, NotFoundError, SunoCoverClient
from suno_cover_async.cli.console import json_result, result
from suno_cover_async.cli.exits import ExitCode
from suno_cover_async.text import printable

_Fact: TypeAlias = str | int | tuple[str, ...] | None


async def show_details(
    client: SunoCoverClient, cover_task_id: str, *, wait: bool, into: Path | None, as_json: bool
) -> int:
    """Look at a cover task, or wait for it; save its images where a folder is given."""
    async with client:
        look = client.wait if wait else client.details
        try:
            details = await look(cover_task_id)
        except NotFoundError as error:
            error.add_note("is it a music task's id? then: suno-cover generate ID")
            raise
        files: tuple[Path, ...] = ()
        if into is not None and details.status is CoverStatus.SUCCESS:
            files = await client.download(details, into=into)
    if as_json:
        json_result(_facts(details, files))
    else:
        _show(details, files)
    return ExitCode.DONE


async def show_credits(client: SunoCoverClient, *, as_json: bool) -> int:
    """Ask for the balance."""
    async with client:
        balance = await client.credits()
    if as_json:
        json_result({"credits": balance})
    else:
        result(json.dumps(balance).removesuffix(".0"))
    return ExitCode.DONE


def _facts(details: CoverDetails, files: tuple[Path, ...]) -> dict[str, _Fact]:
    return {
        "cover_task_id": details.cover_task_id,
        "music_task_id": details.music_task_id,
        "status": details.status.value,
        "images": details.images,
        "files": tuple(str(file) for file in files),
        "created_at": _iso(details.created_at),
        "completed_at": _iso(details.completed_at),
        "error_code": details.error_code,
        "error_message": details.error_message,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _show(details: CoverDetails, files: tuple[Path, ...]) -> None:
    for name, value in _facts(details, files).items():
        lines = value if isinstance(value, tuple) else (value,)
        for line in lines:
            if line is not None:
                result(f"{name.replace('_', ' ').removesuffix(' at'):15}{printable(str(line))}")

"""`generate`: cover many tracks, show how it goes, and leave nothing that was paid for unsaid."""

import asyncio
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from suno_cover_async import SunoCoverClient
from suno_cover_async.cli.console import is_live, say, stderr
from suno_cover_async.cli.display import progress
from suno_cover_async.cli.exits import exit_code, explain
from suno_cover_async.cli.jobs import Job, Tell, cover_all
from suno_cover_async.cli.report import summarise, write_json, write_paths


async def generate(
    client: SunoCoverClient,
    ids: Iterable[str],
    *,
    into: Path,
    as_json: bool,
    options: Sequence[str],
) -> int:
    """Cover the music tasks of these ids, each once.

    Results go to standard output as they come; on a terminal, where they would tear the display,
    when all is done. Where they cannot be written, the images are saved all the same.

    Args:
        client: What to cover with; closed in the end.
        ids: The music tasks.
        into: The folder of the images.
        as_json: Write all about a job, not just its files.
        options: Those of a command that goes on with what is left.

    Returns:
        The exit code.
    """
    console = stderr()
    jobs = [Job(music_task_id=one, title=one) for one in dict.fromkeys(ids)]
    unwritten: list[OSError] = []

    def write(job: Job) -> None:
        try:
            (write_json if as_json else write_paths)(job)
        except OSError as error:
            unwritten.append(error)

    later = is_live(console) and sys.stdout.isatty()
    try:
        await run(client, jobs, into=into, console=console, also=None if later else write)
    finally:
        _claim(client, jobs)
        for job in jobs:
            if later or not job.state.ended:
                write(job)
        summarise(console, jobs, into=into, options=options)
        for error in unwritten:
            say(console, f"Error: {explain(error)}", "red")
    return exit_code([*unwritten, *(job.error for job in jobs if job.error is not None)])


async def run(
    client: SunoCoverClient, jobs: list[Job], *, into: Path, console: Console, also: Tell | None
) -> None:
    """Cover the jobs' tracks with progress on the console; `also` hears of each that ended."""
    try:
        with progress(console, jobs) as show:

            def tell(job: Job) -> None:
                show(job)
                if also is not None and job.state.ended:
                    also(job)

            async with client:
                await cover_all(client, jobs, into=into, tell=tell)
    except asyncio.CancelledError:
        say(console, "interrupted", "yellow")
        raise


def _claim(client: SunoCoverClient, jobs: Iterable[Job]) -> None:
    """Learn the cover tasks of submits that were answered after the interruption."""
    known = {task.music_task_id: task.cover_task_id for task in client.unclaimed}
    for job in jobs:
        job.cover_task_id = job.cover_task_id or known.get(job.music_task_id)

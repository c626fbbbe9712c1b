"""`demo`: a dozen covers in about ten seconds, without an account, a key or a network."""

import asyncio
from pathlib import Path

from rich.console import Console

from suno_cover_async import PollSchedule, Rate, SunoCoverClient
from suno_cover_async.cli.console import result, say, stderr
from suno_cover_async.cli.contact_sheet import contact_sheet
from suno_cover_async.cli.exits import exit_code
from suno_cover_async.cli.generate import run
from suno_cover_async.cli.jobs import Job, State
from suno_cover_async.cli.report import say_failed
from suno_cover_async.sandbox import Sandbox, Scenario

_TRACKS = 12
_SPEED = 10.0  # times as fast as a real host
_SECONDS = (18.0, 70.0)  # of a real host, for one cover


async def demo(*, into: Path) -> int:
    """Cover a dozen tracks in a sandbox of this process; returns the exit code."""
    console = stderr()
    say(console, f"covering {_TRACKS} tracks in a sandbox on this machine, no account needed")
    async with Sandbox(Scenario(seconds=_SECONDS, scale=_SPEED)) as sandbox:
        ids = sandbox.add_music(_TRACKS)
        jobs = [Job(music_task_id=one, title=sandbox.title_of(one)) for one in ids]
        await run(_client(sandbox), jobs, into=into, console=console, also=None)
        bills = len(sandbox.journal.bills)
    saved = [job for job in jobs if job.state is State.SAVED]
    rows = [(job.title, job.files) for job in saved]
    sheet = await asyncio.to_thread(contact_sheet, rows, into / "contact-sheet.png")
    failed = [job for job in jobs if job.error is not None]
    if failed:
        say_failed(console, failed)
    _conclude(console, saved, sheet, bills)
    return exit_code([job.error for job in failed if job.error is not None])


def _client(sandbox: Sandbox) -> SunoCoverClient:
    """Make a client in as much of a hurry as the sandbox is."""
    return SunoCoverClient(
        sandbox.api_key,
        base_url=sandbox.url,
        rate=Rate(calls=20, seconds=10 / _SPEED),
        poll=PollSchedule(first=0.5, shortest=0.5, longest=1.0, timeout=60),
    )


def _conclude(console: Console, saved: list[Job], sheet: Path, bills: int) -> None:
    images = sum(len(job.files) for job in saved)
    say(console, f"billed by the sandbox's own journal: {bills} covers for {len(saved)} tracks")
    result(f"{images} images: {sheet.parent}")
    result(f"all on one sheet: {sheet}")

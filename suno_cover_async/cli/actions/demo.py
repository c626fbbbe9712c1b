"""`demo`: a dozen covers in about ten seconds, without an account, a key or a network.

It owns the ledger in the demo's folder: it is there once all songs are covered, and is never
replaced, since a person's choices are in it.
"""

import asyncio
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from suno_cover_async import (
    Covered,
    Ledger,
    LedgerEntry,
    Outcome,
    PollPolicy,
    RateLimit,
    SunoCoverClient,
    Track,
)
from suno_cover_async.artwork import ContactSheet
from suno_cover_async.cli.actions.catalog_run import Batch
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.output.console import as_path, copyable, logging_to, result, say, stderr
from suno_cover_async.cli.output.follow_up import command_line
from suno_cover_async.cli.output.report import Report, say_failure
from suno_cover_async.cli.output.results import Results, When
from suno_cover_async.cli.process import run
from suno_cover_async.common.text import printable
from suno_cover_async.images.files import PartFile
from suno_cover_async.sandbox import Sandbox, Scenario

_TRACKS = 12
_SPEED = 10.0  # times as fast as a real host
_SECONDS = (18.0, 70.0)  # that a real host takes for one cover

Row = tuple[str, tuple[Path, ...]]
"""A song's title, and its images."""


def perform(*, into: Path) -> int:
    """Make the demo's covers in a folder, and return the exit code."""
    with logging_to(stderr(), 0):
        return run(demo(into=into))


async def demo(*, into: Path) -> int:
    """Cover a dozen songs in a sandbox in this process, and return the exit code.

    A further run in the same folder covers nothing: the songs are the same, and have their covers.
    If images are missing, the songs are covered again, and the ledger is left as it is.

    Raises:
        ValueError: The folder has the ledger of another catalog.
        LedgerError: The folder's ledger cannot be read.
    """
    console, ledger, code = stderr(), into / "covers.db", ExitCode.DONE
    sandbox = Sandbox(Scenario(seconds=_SECONDS, scale=_SPEED))
    tracks = [Track(one, title=sandbox.title_of(one)) for one in sandbox.add_music(_TRACKS)]
    rows = await _covered_before(ledger, {track.music_task_id for track in tracks})
    if rows:
        say(console, f"the demo's {_TRACKS} songs were covered before; this is what there is:")
    else:
        say(console, f"covering {_TRACKS} songs in a sandbox on this machine, no account needed")
        code, rows = await _cover(sandbox, tracks, into, ledger)
    sheet = await asyncio.to_thread(ContactSheet(rows).save, into / "contact-sheet.png")
    result(f"{sum(len(files) for _, files in rows)} images: {sheet.parent}")
    result(f"all on one sheet: {sheet}")
    if await asyncio.to_thread(ledger.exists):
        say(console, "next, choose one image of each song, on a page in your browser:")
        copyable(console, command_line("review", as_path(ledger)))
    return code


async def _cover(
    sandbox: Sandbox, tracks: Sequence[Track], into: Path, ledger: Path
) -> tuple[ExitCode, list[Row]]:
    """Cover the songs; keep the ledger if all have covers and the folder has none."""
    # A ledger of an unfinished demo is of no use: the next demo has a new sandbox, which does not
    # know the cover tasks. So the ledger gets its place only at the end.
    console, follow_up = stderr(), _FollowUp(stderr())
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder, "covers.db")
        async with sandbox:
            batch = Batch(
                client=_client(sandbox),
                tracks=tracks,
                ledger_path=temporary,
                into=into,
                results=Results(with_json=False, when=When.NEVER),
                follow_up=follow_up,
            )
            code = ExitCode(await batch.run())
        if code is ExitCode.DONE:
            await asyncio.to_thread(_keep, temporary, ledger)
    rows: list[Row] = [(one.track.title, one.files) for one in follow_up.covered]
    bills = len(sandbox.journal.bills)
    say(console, f"billed by the sandbox's own journal: {bills} covers for {len(rows)} songs")
    return code, rows


async def _covered_before(ledger: Path, ids: Collection[str]) -> list[Row]:
    """Return the songs and their images if the ledger has them and no image is missing."""
    if not await asyncio.to_thread(ledger.exists):
        return []
    entries: list[LedgerEntry] = [entry async for entry in Ledger(ledger).entries()]
    if {entry.music_task_id for entry in entries} != set(ids):
        shown = printable(str(ledger))
        raise ValueError(f"{shown} is not a ledger of this demo; pass another folder to --out")
    rows: list[Row] = [(entry.tracks[0].title, entry.files) for entry in entries]
    is_whole = all(files and all(file.exists() for file in files) for _, files in rows)
    return rows if is_whole else []


def _keep(source: Path, target: Path) -> None:
    """Copy the ledger to its place, unless there is one."""
    if target.exists():
        return
    part = PartFile(target.parent)
    try:
        part.write(source.read_bytes())
        part.finish(target)
    except BaseException:
        part.discard()
        raise


def _client(sandbox: Sandbox) -> SunoCoverClient:
    """Return a client whose limit and polls are as much faster as the sandbox is."""
    return SunoCoverClient(
        sandbox.api_key,
        base_url=sandbox.url,
        rate_limit=RateLimit(calls=20, seconds=10 / _SPEED),
        poll=PollPolicy(initial_delay=0.5, min_interval=0.5, max_interval=1.0, timeout=60),
    )


class _FollowUp:
    """Keeps the covers for the contact sheet; the demo says itself what comes next."""

    noun = "song"

    def __init__(self, console: Console) -> None:
        self._console = console
        self.covered: list[Covered] = []

    def add(self, outcome: Outcome) -> None:
        if isinstance(outcome, Covered):
            self.covered.append(outcome)
        else:
            say_failure(self._console, outcome)

    def say_next(self, report: Report) -> None:
        pass

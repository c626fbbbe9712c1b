"""`demo`: a dozen covers in about ten seconds, without an account, a key or a network."""

import asyncio
from pathlib import Path

from rich.console import Console

from suno_cover_async import Covered, Outcome, PollPolicy, RateLimit, SunoCoverClient, Track
from suno_cover_async.cli.commands.catalog_run import Batch
from suno_cover_async.cli.output.console import result, say, stderr
from suno_cover_async.cli.output.contact_sheet import contact_sheet
from suno_cover_async.cli.output.report import Report, say_failure
from suno_cover_async.cli.output.results import Results, When
from suno_cover_async.sandbox import Sandbox, Scenario

_TRACKS = 12
_SPEED = 10.0  # times as fast as a real host
_SECONDS = (18.0, 70.0)  # that a real host takes for one cover


async def demo(*, into: Path) -> int:
    """Cover a dozen songs in a sandbox in this process, and return the exit code."""
    console = stderr()
    say(console, f"covering {_TRACKS} songs in a sandbox on this machine, no account needed")
    follow_up = _FollowUp(console)
    async with Sandbox(Scenario(seconds=_SECONDS, scale=_SPEED)) as sandbox:
        ids = sandbox.add_music(_TRACKS)
        batch = Batch(
            client=_client(sandbox),
            tracks=[Track(one, title=sandbox.title_of(one)) for one in ids],
            ledger_path=None,
            into=into,
            results=Results(with_json=False, when=When.NEVER),
            follow_up=follow_up,
        )
        code = await batch.run()
        bills = len(sandbox.journal.bills)
    covered = follow_up.covered
    rows = [(one.track.title, one.files) for one in covered]
    sheet = await asyncio.to_thread(contact_sheet, rows, into / "contact-sheet.png")
    say(console, f"billed by the sandbox's own journal: {bills} covers for {len(covered)} songs")
    result(f"{sum(len(one.files) for one in covered)} images: {sheet.parent}")
    result(f"all on one sheet: {sheet}")
    return code


def _client(sandbox: Sandbox) -> SunoCoverClient:
    """Return a client whose limit and polls are as much faster as the sandbox is."""
    return SunoCoverClient(
        sandbox.api_key,
        base_url=sandbox.url,
        rate_limit=RateLimit(calls=20, seconds=10 / _SPEED),
        poll=PollPolicy(initial_delay=0.5, min_interval=0.5, max_interval=1.0, timeout=60),
    )


class _FollowUp:
    """Keeps the covers for the contact sheet; a demo has no next step, so it reports none."""

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

"""`sandbox`: run the simulated API as a process, and write its journal as requests arrive."""

import asyncio
import csv
import shlex
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console

from suno_cover_async import NO_CALLBACK_URL
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.key_option import KEY_VARIABLE
from suno_cover_async.cli.output.console import result, say, stderr
from suno_cover_async.cli.process import run
from suno_cover_async.cli.settings import BASE_URL_VARIABLE
from suno_cover_async.common.text import printable
from suno_cover_async.sandbox import Arrival, Delivery, Sandbox, Scenario

README_SONG = "73d6128b3523a0079df10da9471017c8"
"""The music task of README's programs, which this sandbox always knows."""

_POLL_SECONDS = 0.1
_MOST_SHOWN = 12
_GOOD = 200


def perform(*, port: int, seconds: float, music: int, catalog: Path | None) -> int:
    """Run a sandbox as the options say until it is ended, and return the exit code."""
    return run(serve(port=port, seconds=seconds, music=music, catalog=catalog))


async def serve(*, port: int, seconds: float, music: int, catalog: Path | None = None) -> int:
    """Run a sandbox until it is cancelled, and return DONE: a signal is its usual end."""
    try:
        async with Sandbox(Scenario(seconds=seconds), port=port) as sandbox:
            ids = sandbox.add_music([README_SONG]) + sandbox.add_music(max(music - 1, 0))
            if catalog is not None:
                _write(catalog, sandbox, ids)
            _introduce(sandbox, ids, catalog)
            await _show_journal(stderr(), sandbox)
    except asyncio.CancelledError:
        pass
    return ExitCode.DONE


def _write(catalog: Path, sandbox: Sandbox, ids: list[str]) -> None:
    with catalog.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["music_task_id", "title"])
        rows.writerows([one, sandbox.title_of(one)] for one in ids)


def _introduce(sandbox: Sandbox, ids: list[str], catalog: Path | None) -> None:
    """Write the commands for another terminal, ready to be copied."""
    result(f"the sandbox is at {sandbox.url}, its key is {sandbox.api_key}; Ctrl-C ends it")
    result("in another terminal, for these commands and for the programs of README and docs:\n")
    result(f"export {KEY_VARIABLE}={sandbox.api_key} {BASE_URL_VARIABLE}={sandbox.url}")
    result(f"suno-cover credits --base-url {sandbox.url}")
    result(f"suno-cover generate {' '.join(ids[:2])} --poll 1 --base-url {sandbox.url}")
    if catalog is not None:
        words = ["suno-cover", "batch", str(catalog), "--poll", "1", "--base-url", sandbox.url]
        result(printable(shlex.join(words)))
    result("\nin Python, without these variables:\n")
    result(
        "from suno_cover_async import SunoCoverClient; "
        f'client = SunoCoverClient("{sandbox.api_key}", base_url="{sandbox.url}")'
    )
    shown = ids[:_MOST_SHOWN]
    result(f"\nmusic tasks: {len(ids)}" + "".join(f"\n  {one}" for one in shown))
    if len(ids) > len(shown):
        result(f"  and {len(ids) - len(shown)} more")
    result("")


async def _show_journal(console: Console, sandbox: Sandbox) -> None:
    """Show each request after it was answered, and each callback, until cancelled."""
    arrivals, bills = sandbox.journal.arrivals, sandbox.journal.bills
    shown, answered, called = 0, 0, 0
    while True:
        for arrival in arrivals[shown:answered]:
            _show(console, arrival, bills=len(bills))
        for delivery in sandbox.journal.callbacks[called:]:
            called += 1
            _show_callback(console, delivery)
        shown, answered = answered, len(arrivals)
        await asyncio.sleep(_POLL_SECONDS)


def _show_callback(console: Console, delivery: Delivery) -> None:
    """Show a callback, unless its URL is the placeholder of a client without a receiver."""
    if delivery.url == NO_CALLBACK_URL:
        return
    result = str(delivery.status or "no answer")
    if delivery.skipped:
        result = "not sent: only this machine's own addresses are called"
    words = [_clock(delivery.at), "CALL", printable(delivery.url), result]
    say(console, "  ".join(words), "" if delivery.status == _GOOD else "red")


def _clock(at: float) -> str:
    moment = datetime.fromtimestamp(time.time() - time.monotonic() + at).astimezone()
    return f"{moment:%H:%M:%S}"


def _show(console: Console, arrival: Arrival, *, bills: int) -> None:
    result = arrival.code or arrival.status
    words = [
        _clock(arrival.at),
        f"{arrival.method:4}",
        printable(arrival.path),
        str(result or "no answer"),
    ]
    if arrival.kind == "submit":
        words.append(f"({bills} billed so far)")
    say(console, "  ".join(words), "" if result == _GOOD else "red")

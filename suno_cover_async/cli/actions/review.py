"""`review`: serve the page on which people choose one of the images of each cover.

It prints the URLs and what comes next; `suno_cover_async.review` is the page.
"""

import asyncio
import contextlib
import getpass
import re
import shlex
import threading
import webbrowser
from collections.abc import Sequence

import click

from suno_cover_async import Decision, Ledger
from suno_cover_async.artwork import ArtworkPlan
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.ledger_path import LedgerPath
from suno_cover_async.cli.output.console import as_path, copyable, logging_to, result, say, stderr
from suno_cover_async.cli.process import run
from suno_cover_async.common.addresses import is_loopback
from suno_cover_async.common.text import printable, trimmed
from suno_cover_async.review.server import listen

_ARTWORK = "artwork"  # the folder of the command that is shown as the next step
_LONGEST_NAME = 80
_HOST_NAME = re.compile(r"[A-Za-z0-9.-]{1,253}")


def perform(
    ledger_path: LedgerPath,
    *,
    host: str,
    port: int,
    people: tuple[str, ...],
    names: tuple[str, ...],
    opens: bool,
) -> int:
    """Serve the page as the options say until it is ended, and return the exit code."""
    who = _checked(people) or [_login_name()]
    if not all(map(_HOST_NAME.fullmatch, names)):
        raise click.UsageError("--name needs a host name alone, such as studio.local")
    with logging_to(stderr(), 0):
        return run(
            serve(ledger_path, host=host, port=port, people=who, names=names, opens=opens),
            waits_for="requests that are being answered",
        )


async def serve(
    path: LedgerPath,
    *,
    host: str,
    port: int,
    people: Sequence[str],
    names: Sequence[str],
    opens: bool,
) -> int:
    """Serve the page until it is cancelled, then say what is undecided, and return DONE."""
    ledger = Ledger(path)
    step = shlex.join(["suno-cover", "apply", as_path(path), "--into", _ARTWORK])
    with contextlib.suppress(asyncio.CancelledError):
        async with listen(
            ledger,
            host=host,
            port=port,
            people=people,
            names=names,
            renewed=_tell_renewed,
            destinations=ArtworkPlan.of(into=_ARTWORK).in_words,
            next_step=step,
        ) as urls:
            _introduce(host, urls)
            if opens:
                # A browser that runs in the terminal would return at its end only, and it could
                # not be ended from here; so nothing waits for the thread.
                url = urls[people[0]]
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
            await asyncio.get_running_loop().create_future()
    async with ledger.choices() as choices:
        undecided = (await choices.counts())[Decision.UNDECIDED]
    say(stderr(), f"{undecided:,} covers undecided; next, to write the chosen images:")
    copyable(stderr(), step)
    return ExitCode.DONE


def _introduce(host: str, urls: dict[str, str]) -> None:
    if not is_loopback(host):
        say(
            stderr(),
            f"warning: {printable(host)} is reached by other machines, over plain HTTP: who has a "
            "URL may choose, and who can read the network's traffic may as well. Where the address "
            "stands for all, put one of this machine's own into the URL",
            "yellow",
        )
    say(stderr(), "open your URL; it is good for one browser; Ctrl-C ends the page")
    for person, url in urls.items():
        _tell(person, url)


def _tell_renewed(person: str, url: str) -> None:
    say(stderr(), f"{person} came in by a URL, which is used up; the next one is:")
    _tell(person, url)


def _tell(person: str, url: str) -> None:
    result(f"{person}: {url}")


def _checked(people: Sequence[str]) -> list[str]:
    """Return the names without doubles, as they are shown."""
    names = [printable(trimmed(name)) for name in people]
    if not all(names) or any(len(name) > _LONGEST_NAME for name in names):
        raise click.UsageError(f"--as needs a name of 1 to {_LONGEST_NAME} characters")
    return list(dict.fromkeys(names))


def _login_name() -> str:
    try:
        return printable(getpass.getuser()) or "somebody"
    except (OSError, KeyError, ImportError):  # there is none, as in a container
        return "somebody"

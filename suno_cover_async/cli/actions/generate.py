"""`generate`: cover songs by their ids, as a batch with a ledger in memory.

It owns how ids become tracks, and the report at the end. No ledger file records the songs, so the
report names each song that is paid for and not finished, with its cover task id.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console

from suno_cover_async import (
    CoverTimeoutError,
    Failed,
    LedgerEntry,
    Outcome,
    SunoCoverClient,
    Track,
    TrackState,
)
from suno_cover_async.cli.actions.catalog_run import Batch
from suno_cover_async.cli.actions.listening import CallbackListener
from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.failures import advise, explain
from suno_cover_async.cli.output.console import copyable, is_live, say, stderr
from suno_cover_async.cli.output.follow_up import command_line
from suno_cover_async.cli.output.records import OutcomeRecord
from suno_cover_async.cli.output.report import Report, are, count, say_failure
from suno_cover_async.cli.output.results import Results, When, is_watched
from suno_cover_async.cli.output.rows import named
from suno_cover_async.cli.process import run
from suno_cover_async.client import covers_of
from suno_cover_async.common.text import printable, trimmed

_MOST_IDS = 20  # a command with more ids is too long to copy
_PAID = {TrackState.SUBMITTED, TrackState.COVERED}


def perform(
    *,
    ids: tuple[str, ...],
    into: Path,
    title: str | None,
    name: str | None,
    as_json: bool,
    connection: Connection,
    listener: CallbackListener | None,
) -> int:
    """Cover songs as the options say, and return the exit code."""
    if "-" in ids and connection.key_file == "-":
        raise click.UsageError("standard input cannot hold both the ids and the key")
    client = connection.client(None if listener is None else listener.receiver)
    given = {"--out": str(into), "--title": title, "--name": name}

    def words(connection: Connection) -> list[str]:
        return [
            *(word for name, text in given.items() if text is not None for word in (name, text)),
            *["--json"] * as_json,
            *connection.arguments(),
            *(listener.arguments() if listener else ()),
        ]

    songs = _all_ids(ids)
    _check_names(songs, {"--title": title, "--name": name})
    act = generate(
        client,
        songs,
        into=into,
        title=title or "",
        name=name,
        with_json=as_json,
        options=words(connection),
        longer=words(connection.longer()),
    )
    work = act.run()
    if listener is not None:
        work = listener.run_while_listening(work, expected=lambda: act.billed > 0)
    return run(work, finish=act.finish)


def _all_ids(ids: Sequence[str]) -> list[str]:
    """Return the ids, with each `-` replaced by the ids on standard input."""
    found: list[str] = []
    for one in ids:
        if one == "-":
            text = sys.stdin.buffer.read().decode(errors="replace")
            bare = (trimmed(line).strip('"') for line in text.splitlines())  # jq writes quotes
            found += filter(None, bare)
        else:
            found.append(one)
    if not found:
        raise click.UsageError("no ids on standard input")
    return found


def _check_names(ids: Sequence[str], options: Mapping[str, str | None]) -> None:
    """Check options that name one song: there is one song, and the name is not blank."""
    songs = len(set(ids))
    for option, value in options.items():
        if value is not None and songs > 1:
            raise click.UsageError(
                f"{option} names one song, and there are {songs:,} ids; give one id, or a catalog "
                "with titles to suno-cover batch"
            )
        if value is not None and not trimmed(value):
            raise click.UsageError(f"{option} is blank; give a name, or leave it out")


def generate(
    client: SunoCoverClient,
    ids: Iterable[str],
    *,
    into: Path,
    with_json: bool,
    options: Sequence[str],
    longer: Sequence[str] = (),
    title: str = "",
    name: str | None = None,
) -> Batch:
    """Return a batch that covers the songs of these ids, each once; an invalid id fails alone.

    Args:
        client: The client to use; it is closed at the end.
        ids: The ids of the music tasks.
        into: The folder of the images.
        with_json: Write a record for each song, not just its files.
        options: The options of a command that continues with what is left.
        longer: The same options with a longer `--timeout`, if covers timed out.
        title: The title of the song, if it is one.
        name: The stem of its files; None takes title and id.

    Raises:
        ValueError: An id is the API key.
    """
    tracks, refused = list[Track](), dict[str, ValueError]()
    for one in dict.fromkeys(ids):
        covers_of(client).check_music_id(one)  # first: other errors show the id
        try:
            tracks.append(Track(one, title=title))
        except ValueError as error:
            refused[one] = error
    results = Results(with_json=with_json, when=When.AT_END if is_watched() else When.NOW)
    for one, reason in refused.items():
        results.add(OutcomeRecord.refused(one, reason))
    return Batch(
        client=client,
        tracks=tracks,
        refused=list(refused.values()),
        bad_lines=len(refused),
        ledger_path=None,
        into=into,
        results=results,
        follow_up=SongsFollowUp(stderr(), options, refused, longer),
        file_name=None if name is None else lambda _: name,
    )


class SongsFollowUp:
    """Reports each song that failed or is left, since there is no ledger file to show them."""

    noun = "song"

    def __init__(
        self,
        console: Console,
        options: Sequence[str],
        refused: dict[str, ValueError],
        longer: Sequence[str] = (),
    ) -> None:
        """Write nothing yet.

        Args:
            console: Where to write.
            options: The options of the command that continues.
            refused: The ids that name no song, with their errors.
            longer: The options if covers timed out.
        """
        self._console = console
        self._options = options
        self._longer = longer
        self._refused = refused
        self._failed: list[Failed] = []

    def add(self, outcome: Outcome) -> None:
        """Record a failure; write it at once if there is no live display that shows it."""
        if isinstance(outcome, Failed):
            self._failed.append(outcome)
            if not is_live(self._console):
                say_failure(self._console, outcome)

    def say_next(self, report: Report) -> None:
        """Write what failed, why, and what is left; then the command that continues."""
        failed = [one for one in self._failed if not one.error.retryable]
        left = [one for one in self._failed if one.error.retryable]
        if self._refused:
            names = "names" if len(self._refused) == 1 else "name"
            what = f"{count(len(self._refused), 'id')} {names} no song:"
            say(self._console, what, "red")
            self._say_alike([(repr(one), error) for one, error in self._refused.items()])
        if failed:
            say(self._console, f"{count(len(failed), 'song')} failed:", "bold red")
            self._say_alike([(named(one.track), one.error) for one in failed])
        if left:
            say(self._console, f"{count(len(left), 'song')} {are(len(left))} left:", "yellow")
            self._say_alike([(named(one.track), one.error) for one in left])
        self._say_unfinished(report.unfinished)
        again = [one.track.music_task_id for one in left]
        again += [entry.music_task_id for entry in report.unfinished]
        if again:
            timed_out = any(isinstance(one.error, CoverTimeoutError) for one in left)
            self._say_how_to_go_on(again, self._longer if timed_out else self._options)

    def _say_alike(self, failures: Iterable[tuple[str, Exception]]) -> None:
        """Write why songs failed, and what to do: each reason once, below its songs."""
        alike: dict[tuple[str, str | None], list[str]] = {}
        for name, error in failures:
            alike.setdefault((explain(error, alone=True), advise(error)), []).append(name)
        for (reason, advice), names in alike.items():
            for name in names:
                say(self._console, name, indent=2)
            say(self._console, reason, "red", indent=4)
            if advice is not None:
                say(self._console, f"next: {advice}", indent=4)

    def _say_unfinished(self, entries: Sequence[LedgerEntry]) -> None:
        paid = [entry for entry in entries if entry.state in _PAID]
        unsure = [entry for entry in entries if entry.state is TrackState.SUBMITTING]
        if paid:
            what = f"{count(len(paid), 'song')} {are(len(paid))} paid for and not finished:"
            say(self._console, what, "yellow")
        for entry in paid:
            task = printable(entry.task.cover_task_id if entry.task else "")
            say(self._console, f"{named(entry.tracks[0])}: cover task {task}", indent=2)
        if unsure:
            say(self._console, f"{count(len(unsure), 'song')} possibly billed:", "yellow")
        for entry in unsure:
            say(self._console, named(entry.tracks[0]), indent=2)
        rest = len(entries) - len(paid) - len(unsure)
        if rest:
            say(self._console, f"{count(rest, 'song')} not submitted", "yellow")

    def _say_how_to_go_on(self, ids: Sequence[str], options: Sequence[str]) -> None:
        if len(ids) > _MOST_IDS:
            what = "to continue, run the same command; submitting again never pays twice"
            say(self._console, what)
            return
        say(self._console, "to continue, run this; submitting again never pays twice:")
        copyable(self._console, command_line("generate", *options, "--", *ids))

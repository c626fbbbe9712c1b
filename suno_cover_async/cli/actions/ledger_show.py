"""`ledger show`: the tracks by state, who holds them, what runs cost, what failed, what is unsaved.

It reads the ledger through the public API, also while batches are running.
"""

import contextlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from suno_cover_async import Ledger, LedgerEntry, LedgerHolder, LedgerRun, TrackState
from suno_cover_async.cli.actions.unsaved import (
    Unsaved,
    say_unsaved,
    unsaved_of,
    warn_of_expiry,
)
from suno_cover_async.cli.ledger_path import LedgerPath, is_database
from suno_cover_async.cli.output.console import is_live, result, say, stderr, stdout
from suno_cover_async.cli.output.report import count
from suno_cover_async.common.records import to_dict
from suno_cover_async.common.text import printable
from suno_cover_async.ledger.ledger import Totals

_LONGEST_REASON = 500
_LONGEST_TITLE = 80
_USUAL_ID = 32  # characters; an id must stay on one line to be copied
_NARROWEST_TABLE = 80
_RUNS = 5  # of the latest
_SHORTEST_RATE = 60.0  # seconds; the first submits of a run have the whole limit at once
_CLOCK = "the times are those of the database's clock, in this machine's time zone"
_STYLES = {
    TrackState.SAVED: "green",
    TrackState.FAILED: "bold red",
    TrackState.ATTENTION: "yellow",
}


async def show(path: LedgerPath, states: Sequence[TrackState], *, limit: int) -> None:
    """Write the counts, the runs and the tracks in these states to standard output.

    A warning about images that are deleted soon goes to standard error.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    ledger = Ledger(path)
    totals = await ledger.totals()
    runs = tuple(reversed(await ledger.runs(_RUNS + 1)))
    holders = await ledger.holders()
    unsaved = await unsaved_of(ledger, totals[TrackState.COVERED])
    entries: list[LedgerEntry] = []
    async with contextlib.aclosing(ledger.entries(*states)) as found:
        async for entry in found:
            if len(entries) == limit:
                break
            entries.append(entry)
    if is_live(stdout()):
        show_to_people(
            stdout(),
            ledger.name,
            totals,
            runs,
            entries,
            unsaved=unsaved,
            holders=holders if is_database(path) else None,
        )
    else:
        _show_to_programs(totals, runs[-_RUNS:], entries, unsaved, holders)
    warn_of_expiry(stderr(), unsaved, str(path))
    more = sum(totals[state] for state in set(states)) - limit
    if more > 0:
        say(stderr(), f"and {more:,} more; --limit shows more, `ledger export` writes them all")


def _show_to_programs(
    totals: Totals,
    runs: Iterable[LedgerRun],
    entries: Iterable[LedgerEntry],
    unsaved: Unsaved,
    holders: Iterable[LedgerHolder],
) -> None:
    """Write lines with tabs between fields.

    These are counts, runs, holders, unsaved, an empty line, the tracks.
    """
    for state, many in totals.items():
        result(f"{state.value}\t{many}")
    for run in runs:
        _write_fields("run", *to_dict(run).values())
    for holder in holders:
        _write_fields("holder", *to_dict(holder).values(), round(holder.per_minute, 1))
    result("\t".join(unsaved.fields()))
    for number, entry in enumerate(entries):
        if not number:
            result("")
        result("\t".join((*_names(entry), _reason(entry))))


def _write_fields(*fields: object) -> None:
    result("\t".join("" if field is None else str(field) for field in fields))


def show_to_people(
    console: Console,
    name: str,
    totals: Totals,
    runs: Sequence[LedgerRun],
    entries: Sequence[LedgerEntry],
    *,
    unsaved: Unsaved,
    holders: Sequence[LedgerHolder] | None = None,
) -> None:
    """Draw the counts, the latest runs and the tracks: a table, or lines on a narrow terminal.

    `holders` is None for a file.
    """
    say(console, f"{name}: {sum(totals.values()):,} tracks")
    for state, many in totals.items():
        if many:
            say(console, f"{many:>11,}  {state.value}", _STYLES.get(state, ""))
    say_unsaved(console, unsaved)
    if holders:
        say(console, f"runs that hold tracks or are at work; {_CLOCK}:")
    for holder in holders or ():
        say(console, holder_in_words(holder), indent=2)
    if runs:
        latest = "latest runs" + f" ({_RUNS}, and there are older ones)" * (len(runs) > _RUNS)
        say(console, f"{latest}; a balance includes what else the account spent meanwhile:")
    for run in runs[-_RUNS:]:
        say(console, _run_in_words(run, holders), indent=2)
    console.print()
    if console.width < _NARROWEST_TABLE:
        for entry in entries:
            _show_narrowly(console, entry)
    elif entries:
        console.print(_table(entries))


def _run_in_words(run: LedgerRun, holders: Sequence[LedgerHolder] | None) -> str:
    """Return one line: when a run was, what it submitted, and what it cost, if that is known."""
    words = "" if holders is None else f"run {run.number}, "
    words += f"{run.began_at.astimezone():%Y-%m-%d %H:%M %z}"
    if run.ended_at is None:
        is_known = holders is None or any(holder.run == run.number for holder in holders)
        words += ", not ended" if is_known else ", no longer at work"
    else:
        words += f", for {_time(run.ended_at - run.began_at)}"
    words += f": {run.submitted:,} submitted, {run.adopted:,} adopted"
    before, after = (
        "unknown" if balance is None else f"{balance:,.10g}"
        for balance in (run.balance_before, run.balance_after)
    )
    if (before, after) != ("unknown", "unknown"):
        words += f", balance from {before} to {after}"
    if run.credits_used is not None:
        words += f", {run.credits_used:,.10g} credits"
    return words


def holder_in_words(holder: LedgerHolder) -> str:
    """Return one line: which run this is, what it holds since when, and when it was heard of."""
    words = f"run {holder.run} on {printable(holder.host, 80)}, process {holder.process}: "
    if holder.holds_since is None:
        words += "holds no track"
    else:
        words += f"holds {count(holder.tracks, 'track')} since {_moment(holder.holds_since)}"
    words += f", last heard of {_moment(holder.heard_at)}"
    if holder.has_ended:
        return f"{words}; it ended, and a submit may be on its way: others take that track later"
    words += f", {holder.submitted:,} submitted"
    if (holder.heard_at - holder.began_at).total_seconds() < _SHORTEST_RATE:
        return words
    return f"{words}, {holder.per_minute:,.1f} a minute"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %z}"


def _time(took: timedelta) -> str:
    """Write a duration in hours and minutes, in minutes, or in seconds."""
    minutes, seconds = divmod(round(took.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds} s"


def _show_narrowly(console: Console, entry: LedgerEntry) -> None:
    title, music_task_id, state, cover_task_id = _names(entry)
    say(console, f"{state}: {title or music_task_id}", _STYLES.get(entry.state, ""))
    for line in (music_task_id, cover_task_id, _reason(entry)):
        if line:
            say(console, line, indent=2)


def _table(entries: Iterable[LedgerEntry]) -> Table:
    table = Table(box=box.SIMPLE, expand=False, pad_edge=False, show_edge=False)
    table.add_column("track", ratio=1, overflow="fold")
    table.add_column("state", overflow="fold")
    table.add_column("music task, cover task", overflow="fold", min_width=_USUAL_ID)
    for entry in entries:
        title, music_task_id, _, cover_task_id = _names(entry)
        table.add_row(
            Group(Text(title, "bold"), Text(_reason(entry), "dim")),
            Text(entry.state.value, _STYLES.get(entry.state, "")),
            Text(f"{music_task_id}\n{cover_task_id}".rstrip()),
        )
    return table


def _names(entry: LedgerEntry) -> tuple[str, str, str, str]:
    """Return the title, the music task, the state and the cover task, made printable."""
    title = ", ".join(track.title for track in entry.tracks if track.title)
    cover_task_id = entry.task.cover_task_id if entry.task else ""
    return (
        printable(title, _LONGEST_TITLE),
        entry.music_task_id,
        entry.state.value,
        printable(cover_task_id),
    )


def _reason(entry: LedgerEntry) -> str:
    return printable(entry.reason or "", _LONGEST_REASON)

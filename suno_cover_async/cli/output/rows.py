"""Draw a row for each track of a run: its name, its current step, and how long it has taken.

It knows tracks in flight and outcomes; `progress.py` places the rows on the display.
"""

import time
from collections.abc import Mapping

import attrs
from rich.console import Console
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from suno_cover_async import InFlight, Outcome, Step, Track
from suno_cover_async.cli.output.records import OutcomeRecord
from suno_cover_async.common.text import printable

GAP = 2  # columns between two cells

QUEUED = "queued"
"""The state of a track whose submit is held back."""

_STYLES = {
    QUEUED: "cyan",
    Step.SUBMIT.value: "cyan",
    Step.WAIT.value: "magenta",
    Step.SAVE.value: "blue",
    "saved": "green",
    "left": "yellow",
    "failed": "bold red",
}
_MARKS = {"saved": "✓", "left": "·", "failed": "✗"}
_ASCII_MARKS = {"saved": "+", "left": ".", "failed": "x"}
_WIDEST_STATE = max(map(len, _STYLES))
_WIDEST_TIME = 8  # an hour less a second is 59:59, four days are 96:00:00
_TENTHS_UNTIL = 100.0  # seconds


def named(track: Track) -> str:
    """Return a track's name for messages: its title, or its id."""
    return printable(track.title, 80) or track.music_task_id


def clock(seconds: float) -> str:
    """Format seconds as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def spinner_for(console: Console) -> Spinner:
    """Return a spinner of characters that the console's encoding has."""
    return Spinner("line" if _is_plain(console) else "dots")


def _is_plain(console: Console) -> bool:
    return not console.encoding.lower().startswith("utf")


@attrs.define(eq=False)
class _Row:
    """The state of one track.

    Attributes:
        name: Its name for messages.
        began: When it was first seen in flight, by `time.monotonic`.
        state: Its current or last step; after its outcome, `saved`, `left` or `failed`.
        ended: When its outcome arrived, by `time.monotonic`; None before.
    """

    name: str
    began: float
    state: str
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return (self.ended or time.monotonic()) - self.began


class Rows:
    """The tracks that were in flight so far, in the order in which they began."""

    def __init__(self, console: Console) -> None:
        """Begin without tracks."""
        self._console = console
        self._rows: dict[str, _Row] = {}
        self._marks = _ASCII_MARKS if _is_plain(console) else _MARKS
        self._spinner = spinner_for(console)

    def end(self, outcome: Outcome) -> None:
        """Record the outcome of a track."""
        row = self._row(outcome.track, time.monotonic())
        row.ended = time.monotonic()
        row.state = OutcomeRecord.of(outcome).state

    def draw(
        self, in_flight: Mapping[str, InFlight], *, moving: bool, queued: bool = False
    ) -> Table:
        """Draw all rows with their current steps.

        Args:
            in_flight: The tracks in flight.
            moving: Whether spinners are drawn.
            queued: Whether something holds submits back.
        """
        for one in in_flight.values():
            row = self._row(one.track, one.since)
            if row.ended is None:
                row.state = QUEUED if queued and one.step is Step.SUBMIT else one.step.value
        # The names get the width that is left; rich would shrink all columns.
        rest = self._console.width - 1 - sum((1, _WIDEST_STATE, _WIDEST_TIME, 3 * GAP))
        table = Table.grid(padding=(0, GAP, 0, 0))
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(1, rest))
        table.add_column(no_wrap=True, width=_WIDEST_STATE)
        table.add_column(no_wrap=True, justify="right", width=_WIDEST_TIME)
        for row in list(self._rows.values()):
            mark = self._mark(row, moving=moving)
            state = Text(row.state, _STYLES[row.state])
            table.add_row(mark, Text(row.name), state, Text(_length(row.seconds), "dim"))
        return table

    def _row(self, track: Track, now: float) -> _Row:
        row = _Row(name=named(track), began=now, state=Step.SUBMIT.value)
        return self._rows.setdefault(track.music_task_id, row)

    def _mark(self, row: _Row, *, moving: bool) -> Text:
        style = _STYLES[row.state]
        if moving and row.ended is None:
            return Text(str(self._spinner.render(time.monotonic())), style)
        return Text(self._marks.get(row.state, self._marks["left"]), style)


def _length(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < _TENTHS_UNTIL else clock(seconds)

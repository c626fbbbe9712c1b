"""A row for each track of a run: its name, what is being done for it, and for how long.

It knows tracks in flight and outcomes; where the rows stand is `progress.py`'s.
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

_STYLES = {
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
    """Name a track for people."""
    return printable(track.title, 80) or track.music_task_id


def clock(seconds: float) -> str:
    """Write seconds as a clock does."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@attrs.define(eq=False)
class _Row:
    """What is known of a track.

    Attributes:
        name: What people know it by.
        began: When it was first seen in flight, by `time.monotonic`.
        state: The step it is at, or was last; `saved`, `left` or `failed` in the end.
        ended: When its outcome came, likewise.
    """

    name: str
    began: float
    state: str
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long it took, or has been taking."""
        return (self.ended or time.monotonic()) - self.began


class Rows:
    """The tracks that were in flight so far, in the order in which they began."""

    def __init__(self, console: Console) -> None:
        """Know of no track."""
        self._console = console
        self._rows: dict[str, _Row] = {}
        plain = not console.encoding.lower().startswith("utf")
        self._marks = _ASCII_MARKS if plain else _MARKS
        self._spinner = Spinner("line" if plain else "dots")

    def end(self, outcome: Outcome) -> None:
        """Note what became of a track."""
        row = self._row(outcome.track, time.monotonic())
        row.ended = time.monotonic()
        row.state = OutcomeRecord.of(outcome).state

    def draw(self, in_flight: Mapping[str, InFlight], *, moving: bool) -> Table:
        """Draw all rows, with what is being done now; nothing moves in the last picture."""
        for one in in_flight.values():
            row = self._row(one.track, one.since)
            if row.ended is None:
                row.state = one.step.value
        # The names get what the others leave; rich would take it from all columns.
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

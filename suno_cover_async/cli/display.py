"""Progress: what people see while covers are made.

On a terminal that is a line per track when they are few, and one bar; elsewhere it is a plain
line for every change. It knows jobs and rich; it knows no client and decides nothing.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from suno_cover_async.cli.console import is_live, say
from suno_cover_async.cli.exits import explain
from suno_cover_async.cli.jobs import Job, State, Tell
from suno_cover_async.text import printable

_FRAMES_PER_SECOND = 12
_LINES_BESIDE_ROWS = 4  # a prompt above, a blank line, the bar, the cursor's own
_WIDEST_BAR, _NARROWEST_BAR = 40, 10
_GAP = 2

_STYLES = {
    State.WAITING: "dim",
    State.SUBMITTING: "cyan",
    State.PENDING: "yellow",
    State.GENERATING: "magenta",
    State.SAVING: "blue",
    State.SAVED: "green",
    State.FAILED: "bold red",
    State.TIMED_OUT: "red",
}
_MARKS = {State.WAITING: "·", State.SAVED: "✓", State.FAILED: "✗", State.TIMED_OUT: "✗"}
_ASCII_MARKS = {State.WAITING: ".", State.SAVED: "+", State.FAILED: "x", State.TIMED_OUT: "x"}


@contextmanager
def progress(console: Console, jobs: Sequence[Job]) -> Generator[Tell, None, None]:
    """Show the jobs' progress; yields what is to be told of every change."""
    if not is_live(console):
        yield _Lines(console, jobs).tell
        return
    board = _Board(console, jobs)
    live = Live(
        get_renderable=board.draw,
        console=console,
        refresh_per_second=_FRAMES_PER_SECOND,
        redirect_stdout=False,
    )
    try:
        with live:
            yield board.tell
    finally:
        console.print()


class _Lines:
    """A line for every change, as log files like it."""

    def __init__(self, console: Console, jobs: Sequence[Job]) -> None:
        self._console = console
        self._total = len(jobs)
        self._ended = 0

    def tell(self, job: Job) -> None:
        if job.state in {State.SUBMITTING, State.SAVING}:
            return
        line = f"{printable(job.title)}: {job.state.value}"
        if job.state is State.PENDING:
            line = f"{printable(job.title)}: cover task {printable(job.cover_task_id or '')}"
        if job.error is not None:
            line += f": {explain(job.error)}"
        if job.state.ended:
            self._ended += 1
            line = f"[{self._ended}/{self._total}] {line}"
        say(self._console, line)


class _Board:
    """A picture of all jobs, drawn again and again."""

    def __init__(self, console: Console, jobs: Sequence[Job]) -> None:
        self._console = console
        self._jobs = jobs
        self._began = time.monotonic()
        self._plain = not console.encoding.lower().startswith("utf")
        self._marks = _ASCII_MARKS if self._plain else _MARKS
        self._spinner = Spinner("line" if self._plain else "dots")
        self._counts = {State.SAVED: 0, State.FAILED: 0, State.TIMED_OUT: 0}
        self._submitted = 0

    def tell(self, job: Job) -> None:
        if job.state is State.PENDING:
            self._submitted += 1
        elif job.state.ended:
            self._submitted -= job.cover_task_id is not None
            self._counts[job.state] += 1

    def draw(self) -> RenderableType:
        if len(self._jobs) + _LINES_BESIDE_ROWS > self._console.height:
            return self._bar()
        return Group(self._rows(), Text(), self._bar())

    def _rows(self) -> Table:
        table = Table.grid(padding=(0, _GAP, 0, 0))
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True, width=len(State.SUBMITTING.value))
        table.add_column(no_wrap=True, justify="right", width=7)
        for job in self._jobs:
            style = _STYLES[job.state]
            seconds = "" if job.seconds is None else f"{job.seconds:.1f} s"
            table.add_row(
                self._mark(job),
                Text(printable(job.title), "dim" if job.state is State.WAITING else ""),
                Text(job.state.value, style),
                Text(seconds, "dim"),
            )
        return table

    def _mark(self, job: Job) -> RenderableType:
        style = _STYLES[job.state]
        if job.state in self._marks:
            return Text(self._marks[job.state], style)
        frame = self._spinner.render(time.monotonic())
        return Text(str(frame), style)

    def _bar(self) -> Table:
        ended = sum(self._counts.values())
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        words = (
            Text(f"{ended:,} of {len(self._jobs):,}"),
            *self._notes(),
            Text(f"{minutes}:{seconds:02}", "dim"),
        )
        room = self._console.width - sum(len(text) + _GAP for text in words) - 1
        wide = max(_NARROWEST_BAR, min(_WIDEST_BAR, room))
        table = Table.grid(padding=(0, _GAP, 0, 0))
        table.add_row(ProgressBar(len(self._jobs), ended, wide), *words)
        return table

    def _notes(self) -> list[Text]:
        counted = ((state, self._counts[state]) for state in (State.FAILED, State.TIMED_OUT))
        notes = [Text(f"{n:,} {state.value}", _STYLES[state]) for state, n in counted if n]
        if not self._submitted:
            return notes
        return [Text(f"{self._submitted:,} under way", _STYLES[State.GENERATING]), *notes]

"""Show the progress of a run: a bar on a terminal, with rows for tracks if they fit; else lines.

It knows rich, and one value, `Standing`, that holds what to show; it knows no client.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import attrs
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from suno_cover_async import InFlight, Outcome, Step
from suno_cover_async.cli.output.console import say
from suno_cover_async.cli.output.rows import GAP, Rows, clock

_FRAMES_PER_SECOND = 8
_WIDEST_BAR, _NARROWEST_BAR = 40, 8
_LINES_BESIDE_ROWS = 6  # a prompt above, a blank line, the bar, two of notes, the cursor's own
_LEAST_SECONDS = 10.0  # between two lines
_LEAST_SHARE = 0.01  # of all, between two lines


@attrs.frozen(kw_only=True)
class Pause:
    """Why requests are paused: the host that is down, since when, and the last probe's error."""

    what: str
    since: datetime
    trouble: str


@attrs.frozen(kw_only=True)
class Standing:
    """The state of a run, to be shown.

    Attributes:
        total: How many tracks there are.
        done: How many have their images.
        failed: How many have failed or need attention.
        in_flight: The tracks in work, by music task id.
        queued_by: What tracks wait for that are not submitted yet; None if nothing holds them back.
        per_minute: How many end in a minute; None while that is unknown.
        credits_used: The credits used by this run; None while that is unknown.
        finishing: Whether the run only finishes what is paid for.
        pause: Why requests are paused; None while they are not.
        trouble: What hinders all work, such as a database that does not answer; None if nothing
            does.
        other_runs: How many other runs work with the ledger; the numbers of tracks are those of
            all runs.
    """

    total: int
    done: int
    failed: int = 0
    in_flight: Mapping[str, InFlight] = attrs.field(factory=dict[str, InFlight])
    queued_by: str | None = None
    per_minute: float | None = None
    credits_used: float | None = None
    finishing: bool = False
    pause: Pause | None = None
    trouble: str | None = None
    other_runs: int = 0

    @property
    def numbers(self) -> str:
        """How many tracks are done, of how many."""
        return f"{self.done:,} of {self.total:,}"

    @property
    def saved(self) -> str:
        """How many tracks are done, of how many, and by how many runs if these are several."""
        runs = self.other_runs + 1
        return self.numbers if runs == 1 else f"{self.numbers} by all {runs:,} runs"

    @property
    def ended(self) -> int:
        """How many tracks are done or failed."""
        return self.done + self.failed

    @property
    def queued(self) -> int:
        """How many tracks something holds back that are not submitted yet."""
        return 0 if self.queued_by is None else self.total - self.ended - self._working

    @property
    def holds_back(self) -> bool:
        """Whether a track that is about to be submitted waits for its turn."""
        return self.queued_by is not None or self.pause is not None or self.trouble is not None

    @property
    def _working(self) -> int:
        """How many tracks are in flight: submitted, unless nothing holds back the others."""
        if self.queued_by is None:
            return len(self.in_flight)
        return sum(one.step is not Step.SUBMIT for one in self.in_flight.values())

    def notes(self, *, reasons: bool = False) -> Iterator[tuple[str, str]]:
        """Yield notes to show beside the numbers, with styles, the most important first.

        Args:
            reasons: Whether the note of queued tracks says what they wait for.
        """
        if self.trouble is not None:
            yield f"{self.trouble}; trying again", "yellow"
            return
        if self.pause is not None:
            pause = self.pause
            words = f"{pause.what} paused since {pause.since:%H:%M}, probing: {pause.trouble}"
            yield words, "yellow"
            return
        if self.finishing:
            yield "finishing", "yellow"
        if self.failed:
            yield f"{self.failed:,} failed", "bold red"
        if self.per_minute is not None and not self.finishing and self.ended < self.total:
            left = length(60 * (self.total - self.ended) / self.per_minute)
            yield f"about {left} left", ""
        if self._working:
            yield f"{self._working:,} in flight", "magenta"
        if self.queued:
            where = "queued or at other runs" if self.other_runs and self.in_flight else "queued"
            yield f"{self.queued:,} {where}" + (f": {self.queued_by}" if reasons else ""), "cyan"
        if self.per_minute is not None:
            yield f"{self.per_minute:,.1f} a minute", ""
        if self.credits_used is not None:
            yield f"{amount(self.credits_used)} credits used", "dim"


@contextmanager
def progress(
    console: Console, standing: Callable[[], Standing], *, live: bool
) -> Generator[Callable[[Outcome], None], None, None]:
    """Show the progress of a run; yield a function to be called with every outcome.

    Args:
        console: Where to show it.
        standing: Returns the state of the run.
        live: Redraw a display; else write a line from time to time.
    """
    if not live:
        lines = Lines(console, standing)
        yield lambda _: lines.move()
        return
    picture = _Picture(console, standing)
    drawn = Live(
        get_renderable=picture.draw,
        console=console,
        refresh_per_second=_FRAMES_PER_SECOND,
        redirect_stdout=False,
        transient=not picture.has_rows,
    )
    with drawn:
        drawn.refresh()  # at once, not with the first frame
        try:
            yield picture.rows.end
        finally:
            picture.is_over = True  # the last frame stays on the terminal, without moving parts


class Lines:
    """Writes a line from time to time: at most one per 10 s and per 1 % of the tracks."""

    def __init__(
        self,
        console: Console,
        standing: Callable[[], Standing],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write the first line; `standing` returns the state of the run."""
        self._console = console
        self._standing = standing
        self._clock = clock
        self._said_at = clock()
        self._said = standing().ended
        self.say()

    def move(self) -> None:
        """Call this after every outcome; it writes a line if the last one is old enough."""
        now = self._standing()
        late = self._clock() - self._said_at >= _LEAST_SECONDS
        if late and now.ended - self._said >= _LEAST_SHARE * now.total:
            self._said_at, self._said = self._clock(), now.ended
            self.say()

    def say(self) -> None:
        """Write the state of the run as one line."""
        standing = self._standing()
        words = [
            standing.saved,
            *(note for note, _ in standing.notes(reasons=True)),
        ]
        now = datetime.now().astimezone()
        say(self._console, f"{now:%Y-%m-%d %H:%M:%S} {', '.join(words)}")


class _Picture:
    """The live display: rows if they fit, one bar, and a line of notes.

    Attributes:
        rows: The state of each track of this run.
        is_over: Whether the run has ended.
    """

    def __init__(self, console: Console, standing: Callable[[], Standing]) -> None:
        self._began = time.monotonic()
        self._console = console
        self._standing = standing
        first = standing()
        self._most_rows = first.total - first.ended
        self.rows: Rows = Rows(console)
        self.is_over: bool = False

    @property
    def has_rows(self) -> bool:
        """Whether the terminal has enough lines for the rows."""
        return self._most_rows + _LINES_BESIDE_ROWS <= self._console.height

    def draw(self) -> RenderableType:
        standing = self._standing()
        bar, notes = self._bar(standing), self._notes(standing)
        if not self.has_rows:
            return Group(bar, notes)
        rows = self.rows.draw(
            standing.in_flight, moving=not self.is_over, queued=standing.holds_back
        )
        return Group(rows, Text(), bar) if self.is_over else Group(rows, Text(), bar, notes)

    def _bar(self, standing: Standing) -> Table:
        saved = standing.saved
        if self._console.width - len(saved) - GAP - 1 < _NARROWEST_BAR:
            saved = standing.numbers
        words = [Text(saved, no_wrap=True)]
        took = Text(clock(time.monotonic() - self._began), "dim", no_wrap=True)
        space = self._console.width - len(words[0]) - GAP - 1
        if space - len(took) - GAP >= _NARROWEST_BAR:
            words.append(took)
            space -= len(took) + GAP
        wide = max(1, min(_WIDEST_BAR, space))
        table = Table.grid(padding=(0, GAP, 0, 0))
        table.add_row(ProgressBar(max(standing.total, 1), standing.ended, wide), *words)
        return table

    def _notes(self, standing: Standing) -> Text:
        """Return one line with as many notes as fit, and one with what queued tracks wait for."""
        line = Text(no_wrap=True, overflow="ellipsis")
        for note, style in standing.notes():
            gap = " " * GAP if line else ""
            if line and len(line) + len(gap) + len(note) > self._console.width - 1:
                break
            line.append(gap).append(note, style)
        if standing.queued and standing.queued_by and not (standing.pause or standing.trouble):
            words = f"queued: {standing.queued_by}"
            is_narrow = len(words) >= self._console.width
            line.append("\n").append(standing.queued_by if is_narrow else words, "dim")
        return line


def amount(number: float) -> str:
    """Format credits; whole numbers have no fraction."""
    return f"{number:,.2f}".removesuffix(".00")


def length(seconds: float) -> str:
    """Format a duration, in two units at most."""
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{max(1, round(seconds))} s"

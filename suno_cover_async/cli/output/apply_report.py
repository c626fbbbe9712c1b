"""Write what became of the covers of a ledger when choices were applied: lines, records, a summary.

It owns the fields of `apply --json`. It knows outcomes; it reads and writes no images.
"""

import shlex
from pathlib import Path
from typing import Literal

import attrs
from rich.console import Console

from suno_cover_async import Decision
from suno_cover_async.artwork import ApplyOutcome, NotApplied, NotChosen, Preset
from suno_cover_async.cli.output.console import as_path, result, say
from suno_cover_async.cli.output.records import as_json
from suno_cover_async.cli.output.report import are, count
from suno_cover_async.cli.output.results import When
from suno_cover_async.cli.output.rows import named

ApplyState = Literal["written", "unchanged", "planned", "undecided", "later", "neither", "failed"]

_UNDONE: dict[Decision, ApplyState] = {
    Decision.UNDECIDED: "undecided",
    Decision.LATER: "later",
    Decision.NEITHER: "neither",
}


@attrs.frozen(kw_only=True)
class ApplyRecord:
    """What became of one title of a cover.

    Attributes:
        music_task_id: The song.
        title: The title.
        state: `written`; `unchanged`, if the file was there; `planned`, if a dry run would write
            it; `failed`; or the decision of a cover without a chosen image.
        image: The number of the image, from 1.
        file: The file.
        width: Its width in pixels, if known.
        height: Its height.
        sidecar: The JSON file beside it.
        reason: Why it failed.
    """

    music_task_id: str
    title: str
    state: ApplyState
    image: int | None = None
    file: Path | None = None
    width: int | None = None
    height: int | None = None
    sidecar: Path | None = None
    reason: str | None = None

    @classmethod
    def of(cls, outcome: ApplyOutcome, *, dry_run: bool = False) -> "ApplyRecord":
        """Describe an outcome."""
        song, title = outcome.track.music_task_id, outcome.track.title
        if isinstance(outcome, NotChosen):
            return cls(music_task_id=song, title=title, state=_UNDONE[outcome.decision])
        if isinstance(outcome, NotApplied):
            return cls(
                music_task_id=song,
                title=title,
                state="failed",
                image=outcome.image,
                reason=outcome.reason,
            )
        size = outcome.converted
        return cls(
            music_task_id=song,
            title=title,
            state="unchanged" if not outcome.is_new else "planned" if dry_run else "written",
            image=outcome.image,
            file=outcome.file,
            width=size.width if size else None,
            height=size.height if size else None,
            sidecar=outcome.sidecar,
        )


@attrs.define(kw_only=True)
class ApplySummary:
    """How many titles came to which end."""

    written: int = 0
    unchanged: int = 0
    planned: int = 0
    undecided: int = 0
    later: int = 0
    neither: int = 0
    failed: int = 0


@attrs.frozen(kw_only=True)
class LastRecord:
    """The last line of a run: its summary, in a field that no other record has."""

    summary: ApplySummary


@attrs.define(eq=False, kw_only=True)
class ApplyReport:
    """The report of one run.

    Attributes:
        console: Where people read it.
        ledger: The ledger's path, for the command to run next.
        into: Where the files are.
        preset: What was written.
        with_json: Write a record for each title and a summary, not just paths.
        when: When results are written to standard output.
        dry_run: Whether nothing was written.
        summary: The counts.
    """

    console: Console
    ledger: str
    into: Path | str
    preset: Preset
    with_json: bool
    when: When
    dry_run: bool
    summary: ApplySummary = attrs.field(factory=ApplySummary, init=False)
    _small: list[tuple[int, int]] = attrs.field(factory=list[tuple[int, int]], init=False)
    _kept: list[ApplyRecord] = attrs.field(factory=list[ApplyRecord], init=False)

    @property
    def has_outcomes(self) -> bool:
        """Whether there was an outcome, or the run ended without any."""
        return self.summary != ApplySummary()

    def add(self, outcome: ApplyOutcome) -> None:
        """Count an outcome, say at once why it failed, and write its result."""
        record = ApplyRecord.of(outcome, dry_run=self.dry_run)
        setattr(self.summary, record.state, getattr(self.summary, record.state) + 1)
        if record.reason is not None:
            say(self.console, f"failed: {named(outcome.track)}: {record.reason}", "red")
        if self.preset.is_required and record.width and record.width < (self.preset.side or 0):
            self._small.append((record.width, record.height or record.width))
        if self.when is When.NOW:
            self._result(record)
        elif self.when is When.AT_END:
            self._kept.append(record)

    def end(self) -> None:
        """Write the kept results, and the summary for programs and for people."""
        for record in self._kept:
            self._result(record)
        if self.with_json:
            result(as_json(LastRecord(summary=self.summary)))
        if self._small:
            self._warn_of_small_images()
        summary = self.summary
        done = (
            f"would write {summary.planned:,}" if self.dry_run else f"written {summary.written:,}"
        )
        say(
            self.console,
            f"{done}, unchanged {summary.unchanged:,}, undecided {summary.undecided:,}, "
            f"later {summary.later:,}, neither {summary.neither:,}, failed {summary.failed:,}: "
            f"{self.into}",
            "bold red" if summary.failed else "green",
        )
        if summary.undecided:
            step = shlex.join(["suno-cover", "review", self.ledger])
            covers = count(summary.undecided, "cover")
            words = f"next: choose with {step}, or take the first image of {covers}"
            say(self.console, f"{words} with --default first")

    def _warn_of_small_images(self) -> None:
        """Say in one line how many images are smaller than the preset asks for, and their size."""
        many, side = len(self._small), self.preset.side
        least, most = min(self._small), max(self._small)
        size = f"{least[0]} × {least[1]}"
        if most != least:
            size += f" to {most[0]} × {most[1]}"
        say(
            self.console,
            f"warning: {count(many, 'image')} {are(many)} smaller than the {side} × {side} that "
            f"stores ask for, and not enlarged: {size} pixels; --upscale enlarges",
            "yellow",
        )

    def _result(self, record: ApplyRecord) -> None:
        if self.with_json:
            result(as_json(record))
        elif record.file is not None:
            result(as_path(record.file))

"""Write the results of a run to standard output: the paths of images, or JSON for each track.

It owns when results are written. If they cannot be written, the run continues, since the images
are paid for. It knows records; it knows no client.
"""

import enum
import sys
from collections.abc import Iterable

import attrs

from suno_cover_async.cli.output.console import as_path, is_live, result, stderr
from suno_cover_async.cli.output.records import LastRecord, OutcomeRecord, SummaryRecord, as_json


class When(enum.Enum):
    """When outcomes are written."""

    NOW = enum.auto()
    AT_END = enum.auto()
    NEVER = enum.auto()


def is_watched() -> bool:
    """Return whether standard output and the live display are on one terminal.

    Results written while the display is drawn would break it.
    """
    return is_live(stderr()) and sys.stdout.isatty()


@attrs.define(eq=False, kw_only=True)
class Results:
    """The results of one run.

    Attributes:
        with_json: Write a record for each track and a summary, not just paths.
        when: When to write outcomes.
        trouble: Why results could not be written; later results are discarded.
    """

    with_json: bool
    when: When
    trouble: OSError | None = attrs.field(default=None, init=False)
    _kept: list[OutcomeRecord] = attrs.field(factory=list[OutcomeRecord], init=False)

    @property
    def tear_a_display(self) -> bool:
        """Whether results are written to the terminal of a live display while it is drawn."""
        return self.when is When.NOW and is_watched()

    def add(self, record: OutcomeRecord) -> None:
        """Write a record, or keep it for the end."""
        if self.when is When.NOW:
            self._write(record)
        elif self.when is When.AT_END:
            self._kept.append(record)

    def end(self, unfinished: Iterable[OutcomeRecord], summary: SummaryRecord) -> None:
        """Write the kept records and the tracks without an outcome; with JSON, the summary too."""
        for record in (*self._kept, *unfinished):
            self._write(record)
        if self.with_json:
            self._line(as_json(LastRecord(summary=summary)))

    def _write(self, record: OutcomeRecord) -> None:
        if self.with_json:
            self._line(as_json(record))
            return
        for file in record.files:
            self._line(as_path(file))

    def _line(self, line: str) -> None:
        try:
            result(line)
        except OSError as error:
            self.trouble = error

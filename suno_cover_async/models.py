"""The values of the domain: frozen, without I/O.

They know neither the API's JSON names (`codec.py` does) nor any client.
"""

import enum
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import attrs

from suno_cover_async.common.records import Record
from suno_cover_async.common.validation import checked, task_id

_KEPT = timedelta(days=14)  # documented: how long the API keeps images
_MOST_LINKS = 16  # in a notebook; a cover has two


class CoverStatus(enum.StrEnum):
    """The status of a cover task; each is a str too, such as "SUCCESS"."""

    PENDING = "PENDING"
    GENERATING = "GENERATING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"

    @property
    def finished(self) -> bool:
        """Whether the status is final."""
        return self is CoverStatus.SUCCESS or self is CoverStatus.FAILED


@attrs.frozen
class Track(Record):
    """A finished song that is to have a cover: one line of a catalog.

    Attributes:
        music_task_id: The song's music task: 1 to 128 printable ASCII characters without spaces.
        title: The song's title, used in messages and file names; may be empty.
        columns: The other columns of the catalog: JSON values by the names of their columns.

    Raises:
        TypeError: `music_task_id` is not a str.
        ValueError: `music_task_id` is not a valid id.
    """

    music_task_id: str = attrs.field(validator=checked(task_id))
    title: str = attrs.field(default="", kw_only=True, validator=attrs.validators.instance_of(str))
    columns: Mapping[str, object] = attrs.field(factory=dict[str, object], kw_only=True, hash=False)


@attrs.frozen(kw_only=True)
class CoverTask(Record):
    """A cover that the API accepted to make, or had made already.

    Attributes:
        cover_task_id: The id to wait for and to poll.
        music_task_id: The music task whose cover it is.
        adopted: Whether the API, or a callback, said that the cover task existed already. An
            earlier run may have submitted it, or an earlier attempt whose answer was lost.
    """

    cover_task_id: str
    music_task_id: str
    adopted: bool = False


@attrs.frozen(kw_only=True)
class CoverDetails(Record):
    """The details of a cover task, as one poll returned them.

    Attributes:
        cover_task_id: The cover task.
        music_task_id: The music task it belongs to; None if the host does not name it.
        status: Its status. A status that this version does not know is read as PENDING.
        images: The image URLs, usually two, in the API's order; empty before success. The API
            keeps the images for 14 days.
        created_at: When the host created the task, by its own clock, in UTC.
        completed_at: When the host finished it, by its own clock, in UTC.
        error_code: The host's code for a failure, else None.
        error_message: The host's message for a failure, else None.
    """

    cover_task_id: str
    music_task_id: str | None = None
    status: CoverStatus
    images: tuple[str, ...] = ()
    created_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: int | None = None
    error_message: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the cover task is a success or a failure, which is final."""
        return self.status.finished

    @property
    def duration(self) -> timedelta | None:
        """The time that the host took, by its own clock; None while it is not known."""
        if self.created_at is None or self.completed_at is None:
            return None
        return self.completed_at - self.created_at

    def _repr_html_(self) -> str:
        """Show the fields as a table in a notebook; images are links, and none is requested."""
        from suno_cover_async.common import html  # noqa: PLC0415 - for notebooks alone

        links = [html.link(url, f"image {n}") for n, url in enumerate(self.images, 1)]
        rows = [
            ("status", html.text(self.status)),
            ("cover task", html.text(self.cover_task_id)),
            ("music task", html.text(self.music_task_id or "not named")),
            ("images", "<br>".join(links[:_MOST_LINKS]) or "none yet"),
            ("kept by the API", html.text(self._time_left(datetime.now(UTC)))),
            ("error", html.text(f"{self.error_message or ''} (code {self.error_code})")),
        ]
        left_out = {"images", "kept by the API"} if self.status is CoverStatus.FAILED else {"error"}
        return html.table(row for row in rows if row[0] not in left_out)

    def _time_left(self, now: datetime) -> str:
        """Say how long the API keeps the images, in words."""
        made = self.completed_at or self.created_at
        if not self.images or made is None:
            return "14 days from its end"
        try:
            hours = (_KEPT - (now - made)) // timedelta(hours=1)
        except (TypeError, OverflowError):  # a moment without a time zone, of a caller's own making
            return "14 days from its end"
        return f"for {hours} hours more" if hours > 0 else "no longer: 14 days are over"


class Decision(enum.Enum):
    """What a person decided about a cover; the ledger's file and the command line use these values.

    Attributes:
        UNDECIDED: Nothing yet, or the decision was undone.
        IMAGE: One of the images was chosen.
        NEITHER: None of the images is to be used.
        LATER: The decision was put off.
    """

    UNDECIDED = "undecided"
    IMAGE = "image"
    NEITHER = "neither"
    LATER = "later"


@attrs.frozen(kw_only=True)
class Choice(Record):
    """What a person decided about the images of one cover.

    Attributes:
        decision: The decision.
        image: The number of the chosen image, from 1, in the API's order; None without one.
        revision: How often the decision changed; 0 if it never did. A change names the revision
            that it replaces, so that it never overwrites a decision that its person did not see.
        decided_at: When it was last changed, in UTC.
        decided_by: Who changed it last.
    """

    decision: Decision = Decision.UNDECIDED
    image: int | None = None
    revision: int = 0
    decided_at: datetime | None = None
    decided_by: str | None = None


@attrs.frozen(kw_only=True)
class Callback(Record):
    """A notice that a cover task has finished or changed; poll the API for the result.

    It holds ids only: no signature covers a callback's result and images, so they are not read.

    Attributes:
        music_task_id: The music task, proven by the token in the URL that was called.
        cover_task_id: The cover task that the callback names; not proven.
    """

    music_task_id: str
    cover_task_id: str


@attrs.frozen(kw_only=True)
class MusicDetails(Record):
    """The details of a music task, as one poll returned them.

    Attributes:
        music_task_id: The music task.
        status: The host's own status text, such as `FIRST_SUCCESS`; see `ready` and `failed`.
        audio_urls: The URLs of the audio files made so far.
    """

    music_task_id: str
    status: str
    audio_urls: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether a cover can be requested: the music, or at least its audio, is complete."""
        return self.status == "SUCCESS" or (
            self.status == "CALLBACK_EXCEPTION" and bool(self.audio_urls)
        )

    @property
    def failed(self) -> bool:
        """Whether the music task failed, which is final."""
        return self.status in _MUSIC_FAILED


_MUSIC_FAILED = frozenset(
    {"CREATE_TASK_FAILED", "GENERATE_AUDIO_FAILED", "SENSITIVE_WORD_ERROR", "FAILED"}
)

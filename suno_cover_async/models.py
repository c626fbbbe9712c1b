"""The nouns: frozen values that know things and do nothing.

They know neither the API's spelling (`codec.py`) nor any client.
"""

import enum
from collections.abc import Mapping
from datetime import datetime, timedelta

import attrs

from suno_cover_async.common.validation import checked, task_id


class CoverStatus(enum.Enum):
    """How far a cover task is."""

    PENDING = "PENDING"
    GENERATING = "GENERATING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"

    @property
    def finished(self) -> bool:
        """Whether the status will never change again."""
        return self is CoverStatus.SUCCESS or self is CoverStatus.FAILED


@attrs.frozen
class Track:
    """A finished song that is to have a cover: one line of a catalog.

    Attributes:
        music_task_id: The song's music task: 1 to 128 printable ASCII characters without spaces.
        title: What people know it by, and what its files are called after; may be empty.
        columns: Whatever else the catalog says of it: JSON values by the names of their columns.

    Raises:
        TypeError: `music_task_id` is not a str.
        ValueError: It is no id.
    """

    music_task_id: str = attrs.field(validator=checked(task_id))
    title: str = attrs.field(default="", kw_only=True, validator=attrs.validators.instance_of(str))
    columns: Mapping[str, object] = attrs.field(factory=dict[str, object], kw_only=True, hash=False)


@attrs.frozen(kw_only=True)
class CoverTask:
    """A cover that the API has accepted to make, or had made already.

    Attributes:
        cover_task_id: What to wait for and look at.
        music_task_id: The music task it is the cover of.
        adopted: The API, or a callback, said that a cover task existed already. Perhaps an earlier
            run submitted it, perhaps an earlier attempt of ours whose answer was lost.
    """

    cover_task_id: str
    music_task_id: str
    adopted: bool = False


@attrs.frozen(kw_only=True)
class CoverDetails:
    """What the API says of a cover task, at one look.

    Attributes:
        cover_task_id: The cover task.
        music_task_id: The music task it belongs to; None where the host does not say.
        status: How far it is. A status this version does not know reads as PENDING.
        images: The image URLs, usually two, in the API's order; empty before success. The API
            keeps the images for 14 days.
        created_at: When the host created the task, by its own clock, in UTC.
        completed_at: When the host finished it, by its own clock, in UTC.
        error_code: The host's code for a failure, else None.
        error_message: The host's words for a failure, else None.
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
        """Whether the cover task is a success or a failure, for good."""
        return self.status.finished

    @property
    def duration(self) -> timedelta | None:
        """How long the host took, by its own clock; None until it is known."""
        if self.created_at is None or self.completed_at is None:
            return None
        return self.completed_at - self.created_at


@attrs.frozen(kw_only=True)
class Callback:
    """The news that something became of a cover task; ask the API what.

    It holds ids only: a callback's verdict and images are covered by no signature, so nobody
    should read them.

    Attributes:
        music_task_id: Proven by the token in the URL that was called.
        cover_task_id: As the callback names it.
    """

    music_task_id: str
    cover_task_id: str


@attrs.frozen(kw_only=True)
class MusicDetails:
    """What the API says of a music task, at one look.

    Attributes:
        music_task_id: The music task.
        status: The host's own word, such as `FIRST_SUCCESS`; see `ready` and `failed`.
        audio_urls: The audio files that are there.
    """

    music_task_id: str
    status: str
    audio_urls: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether a cover can be asked for: the music is complete, or at least its audio is."""
        return self.status == "SUCCESS" or (
            self.status == "CALLBACK_EXCEPTION" and bool(self.audio_urls)
        )

    @property
    def failed(self) -> bool:
        """Whether the music will never come."""
        return self.status in _MUSIC_FAILED


_MUSIC_FAILED = frozenset(
    {"CREATE_TASK_FAILED", "GENERATE_AUDIO_FAILED", "SENSITIVE_WORD_ERROR", "FAILED"}
)

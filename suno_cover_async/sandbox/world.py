"""Hold the simulated host's state: music tasks, cover tasks, bills, images and the rate limit.

It owns every rule about them. It knows no socket, no clock and no HTTP: the time is always an
argument, in seconds of one monotonic clock. It is documented nowhere whether the API makes covers
of unfinished music; this one does.
"""

import hashlib
import heapq
import random
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from suno_cover_async.models import CoverDetails, CoverStatus, MusicDetails
from suno_cover_async.sandbox.journal import Bill
from suno_cover_async.sandbox.scenario import Mishap, Scenario

STYLES = (1, 2)  # a cover is two images
SONGS = (1, 2)  # a music task makes two
_FAILURE_CODE = 500
_FAILURE_MESSAGE = "Internal error - Please try again later."
_WITH_AUDIO = frozenset({"SUCCESS", "CALLBACK_EXCEPTION"})


@attrs.frozen(kw_only=True)
class Image:
    """One image file: its music task, its style, and when it expires."""

    music_task_id: str
    style: int
    expires_at: float


@attrs.frozen(kw_only=True)
class Notice:
    """A callback to be sent for a finished cover task; `images` are paths, None after a failure."""

    cover_task_id: str
    url: str
    images: tuple[str, ...] | None
    mishap: Mishap = Mishap.NONE


@attrs.define(kw_only=True)
class _Music:
    music_task_id: str
    status: str
    fails: bool | None
    cover_task_id: str | None = None


@attrs.define(kw_only=True)
class _Cover:
    cover_task_id: str
    music_task_id: str
    callback_url: str | None
    created: float
    done: float | None
    polls_needed: int | None
    fails: bool
    mishap: Mishap
    polls: int = 0
    status: CoverStatus = CoverStatus.PENDING  # as of the last poll
    imageless_polls: int = 0
    images: tuple[str, ...] = ()


class World:
    """One account of the simulated host, and everything it made."""

    def __init__(self, scenario: Scenario, *, now: float, wall: datetime) -> None:
        """Begin empty.

        Args:
            scenario: How it behaves; may be replaced at any time.
            now: The current time of the monotonic clock.
            wall: The current date and time, timezone-aware.
        """
        self.scenario = scenario
        self.bills: list[Bill] = []
        self._dice = random.Random(scenario.seed)
        self._callback_dice = random.Random(f"{scenario.seed} callbacks")
        self._origin, self._wall = now, wall
        self._music: dict[str, _Music] = {}
        self._covers: dict[str, _Cover] = {}
        self._images: dict[str, Image] = {}
        self._unsent: list[tuple[float, str]] = []
        self._arrivals: deque[float] = deque()
        self._spent = 0.0
        self._other_cover: str | None = None

    def add_music(
        self, music_task_ids: Iterable[str] | int, *, status: str, fails: bool | None
    ) -> list[str]:
        """Add music tasks with these ids, or this many with new ids.

        Raises:
            ValueError: One exists already; added again, it could be billed twice.
        """
        if isinstance(music_task_ids, int):
            music_task_ids = [self._new_id() for _ in range(music_task_ids)]
        added = [music_task_ids] if isinstance(music_task_ids, str) else list(music_task_ids)
        for one in added:
            if one in self._music:
                raise ValueError(f"music task {one} is there already")
            self._music[one] = _Music(music_task_id=one, status=status, fails=fails)
        return added

    def set_music(self, music_task_id: str, status: str) -> None:
        """Change a music task's status; raises LookupError for an unknown one."""
        self._music[music_task_id].status = status

    def music(self, music_task_id: str) -> MusicDetails | None:
        """Return the details of a music task; None for an unknown one."""
        music = self._music.get(music_task_id)
        if music is None:
            return None
        songs = SONGS if music.status in _WITH_AUDIO else ()
        audio = tuple(f"/s/{_name(music_task_id, song)}.mp3" for song in songs)
        return MusicDetails(music_task_id=music_task_id, status=music.status, audio_urls=audio)

    def cover_of(self, music_task_id: str) -> str | None:
        """Return the id of a music task's only cover task; None if it has none."""
        music = self._music.get(music_task_id)
        return None if music is None else music.cover_task_id

    @property
    def began(self) -> datetime:
        """When it began, and all its music was made."""
        return self._wall

    @property
    def credits(self) -> float:
        """The balance."""
        return round(self.scenario.credits - self._spent, 6)

    @property
    def affordable(self) -> bool:
        """Whether one more cover can be paid for."""
        return self.credits >= self.scenario.price

    def submit(self, music_task_id: str, callback_url: str | None, now: float) -> str:
        """Make a cover task, bill it, and return its id.

        Raises:
            LookupError: No such music task.
            ValueError: It has a cover, or there are not enough credits.
        """
        music = self._music[music_task_id]
        if music.cover_task_id is not None:
            raise ValueError(f"music task {music_task_id} has a cover")
        if not self.affordable:
            raise ValueError("not enough credits")
        fails = self._dice.random() < self.scenario.failures if music.fails is None else music.fails
        mishap = self.scenario.mishap(self._callback_dice)
        cover = self._open(music_task_id, callback_url, now, fails=fails, mishap=mishap)
        music.cover_task_id = cover.cover_task_id
        self._charge(cover, now)
        return cover.cover_task_id

    def other_cover(self, now: float) -> str:
        """Return a finished cover task that belongs to another account's music task."""
        if self._other_cover is None:
            cover = self._open(self._new_id(), None, now, fails=False)
            cover.done, cover.polls_needed = now, None
            self._other_cover = cover.cover_task_id
        return self._other_cover

    def poll(self, cover_task_id: str, now: float) -> CoverDetails | None:
        """Return the details of a cover task; this poll may be the one that finishes it."""
        cover = self._covers.get(cover_task_id)
        if cover is None:
            return None
        cover.polls += 1
        seen = cover.polls - self.scenario.null_polls
        if seen <= 0:
            return None
        if cover.polls_needed is not None and cover.done is None and seen >= cover.polls_needed:
            self._finish_at(cover, now)
        cover.status = self._status(cover, seen, now)
        return self._details(cover, cover.status)

    def finished_at(self, cover_task_id: str) -> float | None:
        """Return when a cover task finished, if its last poll showed that it has."""
        cover = self._covers.get(cover_task_id)
        return cover.done if cover is not None and cover.status.finished else None

    def next_due(self) -> float | None:
        """Return when the next callback is due, of the covers whose end is known."""
        return self._unsent[0][0] if self._unsent else None

    def due(self, now: float) -> list[Notice]:
        """Return the callbacks that are due, each once; a lost callback is never returned."""
        callbacks = list[Notice]()
        while self._unsent and self._unsent[0][0] <= now:
            cover = self._covers[heapq.heappop(self._unsent)[1]]
            if cover.callback_url is not None and cover.mishap is not Mishap.LOST:
                callbacks.append(
                    Notice(
                        cover_task_id=cover.cover_task_id,
                        url=cover.callback_url,
                        images=None if cover.fails else self._image_paths(cover),
                        mishap=cover.mishap,
                    )
                )
        return callbacks

    def image(self, path: str) -> Image | None:
        """Return an image by its path, also an expired one; None if there is none."""
        return self._images.get(path)

    def expire_images(self, now: float) -> None:
        """Expire every image that exists."""
        for path, image in list(self._images.items()):  # a server's thread may add more
            self._images[path] = attrs.evolve(image, expires_at=min(now, image.expires_at))

    def admit(self, now: float) -> bool:
        """Count an arrival against the limit; return False if its window is full.

        A window is half open: an arrival exactly one window after another is outside of it. A
        refused arrival does not count.
        """
        rate_limit = self.scenario.window
        if rate_limit is None:
            return True
        while self._arrivals and now - self._arrivals[0] >= rate_limit.seconds:
            self._arrivals.popleft()
        if len(self._arrivals) >= rate_limit.calls:
            return False
        self._arrivals.append(now)
        return True

    def _new_id(self) -> str:
        return f"{self._dice.getrandbits(128):032x}"

    def _open(
        self,
        music_task_id: str,
        callback_url: str | None,
        now: float,
        *,
        fails: bool,
        mishap: Mishap = Mishap.NONE,
    ) -> _Cover:
        cover = _Cover(
            cover_task_id=self._new_id(),
            music_task_id=music_task_id,
            callback_url=callback_url,
            created=now,
            done=None,
            polls_needed=self.scenario.polls,
            fails=fails,
            mishap=mishap,
        )
        self._covers[cover.cover_task_id] = cover
        duration = None if cover.polls_needed else self.scenario.duration(self._dice)
        if mishap is Mishap.EARLY:
            duration = 0.0
        if duration is not None:
            self._finish_at(cover, now + duration)
        return cover

    def _charge(self, cover: _Cover, now: float) -> None:
        self._spent += self.scenario.price
        self.bills.append(
            Bill(
                at=now,
                music_task_id=cover.music_task_id,
                cover_task_id=cover.cover_task_id,
                credits=self.scenario.price,
            )
        )

    def _finish_at(self, cover: _Cover, moment: float) -> None:
        cover.done = moment
        late = self.scenario.lateness if cover.mishap is Mishap.LATE else 0
        heapq.heappush(self._unsent, (moment + late, cover.cover_task_id))

    def _status(self, cover: _Cover, seen: int, now: float) -> CoverStatus:
        if cover.done is not None and now >= cover.done:
            return CoverStatus.FAILED if cover.fails else CoverStatus.SUCCESS
        if cover.done is None:
            return CoverStatus.PENDING if seen == 1 else CoverStatus.GENERATING
        early = now - cover.created < (cover.done - cover.created) / 4
        return CoverStatus.PENDING if early else CoverStatus.GENERATING

    def _details(self, cover: _Cover, status: CoverStatus) -> CoverDetails:
        failed = status is CoverStatus.FAILED
        finished = cover.done if status.finished else None
        return CoverDetails(
            cover_task_id=cover.cover_task_id,
            music_task_id=cover.music_task_id,
            status=status,
            images=self._visible_images(cover) if status is CoverStatus.SUCCESS else (),
            created_at=self._moment(cover.created),
            completed_at=None if finished is None else self._moment(finished),
            error_code=_FAILURE_CODE if failed else None,
            error_message=_FAILURE_MESSAGE if failed else None,
        )

    def _visible_images(self, cover: _Cover) -> tuple[str, ...]:
        if cover.imageless_polls < self.scenario.imageless_polls:
            cover.imageless_polls += 1
            return ()
        return self._image_paths(cover)

    def _image_paths(self, cover: _Cover) -> tuple[str, ...]:
        if not cover.images and cover.done is not None:
            cover.images = tuple(self._draw(cover, style, cover.done) for style in STYLES)
        return cover.images

    def _draw(self, cover: _Cover, style: int, done: float) -> str:
        name = _name(cover.cover_task_id, style)
        path = f"/s/{self._moment(done).timestamp():.0f}_{name}.png"
        self._images[path] = Image(
            music_task_id=cover.music_task_id,
            style=style,
            expires_at=done + self.scenario.image_life,
        )
        return path

    def _moment(self, at: float) -> datetime:
        return self._wall + timedelta(seconds=at - self._origin)


def _name(task_id: str, number: int) -> str:
    """Return 32 hexadecimal digits for a file of a task."""
    return hashlib.blake2b(f"{task_id} {number}".encode(), digest_size=16).hexdigest()

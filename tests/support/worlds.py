"""Worlds of the sandbox without a server."""

from datetime import UTC, datetime
from typing import Any

from suno_cover_async.models import CoverStatus
from suno_cover_async.sandbox import (
    Lognormal,
    Scenario,
)
from suno_cover_async.sandbox.world import World

WALL = datetime(2025, 10, 15, 4, 47, 15, tzinfo=UTC)

URL = "http://127.0.0.1:1/callback"


def a_world(**fields: Any) -> World:
    return World(Scenario(**fields), now=1000.0, wall=WALL)


def a_cover(world: World, now: float = 1000.0, *, fails: bool | None = None) -> tuple[str, str]:
    (music_task_id,) = world.add_music(1, status="SUCCESS", fails=fails)
    return music_task_id, world.submit(music_task_id, URL, now)


def statuses(world: World, cover_task_id: str, moments: list[float]) -> list[CoverStatus | None]:
    polls = [world.poll(cover_task_id, moment) for moment in moments]
    return [None if poll is None else poll.status for poll in polls]


def a_lognormal(**fields: Any) -> Lognormal:
    return Lognormal(**({"median": 47, "sigma": 0.4} | fields))

"""How old a cover's images are, by the host's clock."""

from datetime import UTC, datetime, timedelta

import pytest

from suno_cover_async.covers.image_age import ImageAge, image_age
from suno_cover_async.models import CoverDetails, CoverStatus


def aged(*, completed: float | None = None, created: float | None = None) -> CoverDetails:
    """Details of a cover that was completed and created so many days ago."""

    def time(days: float | None) -> datetime | None:
        return None if days is None else datetime.now(UTC) - timedelta(days=days)

    return CoverDetails(
        cover_task_id="c",
        status=CoverStatus.SUCCESS,
        completed_at=time(completed),
        created_at=time(created),
    )


@pytest.mark.parametrize(
    ("days", "age"),
    [
        (0, ImageAge.YOUNG),
        (-0.01, ImageAge.YOUNG),  # the host's clock is ahead
        (12.9, ImageAge.YOUNG),
        (13.1, ImageAge.OLD),
        (14.1, ImageAge.OLD),
        (20_000, ImageAge.OLD),
        (-2, ImageAge.UNKNOWN),
    ],
)
def test_images_are_young_for_13_days_and_then_old(days: float, age: ImageAge) -> None:
    assert image_age(aged(completed=days)) is age
    assert image_age(aged(created=days)) is age


def test_the_completion_decides_if_the_host_names_it() -> None:
    assert image_age(aged(completed=1, created=20)) is ImageAge.YOUNG


def test_without_a_time_the_age_is_unknown() -> None:
    assert image_age(aged()) is ImageAge.UNKNOWN

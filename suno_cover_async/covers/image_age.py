"""How old a cover's images are: whether the API still keeps them, so that a missing one passes.

The API keeps images for 14 days [documented]. The host's clock is compared with this machine's.
"""

import enum
from datetime import UTC, datetime, timedelta

from suno_cover_async.models import CoverDetails

_SURELY_KEPT = timedelta(days=13)
_WRONG_CLOCK = timedelta(days=-1)


class ImageAge(enum.Enum):
    """What is known of the age of a cover's images.

    Attributes:
        YOUNG: The API still keeps them: under 13 days.
        OLD: They may be gone: 13 days or more.
        UNKNOWN: The host named no time, or one that is over a day in the future.
    """

    YOUNG = "young"
    OLD = "old"
    UNKNOWN = "unknown"


def image_age(details: CoverDetails) -> ImageAge:
    """Return what is known of the age of a cover's images."""
    made = details.completed_at or details.created_at
    if made is None:
        return ImageAge.UNKNOWN
    age = datetime.now(UTC) - made
    if age < _WRONG_CLOCK:
        return ImageAge.UNKNOWN
    return ImageAge.YOUNG if age < _SURELY_KEPT else ImageAge.OLD

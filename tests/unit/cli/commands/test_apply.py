"""The choices of `apply`."""

from suno_cover_async.artwork import PRESETS
from suno_cover_async.cli.commands import apply


def test_the_presets_are_those_of_artwork() -> None:
    assert tuple(PRESETS) == apply.PRESETS

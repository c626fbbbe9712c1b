from pathlib import Path

import pytest

from suno_cover_async.artwork.plan import ArtworkPlan, image_of
from suno_cover_async.artwork.presets import PRESETS, Preset
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.models import Choice, Decision, Track


def an_entry(
    *titles: str, decision: Decision = Decision.IMAGE, image: int | None = 1
) -> LedgerEntry:
    titles = titles or ("Song",)
    return LedgerEntry(
        number=1,
        tracks=tuple(Track("abc", title=title) for title in titles),
        state=TrackState.SAVED,
        images=("https://a.example/1", "https://a.example/2"),
        files=tuple(Path(f"covers/{title} abc-{n}.png") for title in titles for n in (1, 2)),
        choice=Choice(decision=decision, image=image, revision=1),
    )


@pytest.mark.parametrize(
    ("decision", "chosen", "image", "with_default"),
    [
        (Decision.IMAGE, 2, 2, 2),
        (Decision.UNDECIDED, None, None, 1),
        (Decision.NEITHER, None, None, None),
        (Decision.LATER, None, None, None),
    ],
)
def test_the_default_is_for_covers_that_nobody_decided_about(
    decision: Decision, chosen: int | None, image: int | None, with_default: int | None
) -> None:
    entry = an_entry(decision=decision, image=chosen)

    assert image_of(entry) == image
    assert image_of(entry, "first") == with_default


def test_what_is_written_and_where_is_said_for_each_title() -> None:
    plan = ArtworkPlan.of(into="artwork", preset="store", name="{title}.{ext}")

    assert plan.in_words(an_entry("One", "Two", image=2)) == (
        "artwork/One.jpg (JPEG of at most 3000 × 3000)",
        "artwork/Two.jpg (JPEG of at most 3000 × 3000)",
    )


def test_the_chosen_image_is_the_one_that_is_described() -> None:
    plan = ArtworkPlan.of(into="artwork", name="{title} {image}")

    assert plan.in_words(an_entry(image=2)) == ("artwork/Song 2.png (a copy of the image)",)


def test_a_copy_keeps_the_suffix_of_its_image() -> None:
    plan = ArtworkPlan.of(into="artwork")

    assert plan.in_words(an_entry()) == ("artwork/Song abc.png (a copy of the image)",)


def test_an_undecided_cover_is_described_as_if_its_first_image_were_chosen() -> None:
    plan = ArtworkPlan.of(into="artwork", name="{title} {image}")

    undecided = an_entry(decision=Decision.UNDECIDED, image=None)

    assert plan.in_words(undecided) == ("artwork/Song 1.png (a copy of the image)",)


def test_why_a_title_can_have_no_file_is_said_in_its_place() -> None:
    plan = ArtworkPlan.of(into="artwork", name="{artist}.{ext}")

    assert plan.in_words(an_entry()) == ("it has no artist, which its file's name needs",)


def test_a_preset_is_given_by_name_or_as_a_value() -> None:
    mine = Preset(name="mine", format="PNG")

    assert ArtworkPlan.of(into="x", preset="web").preset is PRESETS["web"]
    assert ArtworkPlan.of(into="x", preset=mine).preset is mine


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preset": "huge"}, "preset must be one of original, store, web, player, not 'huge'"),
        ({"name": "../{title}"}, "must be one of a file in the folder"),
        ({"into": "a\0b"}, "into must be a path that is valid"),
    ],
)
def test_wrong_arguments_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ArtworkPlan.of(**{"into": "x", **given})

"""What the page is told of a cover: text and numbers alone."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from suno_cover_async import Choice, Decision, LedgerEntry, Track, TrackState
from suno_cover_async.review.image_facts import ImageFiles
from suno_cover_async.review.pairs import choice_of, counts_of, pair_of
from suno_cover_async.sandbox.images import draw

URLS = ("https://x.example/1.png", "https://x.example/2.png")


def an_entry(*tracks: Track, files: tuple[Path, ...] = ()) -> LedgerEntry:
    return LedgerEntry(
        number=7,
        tracks=tracks or (Track("m", title="Song"),),
        state=TrackState.SAVED,
        images=URLS,
        files=files or (Path("no/1.png"), Path("no/2.png")),
    )


def test_a_pair_has_what_the_page_shows(tmp_path: Path) -> None:
    files = (tmp_path / "1.png", tmp_path / "2.png")
    for file in files:
        file.write_bytes(draw("m", 1, 16))
    track = Track("m", title="Song", columns={"Artist": "Ann", "year": 1999})

    pair = pair_of(an_entry(track, files=files), ImageFiles(), lambda _: ["artwork/Song.jpg"])

    versions = [image["url"].partition("?v=")[2] for image in pair["images"]]
    assert all(versions)
    assert len(set(versions)) == 2
    assert pair == {
        "number": 7,
        "music_task_id": "m",
        "title": "Song",
        "titles": ["Song"],
        "artist": "Ann",
        "columns": {"year": "1999"},
        "images": [
            {
                "image": number,
                "url": f"images/7/{number}?v={version}",
                "width": 16,
                "height": 16,
                "problem": None,
            }
            for number, version in enumerate(versions, 1)
        ],
        "choice": {
            "decision": "undecided",
            "image": None,
            "revision": 0,
            "decided_at": None,
            "decided_by": None,
        },
        "destinations": ["artwork/Song.jpg"],
    }


def problems(pair: dict[str, Any]) -> list[str]:
    """Return what is wrong with each image, without where its file was searched for."""
    return [image["problem"].partition(";")[0] for image in pair["images"]]


def test_a_missing_image_has_its_problem_in_words() -> None:
    pair = pair_of(an_entry(), ImageFiles(), None)

    assert problems(pair) == ["the file is missing: no/1.png", "the file is missing: no/2.png"]
    assert pair["destinations"] == []


def test_of_several_titles_the_first_ones_images_are_shown() -> None:
    paths = tuple(Path(f"no/{number}.png") for number in range(4))

    pair = pair_of(
        an_entry(Track("m", title="One"), Track("m", title="Two"), files=paths), ImageFiles(), None
    )

    assert (pair["title"], pair["titles"]) == ("One", ["One", "Two"])
    assert problems(pair) == ["the file is missing: no/0.png", "the file is missing: no/1.png"]


def test_columns_are_text_whatever_they_hold() -> None:
    columns = {"a": None, "b": 1.5, "c": ["é", {"d": True}], "e": "<b>x</b>", "f": False}

    pair = pair_of(an_entry(Track("m", columns=columns)), ImageFiles(), None)

    assert pair["columns"] == {
        "a": "",
        "b": "1.5",
        "c": '["é", {"d": true}]',
        "e": "<b>x</b>",
        "f": "false",
    }
    assert pair["artist"] is None


def test_an_artist_is_found_in_any_spelling_and_an_empty_one_is_none() -> None:
    for columns, artist in (
        ({" ARTIST ": "Ann"}, "Ann"),
        ({"artist": ""}, None),
        ({"artist": None}, None),
        ({"artists": "Ann"}, None),
    ):
        pair = pair_of(an_entry(Track("m", columns=columns)), ImageFiles(), None)
        assert pair["artist"] == artist


def test_texts_and_columns_are_bounded() -> None:
    columns: dict[str, object] = {f"column {number}": "x" * 5_000 for number in range(1_000)}
    columns["n" * 5_000] = 1
    track = Track("m", title="t" * 5_000, columns=columns | {"artist": "a" * 5_000})

    pair = pair_of(an_entry(track), ImageFiles(), lambda _: ["d" * 5_000])

    assert len(pair["columns"]) == 100
    texts = [pair["title"], pair["artist"], *pair["destinations"], *pair["columns"].values()]
    assert {len(text) for text in texts} == {1_000}
    assert all(text.endswith("…") for text in texts)


def test_a_lone_surrogate_can_be_written_as_json() -> None:
    pair = pair_of(an_entry(Track("m", title="\ud83d!")), ImageFiles(), None)

    assert json.loads(json.dumps(pair).encode())["title"] == "\ud83d!"


def test_a_choice_has_its_time_with_a_time_zone() -> None:
    choice = Choice(
        decision=Decision.IMAGE,
        image=2,
        revision=3,
        decided_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        decided_by="Ben",
    )

    expected = {
        "decision": "image",
        "image": 2,
        "revision": 3,
        "decided_at": "2026-01-02T03:04:00+00:00",
        "decided_by": "Ben",
    }
    assert choice_of(choice) == expected
    assert (
        pair_of(attrs.evolve(an_entry(), choice=choice), ImageFiles(), None)["choice"] == expected
    )


def test_counts_have_every_decision_and_all() -> None:
    assert counts_of({Decision.IMAGE: 2, Decision.LATER: 1}) == {
        "all": 3,
        "undecided": 0,
        "image": 2,
        "neither": 0,
        "later": 1,
    }

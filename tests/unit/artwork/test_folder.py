import contextlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image

from suno_cover_async.artwork import Applied, ApplyOutcome, NotApplied, NotChosen, apply_choices
from suno_cover_async.artwork.written_files import NAME
from suno_cover_async.errors import ArtworkError
from suno_cover_async.models import Decision, Track
from tests.support.artwork import applied, choose, chosen, colour_of, draw, files_in, unread

A, B = Track("a1", title="A"), Track("b2", title="B")


def reasons(outcomes: Iterable[ApplyOutcome]) -> list[str]:
    return [one.reason for one in outcomes if isinstance(one, NotApplied)]


def new(outcomes: Iterable[ApplyOutcome]) -> list[bool]:
    return [one.is_new for one in outcomes if isinstance(one, Applied)]


async def test_the_chosen_image_is_written_and_the_other_one_stays(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})
    before = files_in(tmp_path / "covers")

    await applied(ledger, tmp_path / "out")

    assert files_in(tmp_path / "covers") == before
    assert files_in(tmp_path / "out") == {
        "A a1.png": before["A-1.png"],
        "B b2.png": before["B-2.png"],
    }


@pytest.mark.parametrize("preset", ["original", "store", "web"])
async def test_a_second_run_writes_nothing(tmp_path: Path, preset: str) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})
    first = await applied(ledger, tmp_path / "out", preset, sidecar=True)
    before = {path: unread(path) for path in (tmp_path / "out").iterdir()}

    second = await applied(ledger, tmp_path / "out", preset, sidecar=True)

    assert (new(first), new(second)) == ([True, True], [False, False])
    assert {path: unread(path) for path in (tmp_path / "out").iterdir()} == before
    assert [one.converted for one in first if isinstance(one, Applied)] == [
        one.converted for one in second if isinstance(one, Applied)
    ]


async def test_a_changed_choice_replaces_its_own_file_alone(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})
    await applied(ledger, tmp_path / "out", "store")
    await choose(ledger, 1, 2)

    outcomes = await applied(ledger, tmp_path / "out", "store")

    assert new(outcomes) == [True, False]
    assert colour_of(tmp_path / "out/A a1.jpg") == 2
    assert sorted(files_in(tmp_path / "out")) == ["A a1.jpg", "B b2.jpg"]


async def test_another_preset_of_the_same_suffix_or_upscaling_replaces_the_file(
    tmp_path: Path,
) -> None:
    ledger = await chosen(tmp_path, [A], {1: 1})
    await applied(ledger, tmp_path / "out", "store")

    player = await applied(ledger, tmp_path / "out", "player")
    larger = await applied(ledger, tmp_path / "out", "player", upscale=True)

    assert (new(player), new(larger)) == ([True], [True])
    with Image.open(tmp_path / "out/A a1.jpg") as image:
        assert image.size == (1000, 1000)


async def test_a_file_that_was_removed_is_written_again(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})
    await applied(ledger, tmp_path / "out")
    whole = files_in(tmp_path / "out")
    (tmp_path / "out/B b2.png").unlink()

    assert new(await applied(ledger, tmp_path / "out")) == [False, True]
    assert files_in(tmp_path / "out") == whole


async def test_a_file_that_another_program_changed_since_stays(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})
    await applied(ledger, tmp_path / "out")
    (tmp_path / "out/A a1.png").write_bytes(b"retouched for hours")
    await choose(ledger, 1, 2)

    outcomes = await applied(ledger, tmp_path / "out")

    assert (tmp_path / "out/A a1.png").read_bytes() == b"retouched for hours"
    assert "A a1.png is there, and is no file that was written here" in reasons(outcomes)[0]
    assert new(outcomes) == [False]


async def test_killed_before_the_rename_the_old_file_is_still_ours(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A], {1: 1})
    await applied(ledger, tmp_path / "out")
    old = (tmp_path / "out/A a1.png").read_bytes()
    await choose(ledger, 1, 2)
    await applied(ledger, tmp_path / "out")
    (tmp_path / "out/A a1.png").write_bytes(old)

    assert new(await applied(ledger, tmp_path / "out")) == [True]
    assert colour_of(tmp_path / "out/A a1.png") == 2


async def test_a_saved_image_is_never_taken_for_artwork(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A], {1: 1})
    before = files_in(tmp_path / "covers")
    first = await applied(ledger, tmp_path / "covers", name="{title}-1")
    await choose(ledger, 1, 2)
    second = await applied(ledger, tmp_path / "covers", name="{title}-1")

    assert "is the saved image itself; give another" in reasons(first)[0]
    assert "is there" in reasons(second)[0]
    assert files_in(tmp_path / "covers") == before


async def test_two_runs_at_once_into_one_folder_are_refused(tmp_path: Path) -> None:
    first = await chosen(tmp_path / "1", [Track("z9", title="Song")], {1: 1})
    second = await chosen(tmp_path / "2", [Track("a1", title="Song")], {1: 2})

    async with contextlib.aclosing(apply_choices(first, into=tmp_path / "out")) as running:
        await anext(running)
        with pytest.raises(ArtworkError, match=r"another apply is writing into .*out; wait"):
            await applied(second, tmp_path / "out")
    assert new(await applied(second, tmp_path / "out")) == [True]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["A a1.png", "A a1.png.json"])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_pipe_in_place_of_a_file_is_a_line_at_once(
    tmp_path: Path, name: str, dry_run: bool
) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / name)

    outcomes = await applied(ledger, tmp_path / "out", sidecar=True, dry_run=dry_run)

    assert name in reasons(outcomes)[0]
    assert new(outcomes) == [True]


async def test_a_source_that_was_changed_is_written_again(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A], {1: 1})
    await applied(ledger, tmp_path / "out", "store")
    draw(tmp_path / "covers/A-1.png", "#2060c0")

    assert new(await applied(ledger, tmp_path / "out", "store")) == [True]
    assert colour_of(tmp_path / "out/A a1.jpg") == 2


async def test_a_file_that_is_no_longer_chosen_stays(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A], {1: 1})
    await applied(ledger, tmp_path / "out")
    before = files_in(tmp_path / "out")
    await choose(ledger, 1, Decision.NEITHER)

    assert await applied(ledger, tmp_path / "out") == [
        NotChosen(track=A, decision=Decision.NEITHER)
    ]
    assert files_in(tmp_path / "out") == before


async def test_a_file_of_another_program_is_never_replaced(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})
    (tmp_path / "out").mkdir()
    (tmp_path / "out/A a1.png").write_bytes(b"a photo")

    outcomes = await applied(ledger, tmp_path / "out")

    assert (tmp_path / "out/A a1.png").read_bytes() == b"a photo"
    assert new(outcomes) == [True]
    (reason,) = reasons(outcomes)
    assert "A a1.png is there, and is no file that was written here before; move it" in reason


async def test_where_the_record_is_lost_files_with_the_same_bytes_are_taken_for_ours(
    tmp_path: Path,
) -> None:
    ledger = await chosen(tmp_path, [A], {1: 1})
    await applied(ledger, tmp_path / "out", "store")
    (tmp_path / "out" / NAME).unlink()
    before = unread(tmp_path / "out/A a1.jpg")

    assert new(await applied(ledger, tmp_path / "out", "store")) == [False]
    assert unread(tmp_path / "out/A a1.jpg") == before
    await choose(ledger, 1, 2)
    assert new(await applied(ledger, tmp_path / "out", "store")) == [True]


async def test_of_two_songs_with_one_name_the_first_gets_it_and_the_other_a_line(
    tmp_path: Path,
) -> None:
    tracks = [Track("a1", title="Song"), Track("b2", title="SONG"), Track("c3", title="C")]
    ledger = await chosen(tmp_path, tracks, {1: 1, 2: 2, 3: 1})

    outcomes = await applied(ledger, tmp_path / "out", name="{title}.{ext}")

    assert sorted(files_in(tmp_path / "out")) == ["C.png", "Song.png"]
    (reason,) = reasons(outcomes)
    assert reason == (
        "its file would be SONG.png, which is that of music task a1; add {music_task_id} or "
        "{number} to the name"
    )


async def test_no_file_of_a_song_of_another_ledger_or_an_earlier_run_is_replaced(
    tmp_path: Path,
) -> None:
    first = await chosen(tmp_path / "1", [Track("z9", title="Song")], {1: 1})
    second = await chosen(tmp_path / "2", [Track("a1", title="Song")], {1: 2})
    await applied(first, tmp_path / "out", name="{title}.{ext}")
    before = files_in(tmp_path / "out")

    outcomes = await applied(second, tmp_path / "out", name="{title}.{ext}")

    assert len(reasons(outcomes)) == 1
    assert files_in(tmp_path / "out") == before


async def test_a_song_that_is_chosen_first_keeps_its_name_when_an_earlier_one_is_chosen(
    tmp_path: Path,
) -> None:
    tracks = [Track("a1", title="Song"), Track("b2", title="Song")]
    ledger = await chosen(tmp_path, tracks, {2: 2})
    await applied(ledger, tmp_path / "out", name="{title}.{ext}")
    await choose(ledger, 1, 1)

    outcomes = await applied(ledger, tmp_path / "out", name="{title}.{ext}")

    assert colour_of(tmp_path / "out/Song.png") == 2
    assert [type(one) for one in outcomes] == [NotApplied, Applied]


async def test_two_titles_of_one_song_with_one_name_are_one_file(tmp_path: Path) -> None:
    tracks = [Track("a1", title="One"), Track("a1", title="Two")]
    ledger = await chosen(tmp_path, tracks, {1: 1})

    outcomes = await applied(ledger, tmp_path / "out", name="{music_task_id}.{ext}")

    assert new(outcomes) == [True, False]
    assert list(files_in(tmp_path / "out")) == ["a1.png"]


async def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    tracks = [Track("a1", title="A", columns={"artist": "Ann"}), B]
    ledger = await chosen(tmp_path, tracks, {1: 1, 2: 2})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/Ann").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photo.png").write_bytes(b"a photo")
    (tmp_path / "out/B b2.png").symlink_to(tmp_path / "photo.png")

    in_folders = await applied(ledger, tmp_path / "out", name="{artist}/{title}.{ext}")
    in_one = await applied(ledger, tmp_path / "out")

    assert "a link leads" in reasons(in_folders)[0]
    assert "a link leads" in reasons(in_one)[0]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "photo.png").read_bytes() == b"a photo"
    assert (tmp_path / "out/B b2.png").is_symlink()


async def test_a_folder_that_is_itself_a_link_is_the_users_choice(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A], {1: 1})
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")

    assert new(await applied(ledger, tmp_path / "out")) == [True]


async def test_a_missing_and_a_damaged_image_are_a_line_each_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    tracks = [Track(f"s{n}", title=f"T{n}") for n in range(4)]
    ledger = await chosen(tmp_path, tracks, dict.fromkeys((1, 2, 3, 4), 1))
    (tmp_path / "covers/T0-1.png").unlink()
    damaged = tmp_path / "covers/T1-1.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    (tmp_path / "covers/T2-1.png").write_bytes(b"<html>")

    outcomes = await applied(ledger, tmp_path / "out")

    missing, broken, foreign = reasons(outcomes)
    assert missing.startswith("the file is missing: covers/T0-1.png; it is not in ")
    assert "the image is incomplete: " in broken
    assert foreign.startswith("the file is no PNG, JPEG, WebP, GIF or AVIF image: ")
    assert foreign.endswith("T2-1.png")
    assert list(files_in(tmp_path / "out")) == ["T3 s3.png"]


async def test_a_folder_in_place_of_a_file_is_a_line(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})
    (tmp_path / "out/A a1.png").mkdir(parents=True)

    outcomes = await applied(ledger, tmp_path / "out")

    assert "A a1.png is there" in reasons(outcomes)[0]
    assert list(files_in(tmp_path / "out")) == ["B b2.png"]


async def test_a_file_in_place_of_a_folder_is_a_line(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})
    (tmp_path / "out").mkdir()
    (tmp_path / "out/A").write_bytes(b"x")

    outcomes = await applied(ledger, tmp_path / "out", name="{title}/cover.{ext}")

    assert reasons(outcomes)[0].startswith("cannot write ")
    assert list(files_in(tmp_path / "out")) == ["A", "B/cover.png"]


async def test_a_dry_run_tells_what_would_be_written_and_writes_nothing(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})

    would = await applied(ledger, tmp_path / "out", "store", sidecar=True, dry_run=True)
    assert not (tmp_path / "out").exists()
    await applied(ledger, tmp_path / "out", "store")
    await choose(ledger, 1, 2)
    before = files_in(tmp_path / "out")
    again = await applied(ledger, tmp_path / "out", "store", dry_run=True)

    assert [one.file.name for one in would if isinstance(one, Applied)] == ["A a1.jpg", "B b2.jpg"]
    assert (new(would), new(again)) == ([True, True], [True, False])
    assert files_in(tmp_path / "out") == before


async def test_a_dry_run_names_what_would_be_refused(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1, 2: 2})
    (tmp_path / "out").mkdir()
    (tmp_path / "out/A a1.png").write_bytes(b"a photo")
    (tmp_path / "covers/B-2.png").unlink()

    outcomes = await applied(ledger, tmp_path / "out", dry_run=True)

    assert ["is there" in reasons(outcomes)[0], "missing" in reasons(outcomes)[1]] == [True, True]


def put_a_file_in_place_of_a_folder(folder: Path) -> None:
    (folder / "out/A").write_bytes(b"x")


def lose_the_record(folder: Path) -> None:
    (folder / "out" / NAME).unlink()


def put_another_sidecar(folder: Path) -> None:
    (folder / "out/A/x.webp.json").write_text("{}")


def remove_a_sidecar_of_ours(folder: Path) -> None:
    (folder / "out/A/x.webp.json").unlink()


def damage_the_pixels(folder: Path) -> None:
    image = bytearray((folder / "covers/A-1.png").read_bytes())
    image[50:60] = b"x" * 10
    (folder / "covers/A-1.png").write_bytes(image)


def animate(folder: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "covers/A-1.png", "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    "happens",
    [
        put_a_file_in_place_of_a_folder,
        lose_the_record,
        put_another_sidecar,
        remove_a_sidecar_of_ours,
        damage_the_pixels,
        animate,
    ],
)
async def test_a_dry_run_tells_what_a_run_then_does(
    tmp_path: Path, happens: Callable[[Path], None], is_first: bool
) -> None:
    twice = Track("a1", title="A2", columns={"folder": "A"})
    other = Track("b2", title="B", columns={"folder": "B"})
    tracks = [Track("a1", title="A", columns={"folder": "A"}), twice, other]
    ledger = await chosen(tmp_path, tracks, {1: 1, 2: 2})
    out, name = tmp_path / "out", "{folder}/x"

    async def run(*, dry_run: bool = False) -> list[ApplyOutcome]:
        return await applied(ledger, out, "web", name=name, sidecar=True, dry_run=dry_run)

    out.mkdir()
    if not is_first:
        await run()
        if happens is put_a_file_in_place_of_a_folder:
            shutil.rmtree(out / "A")
    elif happens is not put_a_file_in_place_of_a_folder:
        (out / "A").mkdir()
    with contextlib.suppress(FileNotFoundError):
        happens(tmp_path)
    before = files_in(out)

    would = await run(dry_run=True)
    assert files_in(out) == before
    does = await run()

    assert list(map(type, would)) == list(map(type, does))
    assert new(would) == new(does)


async def test_old_unfinished_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A], {1: 1})
    (tmp_path / "out/A").mkdir(parents=True)
    old = tmp_path / "out/A/cover-0123456789abcdef.part"
    old.write_bytes(b"x")
    os.utime(old, (0, 0))

    await applied(ledger, tmp_path / "out", name="{title}/x")

    assert list(files_in(tmp_path / "out")) == ["A/x.png"]


async def test_the_suffix_of_a_copy_is_that_of_its_content(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A], {1: 1})
    Image.new("RGB", (8, 8)).save(tmp_path / "covers/A-1.png", "JPEG")

    await applied(ledger, tmp_path / "out")

    assert list(files_in(tmp_path / "out")) == ["A a1.jpg"]

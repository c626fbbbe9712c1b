"""The chosen images of a ledger go into the songs' audio files."""

import tempfile
from pathlib import Path

import pytest
from PIL import Image

from suno_cover_async import ArtworkError, Decision, Ledger, Track
from suno_cover_async.artwork import Applied, ApplyOutcome, NotApplied, NotChosen, Preset
from suno_cover_async.artwork.audio import embed_choices
from suno_cover_async.artwork.plan import Default
from tests.support.artwork import COLOURS, choose, chosen, draw
from tests.support.audio_files import FORMATS, audio_file, decoded, seen_by_ffprobe, seen_by_tinytag

TRACKS = [Track(f"s{number}", title=f"T{number}") for number in range(1, 7)]


async def embedded(
    ledger: Ledger,
    audio: Path,
    *,
    audio_column: str | None = None,
    preset: Preset | str = "player",
    default: Default | None = None,
    dry_run: bool = False,
) -> list[ApplyOutcome]:
    outcomes = embed_choices(
        ledger,
        audio=audio,
        audio_column=audio_column,
        preset=preset,
        default=default,
        dry_run=dry_run,
    )
    found = [outcome async for outcome in outcomes]
    return sorted(found, key=lambda one: (one.track.music_task_id, one.track.title))


def written(outcomes: list[ApplyOutcome]) -> list[bool]:
    """Whether each file is new; all must have one."""
    assert all(isinstance(outcome, Applied) for outcome in outcomes)
    return [outcome.is_new for outcome in outcomes if isinstance(outcome, Applied)]


def colour_of(song: Path) -> int:
    """Which image the cover of an audio file shows."""
    data, _, _ = seen_by_tinytag(song)
    assert data is not None
    with tempfile.TemporaryDirectory() as place:
        image = Path(place, "image")
        image.write_bytes(data)
        with Image.open(image) as opened:
            red, _, blue = opened.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    return 1 if red > blue else 2


async def test_each_song_gets_its_chosen_image_in_every_format(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, TRACKS, {n: 1 + n % 2 for n in range(1, 7)})
    songs = [
        audio_file(tmp_path, suffix, stem=track.title)
        for track, suffix in zip(TRACKS, FORMATS, strict=True)
    ]
    before = [decoded(song) for song in songs]

    assert written(await embedded(ledger, tmp_path)) == [True] * 6

    assert [colour_of(song) for song in songs] == [1 + n % 2 for n in range(1, 7)]
    assert [decoded(song) for song in songs] == before
    assert all(seen_by_ffprobe(song)[0][0][:2] == ("mjpeg", 64) for song in songs)
    stamps = [song.stat().st_mtime_ns for song in songs]
    assert written(await embedded(ledger, tmp_path)) == [False] * 6
    assert [song.stat().st_mtime_ns for song in songs] == stamps


async def test_another_choice_replaces_the_cover(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, TRACKS[:1], {1: 1})
    song = audio_file(tmp_path, "mp3", stem="T1")
    await embedded(ledger, tmp_path)
    await choose(ledger, 1, 2)

    assert written(await embedded(ledger, tmp_path)) == [True]

    assert colour_of(song) == 2


async def test_covers_without_a_choice_are_left_or_get_their_first_image(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, TRACKS[:3], {2: Decision.NEITHER, 3: Decision.LATER})
    songs = [audio_file(tmp_path, "mp3", stem=track.title) for track in TRACKS[:3]]
    before = [song.read_bytes() for song in songs]

    assert all(isinstance(one, NotChosen) for one in await embedded(ledger, tmp_path))

    assert [song.read_bytes() for song in songs] == before
    first, *others = await embedded(ledger, tmp_path, default="first")
    assert written([first]) == [True]
    assert [isinstance(one, NotChosen) for one in others] == [True, True]
    assert [song.read_bytes() for song in songs[1:]] == before[1:]


async def test_a_dry_run_says_what_would_change_and_changes_nothing(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, TRACKS[:3], {1: 1, 2: 1, 3: 1})
    music = tmp_path / "music"
    music.mkdir()
    songs = [audio_file(music, "mp3", stem=track.title) for track in TRACKS[:2]]
    await embedded(ledger, music)
    songs[1].write_bytes(audio_file(tmp_path, "mp3").read_bytes())
    (music / "T3.mp3").write_bytes(b"damaged")
    before = {song.name: (song.read_bytes(), song.stat().st_ino) for song in music.iterdir()}

    one, two, three = await embedded(ledger, music, dry_run=True)

    assert (written([one]), written([two])) == ([False], [True])
    assert isinstance(three, NotApplied)
    assert before == {s.name: (s.read_bytes(), s.stat().st_ino) for s in music.iterdir()}


async def test_what_has_no_certain_file_or_no_image_is_left_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    ledger = await chosen(tmp_path, TRACKS, dict.fromkeys(range(1, 7), 1))
    music = tmp_path / "music"
    music.mkdir()
    for name in ("T1", "T4", "T5", "T6"):
        audio_file(music, "mp3", stem=name)
    for suffix in ("mp3", "wav"):
        audio_file(music, suffix, stem="T3")
    (music / "T4.mp3").write_bytes(b"damaged")
    (tmp_path / "covers/T5-1.png").unlink()
    (tmp_path / "covers/T6-1.png").write_bytes(b"damaged")

    outcomes = await embedded(ledger, music)

    assert written(outcomes[:1]) == [True]
    reasons = [one.reason for one in outcomes[1:] if isinstance(one, NotApplied)]
    assert [reason.split(";")[0] for reason in reasons] == [
        "no audio file has its title or its id as name, or its title in the tags",
        "2 audio files may be its own, such as T3.mp3 and T3.wav",
        (
            f"{music}/T4.mp3 gets no cover and stays as it is: "
            "it is no MP3, FLAC, M4A, Ogg Vorbis, Opus or WAV file"
        ),
        "the file is missing: covers/T5-1.png",
        f"the file is no PNG, JPEG, WebP, GIF or AVIF image: {tmp_path}/covers/T6-1.png",
    ]


async def test_a_song_without_a_choice_is_a_reason_to_leave_a_file(
    tmp_path: Path,
) -> None:
    tracks = [Track("s1", title="Blue"), Track("s2", title="blue")]
    ledger = await chosen(tmp_path, tracks, {1: 1})
    song = audio_file(tmp_path, "mp3", stem="BLUE")
    before = song.read_bytes()

    one, _ = await embedded(ledger, tmp_path)

    assert isinstance(one, NotApplied)
    assert one.reason.startswith("BLUE.mp3 may also be that of music task s2")
    assert song.read_bytes() == before


async def test_each_title_of_a_song_has_its_file(tmp_path: Path) -> None:
    tracks = [Track("s1", title="A"), Track("s1", title="B")]
    ledger = await chosen(tmp_path, tracks, {1: 2})
    songs = [audio_file(tmp_path, "mp3", stem=title) for title in "AB"]

    assert written(await embedded(ledger, tmp_path)) == [True, True]

    assert [colour_of(song) for song in songs] == [2, 2]


async def test_a_column_names_the_files_and_none_leaves_the_folder(tmp_path: Path) -> None:
    paths = ["a/1.mp3", "../out.mp3", "link.mp3"]
    tracks = [
        Track(f"s{n}", title=f"T{n}", columns={"where": path}) for n, path in enumerate(paths)
    ]
    ledger = await chosen(tmp_path, tracks, dict.fromkeys((1, 2, 3), 1))
    music = tmp_path / "music"
    (music / "a").mkdir(parents=True)
    song, out = audio_file(music / "a", "mp3", stem="1"), audio_file(tmp_path, "mp3", stem="out")
    before = out.read_bytes()
    (music / "link.mp3").symlink_to(out)

    first, *others = await embedded(ledger, music, audio_column="Where")

    assert written([first]) == [True]
    assert colour_of(song) == 1
    assert [one.reason for one in others if isinstance(one, NotApplied)] == [
        "../out.mp3 is outside the folder",
        "link.mp3 is outside the folder",
    ]
    assert out.read_bytes() == before


async def test_a_preset_says_what_is_embedded(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, TRACKS[:1], {1: 1}, size=(1400, 1200))
    song = audio_file(tmp_path, "mp3", stem="T1")

    for preset, shown in (
        ("player", ("mjpeg", 1000)),
        ("original", ("png", 1400)),
        (Preset(name="mine", format="PNG", side=50), ("png", 50)),
    ):
        assert written(await embedded(ledger, tmp_path, preset=preset)) == [True]
        assert seen_by_ffprobe(song)[0][0][:2] == shown


async def test_webp_never_goes_into_an_audio_file(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, TRACKS[:1], {1: 1})
    song = audio_file(tmp_path, "mp3", stem="T1")
    before = song.read_bytes()

    with pytest.raises(ValueError, match="audio files hold no WebP, which the preset web writes"):
        await embedded(ledger, tmp_path, preset="web")

    draw(tmp_path / "image.webp", COLOURS[0]).rename(tmp_path / "covers/T1-1.png")
    (outcome,) = await embedded(ledger, tmp_path, preset="original")
    assert isinstance(outcome, NotApplied)
    assert outcome.reason == "its image: audio files hold JPEG or PNG only; convert the image first"
    assert song.read_bytes() == before


async def test_wrong_arguments_are_refused_before_a_file_is_read(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, TRACKS[:1], {1: 1})

    with pytest.raises(ValueError, match="preset must be one of original, store, web, player"):
        await embedded(ledger, tmp_path, preset="best")
    with pytest.raises(ValueError, match='default must be None or "first"'):
        await embedded(ledger, tmp_path, default="last")  # type: ignore[arg-type]
    with pytest.raises(ArtworkError, match="cannot read the folder"):
        await embedded(ledger, tmp_path / "absent")
    with pytest.raises(ArtworkError, match="no column where, but: nothing"):
        await embedded(ledger, tmp_path, audio_column="where")

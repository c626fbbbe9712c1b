"""`apply --embed`: real commands put the chosen images into audio files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from suno_cover_async import Track
from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.artwork import chosen, files_in
from tests.support.audio_files import FORMATS, audio_file, decoded, seen_by_tinytag
from tests.support.commands import Run, environment, needs_posix, on_a_terminal

TRACKS = [Track(f"s{n}", title=f"T{n}", columns={"song": f"{n}.mp3"}) for n in range(1, 4)]


def songs(folder: Path, *stems: str) -> Path:
    """A folder with an MP3 for each name."""
    music = folder / "music"
    music.mkdir()
    for stem in stems:
        audio_file(music, "mp3", stem=stem)
    return music


async def test_apply_embeds_what_was_chosen_and_prints_the_paths(run: Run, tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS, {1: 1, 2: 2})
    music = songs(tmp_path, "T1", "T2", "T3")
    before = decoded(music / "T1.mp3")

    ended = await run("apply", "covers.db", "--embed", "music")
    again = await run("apply", "covers.db", "--embed", "music")

    assert ended.code == again.code == ExitCode.DONE
    assert sorted(ended.lines) == [str(music / "T1.mp3"), str(music / "T2.mp3")]
    assert "written 2, unchanged 0, undecided 1, later 0, neither 0, failed 0: music" in ended.err
    assert "written 0, unchanged 2, undecided 1" in again.err
    assert decoded(music / "T1.mp3") == before
    assert seen_by_tinytag(music / "T1.mp3")[0] != seen_by_tinytag(music / "T2.mp3")[0]
    assert seen_by_tinytag(music / "T3.mp3")[0] is None


async def test_apply_reports_what_has_no_certain_file_in_a_line_and_exits_with_1(
    run: Run, tmp_path: Path
) -> None:
    await chosen(tmp_path, TRACKS, {1: 1, 2: 1, 3: 1})
    music = songs(tmp_path, "T1", "T3")
    (music / "T3.mp3").write_bytes(b"words")

    ended = await run("apply", "covers.db", "--embed", "music", "--json")

    assert ended.code == ExitCode.FAILED
    assert "failed: T2: no audio file has its title or its id as name" in ended.err
    assert "failed: T3: " in ended.err
    *records, last = map(json.loads, ended.lines)
    assert {one["title"]: one["state"] for one in records} == {
        "T1": "written",
        "T2": "failed",
        "T3": "failed",
    }
    assert last["summary"]["failed"] == 2


async def test_apply_with_dry_run_lists_what_would_be_embedded_where(
    run: Run, tmp_path: Path
) -> None:
    await chosen(tmp_path, TRACKS, {1: 1, 2: 1})
    music = songs(tmp_path, "T1")
    before = files_in(music)

    ended = await run("apply", "covers.db", "--embed", "music", "--dry-run")

    assert (ended.code, ended.lines) == (ExitCode.FAILED, [str(music / "T1.mp3")])
    assert "would write 1, unchanged 0, undecided 1" in ended.err
    assert files_in(music) == before


async def test_apply_writes_into_a_folder_and_into_audio_files_at_once(
    run: Run, tmp_path: Path
) -> None:
    await chosen(tmp_path, TRACKS, {1: 1, 2: 2})
    music = songs(tmp_path, "T1", "T2")

    ended = await run("apply", "covers.db", "--into", "out", "--embed", "music", "--json")

    *records, last = map(json.loads, ended.lines)
    assert sorted(one["file"] for one in records if one["state"] == "written") == [
        str(music / "T1.mp3"),
        str(music / "T2.mp3"),
        "out/T1 s1.png",
        "out/T2 s2.png",
    ]
    assert (last["summary"]["written"], last["summary"]["undecided"]) == (4, 1)
    assert "failed 0: out and music" in ended.err
    data = seen_by_tinytag(music / "T1.mp3")[0]
    assert data is not None
    assert data.startswith(b"\xff\xd8")


async def test_apply_takes_the_files_that_a_column_names(run: Run, tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS, {1: 1, 2: 1})
    music = songs(tmp_path, "1", "2")

    unknown = await run("apply", "covers.db", "--embed", "music", "--audio-column", "where")
    ended = await run("apply", "covers.db", "--embed", "music", "--audio-column", "SONG")

    assert unknown.code == ExitCode.FAILED
    assert "no column where, but: song; see --audio-column" in unknown.err
    assert sorted(ended.lines) == [str(music / "1.mp3"), str(music / "2.mp3")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "give --into DIR, --embed AUDIO_DIR, or both"),
        (("--embed", "music", "--name", "{title}"), "--name and --sidecar are for --into DIR"),
        (("--embed", "music", "--sidecar"), "--name and --sidecar are for --into DIR"),
        (("--into", "out", "--audio-column", "x"), "--audio-column is for --embed AUDIO_DIR"),
        (("--embed", "music", "--preset", "web"), "audio files hold no WebP, which --preset web"),
    ],
)
async def test_apply_refuses_options_that_do_not_fit(
    run: Run, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    await chosen(tmp_path, TRACKS, {1: 1})

    ended = await run("apply", "covers.db", *options)

    assert ended.code == ExitCode.USAGE
    assert words in ended.err
    assert not (tmp_path / "out").exists()


async def test_apply_into_audio_files_that_are_nowhere_is_an_error(
    run: Run, tmp_path: Path
) -> None:
    await chosen(tmp_path, TRACKS, {1: 1})

    ended = await run("apply", "covers.db", "--embed", "absent")

    assert ended.code == ExitCode.FAILED
    assert "cannot read the folder absent: No such file or directory" in ended.err


@needs_posix
async def test_apply_on_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS, {1: 1, 2: 2})
    songs(tmp_path, "T1", "T2")

    screen = await on_a_terminal("apply", "covers.db", "--embed", "music", cwd=tmp_path)

    assert "/3" in screen
    assert "written 2, unchanged 0, undecided 1" in screen


async def test_without_mutagen_a_sentence_names_the_extra(tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS, {1: 1})
    songs(tmp_path, "T1")
    code = (
        "import sys; sys.modules['mutagen'] = None; "
        "from suno_cover_async.__main__ import main; sys.exit(main())"
    )

    ended = subprocess.run(  # noqa: S603, ASYNC221
        [sys.executable, "-c", code, "apply", "covers.db", "--embed", "music"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == ExitCode.NOT_INSTALLED
    assert ended.stderr == (
        "Error: embedding covers needs mutagen: pip install 'suno-cover-async[audio]'\n"
    )


async def test_apply_embeds_in_every_format(run: Run, tmp_path: Path) -> None:
    tracks = [Track(f"s{n}", title=suffix) for n, suffix in enumerate(FORMATS)]
    await chosen(tmp_path, tracks, dict.fromkeys(range(1, len(FORMATS) + 1), 1))
    music = tmp_path / "music"
    music.mkdir()
    for suffix in FORMATS:
        audio_file(music, suffix, stem=suffix)

    ended = await run("apply", "covers.db", "--embed", "music")

    assert ended.code == ExitCode.DONE
    assert len({seen_by_tinytag(song)[0] for song in music.iterdir()} - {None}) == 1

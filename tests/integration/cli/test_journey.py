"""From a catalog to the chosen cover inside every song: the commands one after the other."""

import io
import json
import shlex
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Scenario
from tests.support.audio_files import (
    FORMATS,
    audio_file,
    decoded,
    seen_by_ffprobe,
    seen_by_tinytag,
)
from tests.support.commands import Ended, environment, finish, needs_posix, sandbox_with, start
from tests.support.review_commands import reviewing
from tests.support.runs import billed


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return how much two images differ, in the mean of all pixels, from 0 to 255."""
    sides = [image.convert("RGB").resize((64, 64)) for image in (one, other)]
    return sum(ImageStat.Stat(ImageChops.difference(*sides)).mean) / 3


@needs_posix
async def test_a_catalog_becomes_songs_with_the_chosen_covers_inside(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    files = [audio_file(music, suffix, stem=f"take {suffix}") for suffix in FORMATS]
    sounds = [decoded(file) for file in files]

    async with sandbox_with(Scenario(seconds=0.05, image_size=128)) as sandbox:
        songs = sandbox.add_music(len(files))
        rows = [
            f'{song},"Song {n}",Ann,{file.name}'
            for n, (song, file) in enumerate(zip(songs, files, strict=True), 1)
        ]
        header = "music_task_id,title,artist,file"
        (tmp_path / "catalog.csv").write_text("\n".join([header, *rows]) + "\n")
        env = environment(SUNO_BASE_URL=sandbox.url)

        async def command(words: str) -> Ended:
            return await finish(await start(*shlex.split(words), cwd=tmp_path, env=env))

        planned = await command("batch catalog.csv --dry-run")
        assert planned.code == ExitCode.DONE
        assert not sandbox.journal.bills
        first = await command("batch catalog.csv --max-covers 2 --poll 0.05")
        assert first.code == ExitCode.DONE
        assert len(sandbox.journal.bills) == 2
        rest = await command("batch catalog.csv --poll 0.05")
        assert rest.code == ExitCode.DONE
        assert set(billed(sandbox).values()) == {1}
        assert set(billed(sandbox)) == set(songs)

    chosen = {number: 1 + number % 2 for number in range(1, len(files) + 1)}
    async with reviewing(tmp_path) as review:
        await review.page.enter()
        pairs = (await review.page.get("api/pairs")).json["pairs"]
        for pair in pairs:
            await review.page.choose(pair["number"], "image", chosen[pair["number"]], 0)
        await review.end()

    applied = await command(
        'apply covers.db --into artwork --name "{artist}/{title}.{ext}" --preset web --sidecar'
    )
    assert applied.code == ExitCode.DONE
    embedded = await command("apply covers.db --embed music")
    assert embedded.code == ExitCode.DONE

    for number, file in enumerate(files, 1):
        saved = sorted((tmp_path / "covers").glob(f"Song {number} *.png"))
        right, wrong = saved[chosen[number] - 1], saved[2 - chosen[number]]
        picture, title, artist = seen_by_tinytag(file)
        assert (title, artist) == ("Blue Moon", "Ann")
        assert picture is not None
        found = [Image.open(io.BytesIO(picture))]
        found += [Image.open(tmp_path / "artwork" / "Ann" / f"Song {number}.webp")]
        for image in found:
            with Image.open(right) as one, Image.open(wrong) as other:
                assert difference(image, one) < 3 < difference(image, other)
        assert len(seen_by_ffprobe(file)[0]) == 1
        sidecar = json.loads(
            (tmp_path / "artwork" / "Ann" / f"Song {number}.webp.json").read_text()
        )
        assert json.dumps(sidecar).count(songs[number - 1]) >= 1
    assert [decoded(file) for file in files] == sounds

    before = {file: file.stat().st_mtime_ns for file in files}
    again = await command("apply covers.db --embed music")
    assert again.code == ExitCode.DONE
    assert {file: file.stat().st_mtime_ns for file in files} == before

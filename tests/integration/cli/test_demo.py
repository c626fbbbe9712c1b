"""The demo: a dozen covers on a sandbox of its own, without a key."""

import os
import signal
from pathlib import Path

from PIL import Image

from suno_cover_async import Ledger, Track, TrackState
from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.batch_commands import command_of, states
from tests.support.commands import Ended, Run, finish, line_with, names, needs_posix, start


def images(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.endswith(".png")]


async def demo(folder: Path) -> Ended:
    """Run the demo without a key."""
    keyless = {name: value for name, value in os.environ.items() if name != "SUNO_API_KEY"}
    return await finish(await start("demo", cwd=folder, env=keyless))


async def test_the_demo_covers_a_dozen_tracks_once_and_ends_with_the_command_that_reviews_them(
    tmp_path: Path,
) -> None:
    ended = await demo(tmp_path)

    folder = tmp_path / "suno-cover-demo"
    files, ledger, sheet = images(folder), folder / "covers.db", folder / "contact-sheet.png"
    assert ended.code == ExitCode.DONE
    assert len(files) == 25
    assert "12 covers for 12 songs" in ended.err
    assert str(sheet.relative_to(tmp_path)) in ended.out
    titled = {name.rpartition(" ")[0] for name in files if name != sheet.name}
    assert len(titled) > 1
    assert all(len(title.split()) == 2 for title in titled)
    with Image.open(sheet) as image:
        assert image.width > 1000
    assert command_of(ended.err, "review") == ["review", "suno-cover-demo/covers.db"]
    before = ledger.read_bytes()

    second = await demo(tmp_path)

    assert second.code == ExitCode.DONE
    assert second.out == ended.out
    assert "were covered before" in second.err
    assert "billed" not in second.err
    assert command_of(second.err, "review") == command_of(ended.err, "review")
    assert ledger.read_bytes() == before
    assert states(ledger) == {"saved": 12}
    async for entry in Ledger(ledger).entries():
        assert all((tmp_path / file).exists() for file in entry.files)
    others = set(names(folder)) - set(images(folder))
    assert others == {"covers.db", "covers.db-shm", "covers.db-wal"}  # of the readers in this test


async def test_a_second_demo_makes_missing_images_anew_and_a_failed_one_leaves_no_ledger(
    tmp_path: Path,
) -> None:
    await demo(tmp_path)
    folder = tmp_path / "suno-cover-demo"
    before, all_images = (folder / "covers.db").read_bytes(), images(folder)
    (folder / all_images[0]).unlink()

    second = await demo(tmp_path)

    assert "12 covers for 12 songs" in second.err
    assert images(folder) == all_images
    assert (folder / "covers.db").read_bytes() == before
    assert command_of(second.err, "review") == ["review", "suno-cover-demo/covers.db"]

    for name in ("covers.db", all_images[0]):
        (folder / name).unlink()
    (folder / all_images[0]).mkdir()  # where an image is to be saved
    third = await demo(tmp_path)

    assert third.code != ExitCode.DONE
    assert "covers.db" not in names(folder)
    assert "suno-cover review" not in third.err


@needs_posix
async def test_a_demo_that_was_interrupted_leaves_no_ledger_and_the_next_one_is_whole(
    tmp_path: Path,
) -> None:
    process = await start("demo", cwd=tmp_path)
    await line_with(process.stderr, "0 of 12")
    process.send_signal(signal.SIGTERM)
    stopped = await finish(process)
    left = names(tmp_path / "suno-cover-demo")

    ended = await demo(tmp_path)

    assert stopped.code == ExitCode.TERMINATED
    assert "covers.db" not in left
    assert "review" not in stopped.err
    assert ended.code == ExitCode.DONE
    assert states(tmp_path / "suno-cover-demo" / "covers.db") == {"saved": 12}


async def test_a_demo_refuses_the_folder_of_another_ledger(run: Run, tmp_path: Path) -> None:
    async with Ledger(tmp_path / "covers.db") as ledger:
        await ledger.take_in([Track("mine")])

    ended = await run("demo", "--out", ".")

    assert ended.code == ExitCode.USAGE
    assert "covers.db is not a ledger of this demo; pass another folder to --out" in ended.err
    assert images(tmp_path) == []
    assert states(tmp_path / "covers.db") == {TrackState.WAITING.value: 1}

"""The demo: a dozen covers on a sandbox of its own, without a key."""

import os
from pathlib import Path

from PIL import Image

from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.commands import (
    finish,
    names,
    start,
)


async def test_the_demo_covers_a_dozen_tracks_and_pays_for_each_once(tmp_path: Path) -> None:
    keyless = {name: value for name, value in os.environ.items() if name != "SUNO_API_KEY"}

    ended = await finish(await start("demo", cwd=tmp_path, env=keyless))

    files = names(tmp_path / "suno-cover-demo")
    sheet = tmp_path / "suno-cover-demo" / "contact-sheet.png"
    assert ended.code == ExitCode.DONE
    assert len(files) == 25
    assert "12 covers for 12 songs" in ended.err
    assert str(sheet.relative_to(tmp_path)) in ended.out
    titled = {name.rpartition(" ")[0] for name in files if name != sheet.name}
    assert len(titled) > 1
    assert all(len(title.split()) == 2 for title in titled)
    with Image.open(sheet) as image:
        assert image.width > 1000

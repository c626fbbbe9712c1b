"""README's Python blocks run as they are printed, against the sandbox instead of the API."""

import asyncio
import contextlib
import io
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from suno_cover_async.sandbox import Sandbox, Scenario

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SONGS = re.findall(r'"([0-9a-f]{32})"', README)


def pointed_at(sandbox: Sandbox, block: str) -> str:
    """Send a block's client to the sandbox, unless the block has one of its own."""
    if "Sandbox" in block:
        return block
    there = f"SunoCoverClient({sandbox.api_key!r}, base_url={sandbox.url!r}, poll=QUICK, "
    quick = "from suno_cover_async import PollSchedule\nQUICK = PollSchedule(first=.01)\n"
    return quick + block.replace("SunoCoverClient(", there)


async def ran(block: str, sandbox: Sandbox, folder: Path) -> tuple[str, dict[str, Any]]:
    """Run a block as a program in a thread; return what it printed and defined."""
    program = folder / "block.py"
    program.write_text(pointed_at(sandbox, block))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        names = await asyncio.to_thread(runpy.run_path, str(program))
    return printed.getvalue(), names


@pytest.mark.parametrize("number", range(len(BLOCKS)))
async def test_a_readme_block_runs_as_printed(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with Sandbox(Scenario(rate=None, looks=1)) as sandbox:
        sandbox.add_music(dict.fromkeys(SONGS))

        printed, names = await ran(BLOCKS[number], sandbox, tmp_path)

        if "into=" in BLOCKS[number]:
            assert len(list((tmp_path / "covers").glob("*.png"))) >= 2
            assert "covers" in printed
        if "watch" in BLOCKS[number]:
            assert "your cover is success" in printed
        if "app" in names:
            async with TestClient(TestServer(names["app"])) as browser:
                answer = await browser.post(f"/songs/{SONGS[0]}/cover")
                assert len((await answer.json())["images"]) == 2


def test_there_are_blocks_to_run() -> None:
    assert len(BLOCKS) >= 5

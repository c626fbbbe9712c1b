"""The programs of the page on the log, events and OpenTelemetry run as they are printed."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.commands import Ended, environment, finish, start

PAGE = Path(__file__).parents[3] / "docs/how-to/observe.md"
LOGGED, TOLD, MEASURED = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
SONG = "73d6128b3523a0079df10da9471017c8"
QUICK = "from suno_cover_async import PollPolicy\nQUICK = PollPolicy(initial_delay=.01)\n"


async def ran(block: str, sandbox: Sandbox, folder: Path) -> Ended:
    """Run a program in a process of its own, which has the sandbox in its environment."""
    sandbox.add_music([SONG])
    program = folder / "program.py"
    program.write_text(QUICK + block.replace("SunoCoverClient(", "SunoCoverClient(poll=QUICK, "))
    there = environment(SUNO_API_KEY=sandbox.api_key, SUNO_BASE_URL=sandbox.url)
    ended = await finish(await start(program=(sys.executable, str(program)), env=there))
    assert ended.code == 0, ended.err
    return ended


async def test_the_log_in_json_by_structlog(tmp_path: Path) -> None:
    async with Sandbox(Scenario(polls=1)) as sandbox:
        ended = await ran(LOGGED, sandbox, tmp_path)

    (line,) = map(json.loads, ended.err.splitlines())
    assert line["event"].startswith("GET /api/v1/generate/credit: 200, code 200, ")
    assert line["level"] == "info"
    assert line["event_name"] == "request"
    assert (line["method"], line["path"]) == ("GET", "/api/v1/generate/credit")
    assert (line["http_status"], line["code"]) == (200, 200)
    assert line["duration"] > 0


async def test_events_as_events_of_structlog(tmp_path: Path) -> None:
    async with Sandbox(Scenario(polls=1)) as sandbox:
        ended = await ran(TOLD, sandbox, tmp_path)

    said = Counter(re.findall(r"RequestEnded|CoverSubmitted|CoverFinished", ended.out))
    assert said == {
        "RequestEnded": len(sandbox.journal.arrivals),
        "CoverSubmitted": 1,
        "CoverFinished": 1,
    }


async def test_spans_and_metrics_on_the_console(tmp_path: Path) -> None:
    async with Sandbox(Scenario(polls=1)) as sandbox:
        ended = await ran(MEASURED, sandbox, tmp_path)

    names = re.findall(r'^    "name": "([^"]+)"', ended.out, re.MULTILINE)
    assert {"suno_cover.generate", "suno_cover.submit", "suno_cover.wait"} <= set(names)
    assert len([name for name in names if name.startswith(("GET ", "POST "))]) == len(
        sandbox.journal.arrivals
    )
    assert "suno_cover.covers.submitted" in ended.out

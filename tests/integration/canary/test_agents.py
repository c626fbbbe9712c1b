"""The key is in nothing that an agent, its host, or their logs ever see."""

import json
import sys
from pathlib import Path

import pytest

from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.agents import Host, host_of, serving
from tests.support.canary import API_KEY, HMAC_KEY, SECRET, Search, environment
from tests.support.commands import finish

QUICK = Scenario(seconds=0.01, image_size=16, rate_limit=None)
PROGRAM = (sys.executable, "-X", "dev", "-m", "suno_cover_async")


async def all_tools(host: Host, *songs: str) -> None:
    """Call every tool, rightly and wrongly."""
    await host.ask("tools/list")
    for song in songs:
        await host.call("cover", music_task_id=song, title="a title", wait_seconds=5)
        await host.call("status", music_task_id=song)
    await host.call("cover", music_task_id="no song")
    await host.call("status", cover_task_id="no-such-task")
    await host.call("credits")
    await host.call("no-such-tool")
    await host.ask("no/such/method")


async def searched(sandbox: Sandbox, folder: Path, *songs: str, **env: str) -> Search:
    """Serve a host, with all logs; search the whole traffic, the logs and the files."""
    search = Search(API_KEY, SECRET, HMAC_KEY)
    words = (*serving(sandbox, folder), "-vv")
    async with host_of(*words, program=PROGRAM, env={**environment(), **env}) as host:
        await all_tools(host, *songs)
        search.command_lines(host.process.pid)
        ended = await finish(host.process)
    for line in host.traffic:
        search.text("traffic", line)
    search.text("the rest of the traffic", ended.out)
    search.text("errors", ended.err)
    search.folder(folder)
    return search


async def test_no_traffic_log_or_file_of_a_server_for_agents_holds_a_secret(tmp_path: Path) -> None:
    async with Sandbox(QUICK, api_key=API_KEY) as sandbox:
        songs = sandbox.add_music(2)
        sandbox.script("submit", Fault.LOST_ANSWER, Fault.GATEWAY, Fault.SERVER_ERROR)
        search = await searched(sandbox, tmp_path, *songs, "unknown-song")

        assert len(sandbox.journal.bills) == 2
    assert search.searched > 15
    assert not search.hits


@pytest.mark.parametrize("code", [200, 400, 401, 402, 422, 500])
async def test_an_api_that_repeats_the_key_is_not_repeated_to_the_agent(
    tmp_path: Path, code: int
) -> None:
    echo = {"code": code, "msg": f"wrong key: Bearer {API_KEY}", "data": {"taskId": API_KEY}}
    reply = Reply(
        body=json.dumps(echo).encode(), headers={"Content-Type": "application/json"}, code=code
    )
    async with Sandbox(QUICK, api_key=API_KEY) as sandbox:
        (song,) = sandbox.add_music(1)
        for kind in ("submit", "details", "credits"):
            sandbox.script(kind, *[reply] * 9)
        search = await searched(sandbox, tmp_path, song)

    assert not search.hits


async def test_a_wrong_key_is_in_no_traffic_either(tmp_path: Path) -> None:
    async with Sandbox(QUICK, api_key="sk-the-right-one-5e1b") as sandbox:
        (song,) = sandbox.add_music(1)
        search = await searched(sandbox, tmp_path, song)

        assert sandbox.journal.bills == []
    assert not search.hits

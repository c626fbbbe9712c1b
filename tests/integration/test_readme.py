"""README's Python blocks, and those of the pages in `docs/`, run as they are printed.

They run against the sandbox instead of the API.
"""

import asyncio
import contextlib
import io
import os
import re
import runpy
import socket
import sys
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from aiohttp.test_utils import unused_port
from werkzeug.serving import make_server

from suno_cover_async import SunoCoverClient
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [page.read_text() for page in sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
OF_PAGES = re.findall(r"```python\n(.*?)```", "\n".join(PAGES), re.DOTALL)
BLOCKS = [one for one in (*PROGRAMS, *OF_PAGES) if "DATABASE_URL" not in one]
"""Those that share a database are run by `callbacks/test_workers.py` and `examples/`."""
SONGS = re.findall(r'"([0-9a-f]{32})"', README)
PUBLIC = "https://me.example/suno"


def pointed_at(sandbox: Sandbox, block: str, public_url: str) -> str:
    """Send a block's client to the sandbox, unless the block has one of its own."""
    if "Sandbox" in block:
        return block
    there = f"SunoCoverClient(api_key={sandbox.api_key!r}, base_url={sandbox.url!r}, "
    quick = "" if "receiver" in block else "poll=QUICK, "
    program = block.replace("SunoCoverClient(", there + quick).replace(PUBLIC, public_url)
    policy = "from suno_cover_async import PollPolicy\nQUICK = PollPolicy(initial_delay=.01)\n"
    return policy + program


async def ran(
    block: str, sandbox: Sandbox, folder: Path, public_url: str = PUBLIC
) -> tuple[str, dict[str, Any]]:
    """Run a block as a program in a thread; return what it printed and defined."""
    program = folder / "block.py"
    program.write_text(pointed_at(sandbox, block, public_url))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        names = await asyncio.to_thread(runpy.run_path, str(program))
    return printed.getvalue(), names


@contextlib.asynccontextmanager
async def served(names: dict[str, Any], port: int) -> AsyncIterator[str]:
    """Serve the application of a block, by a server that is made for its kind."""
    app: Any = names.get("app")
    if "urlpatterns" in names:
        app = django_application(names)
    if isinstance(app, web.Application):
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
        await runner.cleanup()
    elif "loop" in names:
        flask = make_server("127.0.0.1", port, names["app"], threaded=True)
        serving = asyncio.create_task(asyncio.to_thread(flask.serve_forever, 0.01))
        yield f"http://127.0.0.1:{port}"
        flask.shutdown()
        await serving
        flask.server_close()
        await ended(names["client"], names["loop"])
    else:
        server = uvicorn.Server(
            uvicorn.Config(app, port=port, log_config=None, ws="none", lifespan="auto")
        )
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        await serving
        if "client" in names:
            await names["client"].aclose()


def django_application(names: dict[str, Any]) -> Any:
    from django.core.asgi import get_asgi_application  # noqa: PLC0415 - one framework of several

    sys.modules["urls_of_the_block"] = module = types.ModuleType("urls_of_the_block")
    vars(module).update(names)
    return get_asgi_application()


async def ended(client: SunoCoverClient, loop: asyncio.AbstractEventLoop) -> None:
    """End a client that lives in an event loop of another thread, and its loop."""
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.aclose(), loop))
    loop.call_soon_threadsafe(loop.stop)
    await until(lambda: not loop.is_running())
    loop.close()


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    songs = dict.fromkeys(SONGS)
    (tmp_path / "catalog.csv").write_text("\n".join(["music_task_id", *songs]))
    monkeypatch.setenv("SUNO_CALLBACK_SECRET", "made-once-and-kept")


def blocks(*, with_a_receiver: bool) -> list[Any]:
    return [
        pytest.param(block, id=f"block {number}")
        for number, block in enumerate(BLOCKS)
        if ("CallbackReceiver(" in block) is with_a_receiver
    ]


@pytest.mark.parametrize("block", blocks(with_a_receiver=False))
async def test_a_readme_block_runs_as_printed(block: str, tmp_path: Path) -> None:
    async with Sandbox(Scenario(rate_limit=None, polls=1)) as sandbox:
        sandbox.add_music(dict.fromkeys(SONGS))

        printed, names = await ran(block, sandbox, tmp_path)

        if "into=" in block:
            assert len(list((tmp_path / "covers").glob("*.png"))) >= 2
            assert "covers" in printed
        if "watch" in block:
            assert "your cover is success" in printed
        if "app" in names:
            async with served(names, unused_port()) as url:
                assert len(await covered(url)) == 2
                assert await refusals(url) == (404, 422)


async def covered(url: str) -> list[str]:
    """Ask a web application of a block for a cover."""
    async with (
        aiohttp.ClientSession() as browser,
        browser.post(f"{url}/songs/{SONGS[0]}/cover") as answer,
    ):
        images: list[str] = (await answer.json())["images"]
        return images


async def refusals(url: str) -> tuple[int, ...]:
    """Ask a web application for covers of a song that nobody knows, and of a malformed id."""
    async with aiohttp.ClientSession() as browser:
        statuses: list[int] = []
        for song in ("unknown", "not%20an%20id"):
            async with browser.post(f"{url}/songs/{song}/cover") as answer:
                statuses.append(answer.status)
        return tuple(statuses)


@pytest.mark.parametrize("block", blocks(with_a_receiver=True))
async def test_a_readme_block_with_a_receiver_is_called_and_wakes_its_client(
    block: str, tmp_path: Path
) -> None:
    port = unused_port()
    async with Sandbox(Scenario(rate_limit=None, seconds=0.2)) as sandbox:
        sandbox.add_music(dict.fromkeys(SONGS))
        configure_django()

        printed, names = await ran(
            block.replace("8481", str(port)), sandbox, tmp_path, f"http://127.0.0.1:{port}/suno"
        )

        if "main" in names:
            assert "SUCCESS" in printed
        else:
            async with served(names, port) as url:
                assert len(await covered(url)) == 2
                if "fastapi" in block or "aiohttp" in block:
                    assert await refusals(url) == (404, 422)
                assert await status_of(f"{names['receiver'].url(SONGS[0])}~") == 400
        assert [call.status for call in sandbox.journal.callbacks] == [200]
        of_the_song = [one for one in sandbox.journal.arrivals if one.music_task_id != "unknown"]
        assert len(of_the_song) == 2


def configure_django() -> None:
    from django.conf import settings  # noqa: PLC0415 - one framework of several

    if not settings.configured:
        settings.configure(ROOT_URLCONF="urls_of_the_block", ALLOWED_HOSTS=["*"])


async def status_of(forged: str) -> int:
    body = {"code": 200, "msg": "success", "data": {"taskId": "21aee3c3", "images": None}}
    async with aiohttp.ClientSession() as forger, forger.post(forged, json=body) as answer:
        return answer.status


def test_there_are_blocks_to_run() -> None:
    assert len(blocks(with_a_receiver=False)) >= 5
    assert len(blocks(with_a_receiver=True)) >= 5


@pytest.mark.parametrize("kind", ["fastapi", "aiohttp"])
def test_each_recipe_of_a_web_application_names_its_install_and_its_run_line(kind: str) -> None:
    recipes = [part for part in README.split("```\n") if "```python\n" in part]
    ours = [one for one in recipes if f"from {kind} import" in one]

    assert len(ours) == 2
    for recipe in ours:
        words = recipe.partition("```python\n")[0]
        assert re.search(r"`pip install\s'?\.", words)
        assert ("`uvicorn app:app" if kind == "fastapi" else "`python app.py`") in words


@pytest.mark.parametrize("kind", ["fastapi", "aiohttp"])
async def test_a_recipe_of_a_web_application_runs_by_its_run_line(
    kind: str, tmp_path: Path
) -> None:
    port = unused_port()
    for block in (one for one in BLOCKS if f"from {kind} import" in one):
        (tmp_path / "app.py").write_text(block.replace("8000", str(port)))
        line = "app.py" if kind == "aiohttp" else f"-m uvicorn app:app --port {port}"
        async with Sandbox(Scenario(rate_limit=None, seconds=0)) as sandbox:
            sandbox.add_music([SONGS[0]])
            here = {"SUNO_API_KEY": sandbox.api_key, "SUNO_BASE_URL": sandbox.url}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *line.split()),
                cwd=tmp_path,
                env=os.environ | here,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await until(lambda: is_listening(port), every=0.02)
                async with (
                    aiohttp.ClientSession() as browser,
                    browser.post(f"http://127.0.0.1:{port}/songs/unknown/cover") as answer,
                ):
                    assert answer.status == 404
            finally:
                process.terminate()
                await process.wait()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

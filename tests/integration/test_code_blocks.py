"""The Python blocks of README and of the pages in `docs/` run as they are printed.

They run against the sandbox instead of the API. Blocks of TOML and JSON are read.
"""

import asyncio
import contextlib
import io
import json
import os
import re
import runpy
import socket
import sys
import tomllib
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
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
SONGS = ["73d6128b3523a0079df10da9471017c8"]
PUBLIC = "https://me.example/suno"


def blocks_of(page: str, language: str = "python") -> list[str]:
    """Return the blocks of a page, each as it is printed."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


BLOCKS = {
    f"{page} {number}": block
    for page in PAGES
    for number, block in enumerate(blocks_of(page), 1)
    if "DATABASE_URL" not in block and "import pytest\n" not in block
}
"""Others run where they belong: with a database in `callbacks/test_workers.py` and `examples/`, and
tests as users write them in `test_pytest_plugin.py`."""


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
    (tmp_path / "catalog.csv").write_text("\n".join(["music_task_id", *SONGS]))
    monkeypatch.setenv("SUNO_CALLBACK_SECRET", "made-once-and-kept")


def blocks(*, with_a_receiver: bool) -> list[Any]:
    return [
        pytest.param(block, id=name)
        for name, block in BLOCKS.items()
        if ("CallbackReceiver(" in block) is with_a_receiver
    ]


@pytest.mark.parametrize("block", blocks(with_a_receiver=False))
async def test_a_block_runs_as_printed(block: str, tmp_path: Path) -> None:
    async with Sandbox(Scenario(rate_limit=None, polls=1)) as sandbox:
        sandbox.add_music(SONGS)

        printed, names = await ran(block, sandbox, tmp_path)

        if "into=" in block:
            assert len(list((tmp_path / "covers").glob("*.png"))) >= 2
            assert "covers" in printed
        if "watch" in block:
            assert "your cover is success" in printed
        if "app" in names:
            async with served(names, unused_port()) as url:
                assert len(await covered(url)) == 2
                if "InvalidRequestError" in block:
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
async def test_a_block_with_a_receiver_is_called_and_wakes_its_client(
    block: str, tmp_path: Path
) -> None:
    port = unused_port()
    async with Sandbox(Scenario(rate_limit=None, seconds=0.2)) as sandbox:
        sandbox.add_music(SONGS)
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


RECIPES = {
    name: block
    for name, block in BLOCKS.items()
    if re.search(r"^from (fastapi|aiohttp) import", block, re.MULTILINE)
}
"""Whole web applications, which have a run line."""


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_of_a_web_application_names_its_install_and_its_run_line(name: str) -> None:
    words = PAGES[name.partition(" ")[0]].partition(RECIPES[name])[0].rpartition("\n```\n")[2]

    assert re.search(r"`pip install\s'?\.", words)
    run_line = "`uvicorn app:app" if "from fastapi" in RECIPES[name] else "`python app.py`"
    assert run_line in words


@pytest.mark.parametrize("name", RECIPES)
async def test_a_recipe_of_a_web_application_runs_by_its_run_line(
    name: str, tmp_path: Path
) -> None:
    port, block = unused_port(), RECIPES[name]
    (tmp_path / "app.py").write_text(block.replace("8000", str(port)))
    line = f"-m uvicorn app:app --port {port}" if "from fastapi" in block else "app.py"
    async with Sandbox(Scenario(rate_limit=None, seconds=0)) as sandbox:
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
                assert answer.status == (404 if "InvalidRequestError" in block else 500)
        finally:
            process.terminate()
            await process.wait()


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_toml_and_json_are_read_without_an_error(page: str) -> None:
    for block in blocks_of(page, "toml"):
        assert tomllib.loads(block)
    for block in blocks_of(page, "json"):
        assert json.loads(block)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

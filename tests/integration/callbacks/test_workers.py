"""The web applications of the page on callbacks in several processes, which share a database."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import attrs
import pytest
from aiohttp.test_utils import unused_port

from suno_cover_async.postgres.tables import PERMIT_TABLES
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.integration.test_code_blocks import PAGES, blocks_of, is_listening
from tests.support.callback_buses import make_callback_table, until_true, written
from tests.support.permit_tables import opened, rows
from tests.support.waiting import until

PAGE = "docs/how-to/callbacks.md"
LINES = re.findall(r"(bus=CallbackBus\(.*?\]\)|rate_limit=SharedRateLimiter\(.*?\]\))", PAGES[PAGE])
SECRET = 'secret=os.environ["SUNO_CALLBACK_SECRET"]'
TABLE = "CREATE TABLE public.covers (song text PRIMARY KEY, result jsonb, worker text)"
PUBLIC = "https://me.example/suno"
WITHIN = aiohttp.ClientTimeout(total=50)  # a poll without a callback comes after 60 s
MANY = Scenario(rate_limit=None, seconds=1.0)


@pytest.fixture
def url(database_url: str) -> str:
    """The URL of a database with the tables of callbacks and permits."""
    make_callback_table(database_url)

    with opened(database_url) as connection:
        connection.execute(PERMIT_TABLES)
    return database_url


def shared(kind: str) -> str:
    """The page's application of a framework, with its two lines more."""
    bus, limit = LINES
    found = [one for one in blocks_of(PAGE) if f"from {kind} import" in one]
    (block,) = [one for one in found if "DATABASE_URL" not in one]
    block = re.sub(re.escape(SECRET) + ",?", f"{SECRET}, {bus},", block)
    block = block.replace("SunoCoverClient(receiver", f"SunoCoverClient({limit}, receiver")
    return "from suno_cover_async import CallbackBus, SharedRateLimiter\n" + block


def recipe() -> str:
    """The page's application that finds again what a process had accepted when it died."""
    program: str
    (program,) = [one for one in blocks_of(PAGE) if "DATABASE_URL" in one]
    return program


@attrs.frozen
class Application:
    """One application in processes of its own."""

    port: int
    process: asyncio.subprocess.Process

    async def cover(self, browser: aiohttp.ClientSession, song: str) -> list[str]:
        """Ask for a cover, and return its images."""
        there = f"http://127.0.0.1:{self.port}/songs/{song}/cover"
        async with browser.post(there, timeout=WITHIN) as answer:
            assert answer.status == 200
            images: list[str] = (await answer.json())["images"]
            return images


@contextlib.asynccontextmanager
async def running(
    program: str,
    folder: Path,
    sandbox: Sandbox,
    database: str,
    *,
    public_port: int | None = None,
    workers: int = 1,
) -> AsyncIterator[Application]:
    """Run an application by its run line; its callbacks go to `public_port`, or to itself."""
    port = unused_port()
    public = f"http://127.0.0.1:{public_port or port}/suno"
    (folder / "app.py").write_text(program.replace(PUBLIC, public).replace("8000", str(port)))
    line = "app.py"
    if "fastapi" in program:
        line = f"-m uvicorn app:app --port {port} --workers {workers} --timeout-graceful-shutdown 1"
    here = {
        "SUNO_API_KEY": sandbox.api_key,
        "SUNO_BASE_URL": sandbox.url,
        "SUNO_CALLBACK_SECRET": "made-once-and-kept",
        "DATABASE_URL": database,
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *line.split()),
        cwd=folder,
        env=os.environ | here,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until(lambda: is_listening(port) or process.returncode is not None, every=0.02)
        yield Application(port, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.mark.parametrize("kind", ["fastapi", "aiohttp"])
async def test_a_callback_that_reaches_one_process_wakes_the_waiter_in_another(
    kind: str, url: str, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        Sandbox(MANY) as sandbox,
        running(shared(kind), tmp_path / "a", sandbox, url) as receiving,
        running(shared(kind), tmp_path / "b", sandbox, url, public_port=receiving.port) as waiting,
        aiohttp.ClientSession() as browser,
    ):
        songs = sandbox.add_music(3)

        covers = await asyncio.gather(*(waiting.cover(browser, song) for song in songs))

        assert [len(images) for images in covers] == [2, 2, 2]
        assert [one.status for one in sandbox.journal.callbacks] == [200, 200, 200]
        assert len(sandbox.journal.arrivals) == 6  # a submit of each, and a poll
        assert {song for song, _ in written(url)} == set(songs)


async def test_four_workers_of_uvicorn_wake_each_others_waiters_and_pay_once_for_a_song(
    url: str, tmp_path: Path
) -> None:
    async with (
        Sandbox(MANY) as sandbox,
        running(shared("fastapi"), tmp_path, sandbox, url, workers=4) as app,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as browser,
    ):
        songs = sandbox.add_music(8)

        covers = await asyncio.gather(
            *(app.cover(browser, song) for song in songs for _ in range(3))
        )

        assert {len(images) for images in covers} == {2}
        assert sorted(bill.music_task_id for bill in sandbox.journal.bills) == sorted(songs)


@pytest.mark.parametrize("where", ["a database", "a file"])
async def test_the_limit_holds_for_all_workers_together(
    where: str, url: str, tmp_path: Path
) -> None:
    program, database = shared("fastapi"), url
    if where == "a file":
        program = program.replace(LINES[0], "bus=None")
        database = str(tmp_path / "limit.db")
    async with (
        Sandbox(Scenario(seconds=1000.0)) as sandbox,
        running(program, tmp_path, sandbox, database, workers=4) as app,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as browser,
    ):
        songs = sandbox.add_music(22)

        asked = [asyncio.create_task(app.cover(browser, song)) for song in songs]
        await until(lambda: len(sandbox.journal.bills) == 22, every=0.05)
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

        assert all(one.admitted for one in sandbox.journal.arrivals)


@pytest.mark.parametrize("moment", ["accepted", "submitted", "finished"])
async def test_what_a_worker_had_accepted_when_it_was_killed_is_found_again_and_paid_once(
    moment: str, url: str, tmp_path: Path
) -> None:
    program = recipe()
    rows(url, TABLE)
    result = "SELECT result -> 'images' FROM public.covers WHERE result IS NOT NULL"
    async with Sandbox(Scenario(rate_limit=None, seconds=1.0, delay=(0.2, 0.2))) as sandbox:
        (song,) = sandbox.add_music()
        journal = sandbox.journal
        async with (
            running(program, tmp_path, sandbox, url, public_port=1) as app,
            aiohttp.ClientSession() as browser,
            browser.post(f"http://127.0.0.1:{app.port}/songs/{song}/cover") as answer,
        ):
            assert answer.status == 202
            if moment != "accepted":
                await until(lambda: journal.bills, every=0.001)
            if moment == "finished":
                await until(lambda: journal.callbacks, every=0.001)
            app.process.kill()
            await app.process.wait()
        assert rows(url, result) == []

        async with running(program, tmp_path, sandbox, url):
            await until_true(lambda: rows(url, result))

        assert [len(images) for (images,) in rows(url, result)] == [2]
        assert [bill.music_task_id for bill in journal.bills] == [song]


async def test_of_four_workers_that_start_one_asks_again_for_a_song_of_a_dead_one(
    url: str, tmp_path: Path
) -> None:
    program = recipe()
    rows(url, TABLE)
    async with Sandbox(MANY) as sandbox:
        songs = sandbox.add_music(6)
        for song in songs:  # of a worker whose connection has ended
            rows(url, f"INSERT INTO public.covers VALUES ('{song}', NULL, 0)")  # noqa: S608 - an id
        async with running(program, tmp_path, sandbox, url, workers=4):
            done = "SELECT count(*) FROM public.covers WHERE result IS NOT NULL HAVING count(*) = 6"
            await until_true(lambda: rows(url, done))

        submits = [one for one in sandbox.journal.arrivals if one.kind == "submit"]
        assert len(submits) == 6


async def test_the_songs_of_a_worker_whose_death_shows_late_are_taken_then(
    url: str, tmp_path: Path
) -> None:
    program = recipe().replace("asyncio.sleep(60)", "asyncio.sleep(0.05)")
    rows(url, TABLE)
    alive = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'covers %-%'"
    done = "SELECT 1 FROM public.covers WHERE result IS NOT NULL"
    async with Sandbox(MANY) as sandbox:
        (song,) = sandbox.add_music()
        rows(url, f"INSERT INTO public.covers VALUES ('{song}', NULL, 'covers dead')")  # noqa: S608 - an id
        with opened(url) as dead:
            dead.execute("SET application_name = 'covers dead'")
            async with running(program, tmp_path, sandbox, url, workers=2):
                await until_true(lambda: len(rows(url, alive)) == 2)
                assert not sandbox.journal.arrivals
                dead.close()
                await until_true(lambda: rows(url, done))

        assert [bill.music_task_id for bill in sandbox.journal.bills] == [song]


async def test_a_worker_that_lost_its_connection_is_alive_again_and_takes_what_others_leave(
    url: str, tmp_path: Path
) -> None:
    program = recipe().replace("asyncio.sleep(60)", "asyncio.sleep(0.05)")
    rows(url, TABLE)
    alive = "FROM pg_stat_activity WHERE application_name LIKE 'covers %-%'"
    done = "SELECT 1 FROM public.covers WHERE result IS NOT NULL"
    async with Sandbox(MANY) as sandbox:
        (song,) = sandbox.add_music()
        async with running(program, tmp_path, sandbox, url):
            await until_true(lambda: rows(url, f"SELECT 1 {alive}"))
            rows(url, f"SELECT pg_terminate_backend(pid, 50000) {alive}")
            rows(url, f"INSERT INTO public.covers VALUES ('{song}', NULL, 'dead')")  # noqa: S608 - an id
            await until_true(lambda: rows(url, done))

        assert [bill.music_task_id for bill in sandbox.journal.bills] == [song]


async def test_an_id_that_the_api_does_not_know_is_answered_for_good(
    url: str, tmp_path: Path
) -> None:
    program = recipe()
    rows(url, TABLE)
    async with (
        Sandbox(MANY) as sandbox,
        running(program, tmp_path, sandbox, url) as app,
        aiohttp.ClientSession() as browser,
    ):
        for song in ("unknown", "not%20an%20id"):
            there = f"http://127.0.0.1:{app.port}/songs/{song}/cover"
            async with browser.post(there) as answer:
                assert answer.status == 202
            (((found,),),) = [await _result(browser, there)]
            assert "error" in found


async def _result(browser: aiohttp.ClientSession, there: str) -> list[list[dict[str, str]]]:
    async with asyncio.timeout(100):
        while True:
            async with browser.get(there) as answer:
                found: list[list[dict[str, str]]] = await answer.json()
                if found[0][0]:
                    return found

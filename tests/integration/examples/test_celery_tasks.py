"""Covers as tasks of Celery, by the example's own commands and a broker that is a folder.

A folder forgets what a worker had taken that is killed as a whole, which a server of messages does
not. So the worker's child is killed, as a system without memory does.
"""

import asyncio
import json
import os
import signal
from pathlib import Path

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.job_engines import Engine, engine_of
from tests.support.waiting import until

WORKER = ("-m", "celery", "--app", "celery_tasks", "worker", "--concurrency", "1")
QUIET = ("--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat")
ADD = "import sys; from celery_tasks import cover; [cover.delay(song) for song in sys.argv[1:]]"
UNSEEN = Scenario(image_size=16, null_polls=1_000_000)
QUICK = Scenario(image_size=16, seconds=0.1)


async def prepared(folder: Path, url: str, sandbox: Sandbox) -> Engine:
    """Prepare the example, with a broker that needs no server."""
    engine = await engine_of("celery_tasks.py", folder, url, sandbox, BROKER_URL="filesystem://")
    there = {f"data_folder_{way}": str(folder / "queue") for way in ("in", "out")}
    there["control_folder"] = str(folder / "control")
    (folder / "queue").mkdir()
    with (folder / "celery_tasks.py").open("a") as program:
        program.write(f"app.conf.broker_transport_options = {json.dumps(there)}\n")
        program.write("app.conf.worker_lost_wait = 0.1\n")  # in place of 10 s
    return engine


def children(process: asyncio.subprocess.Process) -> list[int]:
    there = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(child) for child in there.read_text().split()]


async def test_a_workers_process_that_is_killed_in_a_task_leaves_it_to_another_and_one_bill(
    database_url: str, tmp_path: Path
) -> None:
    async with Sandbox(UNSEEN) as sandbox:
        (song,) = sandbox.add_music()
        engine = await prepared(tmp_path, database_url, sandbox)
        await engine.run("-c", ADD, song)
        async with engine.worker(*WORKER, *QUIET) as worker:
            await until(lambda: sandbox.journal.of("details"), every=0.02)
            (doomed,) = children(worker)
            sandbox.scenario = QUICK
            os.kill(doomed, signal.SIGKILL)

            await until(engine.covers, every=0.05)
            assert doomed not in children(worker)

        assert [len(files) for files in engine.covers().values()] == [2]
        assert [bill.music_task_id for bill in sandbox.journal.bills] == [song]
        assert engine.accounts_that_share_a_limit() == 1
        assert len(sandbox.journal.of("submit")) == 2


async def test_a_task_that_is_run_again_after_its_end_asks_the_api_for_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(2)
        engine = await prepared(tmp_path, database_url, sandbox)
        await engine.run("-c", ADD, *songs)
        async with engine.worker(*WORKER, *QUIET):
            await until(lambda: len(engine.covers()) == 2, every=0.05)
            before = len(sandbox.journal.arrivals)

            await engine.run("-c", ADD, songs[0], "unknown")
            await until(lambda: "InvalidRequestError" in engine.log, every=0.05)

        assert len(sandbox.journal.bills) == 2
        # What the API does not know fails at once, and for good.
        assert [one.music_task_id for one in sandbox.journal.arrivals[before:]] == ["unknown"]


async def test_a_task_that_finds_no_shared_limit_is_run_again_later_and_sends_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with Sandbox(QUICK) as sandbox:
        engine = await prepared(tmp_path, database_url, sandbox)
        engine.rows("DROP TABLE suno_cover.permits")
        await engine.run("-c", ADD, *sandbox.add_music())
        async with engine.worker(*WORKER, *QUIET):
            await until(lambda: "retry: Retry in 60s" in engine.log, every=0.05)

        assert "ClientUsageError" in engine.log
        assert sandbox.journal.arrivals == []

"""Covers as jobs of procrastinate, by the example's own program and commands."""

from collections import Counter
from pathlib import Path

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.job_engines import Engine, engine_of, printed_commands
from tests.support.waiting import until

PROCRASTINATE = ("-m", "procrastinate", "--app=procrastinate_jobs.app")
ADD = """
import asyncio, sys
from procrastinate_jobs import app, cover

async def main():
    async with app.open_async():
        for song in sys.argv[1:]:
            await cover.defer_async(song=song)

asyncio.run(main())
"""
WORKER = ("procrastinate_jobs.py",)
QUEUED = "SELECT id FROM procrastinate_jobs WHERE queueing_lock = 'take over' AND status = 'todo'"
SLOW, OFTEN = "concurrency=100", "fetch_job_polling_interval=0.2"  # in place of 5 s
UNSEEN = Scenario(image_size=16, null_polls=1_000_000)
QUICK = Scenario(image_size=16, seconds=0.1)


async def prepared(folder: Path, url: str, sandbox: Sandbox) -> Engine:
    engine = await engine_of("procrastinate_jobs.py", folder, url, sandbox)
    program = (folder / "procrastinate_jobs.py").read_text()
    (folder / "procrastinate_jobs.py").write_text(program.replace(SLOW, f"{SLOW}, {OFTEN}"))
    ((_, *as_printed),) = printed_commands("procrastinate_jobs.py", "python -m procrastinate ")
    await engine.run(*as_printed)
    return engine


async def defer(engine: Engine, *songs: str) -> None:
    """Add jobs by a program of the user's own."""
    await engine.run("-c", ADD, *songs)


def statuses(engine: Engine) -> Counter[str]:
    """Count the jobs that make covers, by their state."""
    found = engine.rows(
        "SELECT status::text FROM procrastinate_jobs WHERE task_name = 'procrastinate_jobs.cover'"
    )
    return Counter(status for (status,) in found)


async def test_a_worker_that_is_killed_in_a_job_leaves_it_to_another_and_one_bill(
    database_url: str, tmp_path: Path
) -> None:
    async with Sandbox(UNSEEN) as sandbox:
        (song,) = sandbox.add_music()
        engine = await prepared(tmp_path, database_url, sandbox)
        await defer(engine, song)
        async with engine.worker(*WORKER) as doomed:
            await until(lambda: sandbox.journal.of("details"), every=0.02)
            doomed.kill()
            await doomed.wait()
        assert statuses(engine) == {"doing": 1}
        engine.rows("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '31 s'")
        sandbox.scenario = QUICK

        if not engine.rows(QUEUED):  # by the killed worker, at the turn of a minute
            await engine.run(
                *PROCRASTINATE, "defer", "procrastinate_jobs.take_over", '{"timestamp": 0}'
            )
        async with engine.worker(*WORKER):
            await until(lambda: statuses(engine) == {"succeeded": 1}, every=0.05)

        assert [len(files) for files in engine.covers().values()] == [2]
        assert [bill.music_task_id for bill in sandbox.journal.bills] == [song]
        assert engine.accounts_that_share_a_limit() == 1
        assert len(sandbox.journal.of("submit")) == 2


async def test_a_job_that_is_run_again_after_its_end_asks_the_api_for_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(2)
        engine = await prepared(tmp_path, database_url, sandbox)
        await defer(engine, *songs)
        async with engine.worker(*WORKER):
            await until(lambda: statuses(engine) == {"succeeded": 2}, every=0.05)
            before = len(sandbox.journal.arrivals)

            await defer(engine, songs[0], "unknown")
            await until(lambda: statuses(engine) == {"succeeded": 3, "failed": 1}, every=0.05)

        assert engine.covers().keys() == set(songs)
        assert len(sandbox.journal.bills) == 2
        # What the API does not know fails at once, and for good.
        assert [one.music_task_id for one in sandbox.journal.arrivals[before:]] == ["unknown"]


async def test_a_job_that_finds_no_shared_limit_is_run_again_later_and_sends_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with Sandbox(QUICK) as sandbox:
        engine = await prepared(tmp_path, database_url, sandbox)
        engine.rows("DROP TABLE suno_cover.permits")
        await defer(engine, *sandbox.add_music())
        async with engine.worker(*WORKER):
            again = "SELECT 1 FROM procrastinate_jobs WHERE status = 'todo' AND attempts = 1"

            await until(lambda: engine.rows(again), every=0.05)

        assert statuses(engine) == {"todo": 1}
        assert sandbox.journal.arrivals == []

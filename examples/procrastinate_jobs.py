"""Make covers in jobs of procrastinate, whose queue is in PostgreSQL.

Install and prepare once, then start as many workers as you like, on any machines::

    pip install '.[cli,postgres]' procrastinate
    export DATABASE_URL=postgresql://me@db.example/songs  # the password is in ~/.pgpass
    suno-cover ledger init "$DATABASE_URL"
    python -m procrastinate --app=procrastinate_jobs.app schema --apply
    psql "$DATABASE_URL" -c 'CREATE TABLE cover_jobs (song text PRIMARY KEY, files jsonb NOT NULL)'
    python procrastinate_jobs.py

Here the role `me` makes all tables, so that they are its own. It must be allowed to:
`GRANT CREATE ON DATABASE songs TO me`, and since PostgreSQL 15 `GRANT CREATE ON SCHEMA public TO
me`. Where another role makes them, it grants `me` what `init` prints, and rights on
`cover_jobs` and on what procrastinate made.

Any program adds jobs, inside of `async with app.open_async()`::

    await cover.defer_async(song="73d6128b3523a0079df10da9471017c8")

A job may run twice, since a worker may be killed in the middle of it. The second time costs
requests and no second cover: the API tells which cover the song has.

A worker says at its start that the app is in the main module. It is harmless: the tasks have names
of their own, which are the same in every program.
"""

import asyncio
import json
import os

import procrastinate
import psycopg

from suno_cover_async import ClientUsageError, SharedRateLimiter, SunoCoverClient

DATABASE = os.environ["DATABASE_URL"]
WITHOUT_DATABASE = (ClientUsageError, psycopg.OperationalError)
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=DATABASE))


class WhileItMaySucceed(procrastinate.BaseRetryStrategy):
    """Run a job again after a minute where it may succeed then."""

    def get_retry_decision(self, *, exception, job):
        """Return None for an error that stays, such as a song that the API does not know."""
        if getattr(exception, "retryable", False) or isinstance(exception, WITHOUT_DATABASE):
            return procrastinate.RetryDecision(retry_in={"minutes": 1})
        return None


async def sql(statement, *values):
    """Run a statement, committed at once, and return its rows."""
    async with await psycopg.AsyncConnection.connect(DATABASE) as connection:
        cursor = await connection.execute(statement, values)
        return await cursor.fetchall() if cursor.description else []


@app.task(name="procrastinate_jobs.cover", retry=WhileItMaySucceed(), pass_context=True)
async def cover(context, song):
    """Make the cover of a song, save its images and record their paths, unless that was done."""
    if await sql("SELECT song FROM cover_jobs WHERE song = %s", song):
        return
    client = context.additional_context["client"]
    details = await client.generate(song)
    files = await client.download(details, into="covers")
    await sql(
        "INSERT INTO cover_jobs VALUES (%s, %s) ON CONFLICT DO NOTHING",
        song,
        json.dumps([str(file) for file in files]),
    )


@app.periodic(cron="* * * * *")
@app.task(name="procrastinate_jobs.take_over", queueing_lock="take over")
async def take_over(timestamp):
    """Every minute, give the jobs of workers that were silent for 30 s to others."""
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)


async def main():
    """Work on up to 100 jobs at once, with one client and one share of the account's limit."""
    limit = SharedRateLimiter(DATABASE)
    async with app.open_async(), SunoCoverClient(rate_limit=limit) as client:
        await app.run_worker_async(concurrency=100, additional_context={"client": client})


if __name__ == "__main__":
    asyncio.run(main())

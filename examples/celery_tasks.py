"""Make covers in tasks of Celery, with any broker, on any number of machines.

Install and prepare once, then start as many workers as you like::

    pip install '.[cli,postgres]' celery
    export DATABASE_URL=postgresql://me@db.example/songs  # the password is in ~/.pgpass
    export BROKER_URL=amqp://rabbit.example
    suno-cover ledger init "$DATABASE_URL"
    psql "$DATABASE_URL" -c 'CREATE TABLE cover_jobs (song text PRIMARY KEY, files jsonb NOT NULL)'
    celery --app celery_tasks worker --concurrency 20

Here the role `me` makes all tables, so that they are its own. It must be allowed to:
`GRANT CREATE ON DATABASE songs TO me`, and since PostgreSQL 15 `GRANT CREATE ON SCHEMA public TO
me`. Where another role makes them, it grants `me` what `init` prints, and SELECT and INSERT on
`cover_jobs`.

Any program adds tasks: `cover.delay("73d6128b3523a0079df10da9471017c8")`.

A task may run twice, since a worker may be killed in the middle of it. The second time costs
requests and no second cover: the API tells which cover the song has.

Celery is synchronous, so each task has an event loop and a client of its own. It costs a process
for each cover that is being made, a new TLS connection for each, and a first poll after 20 s
whatever earlier covers took, since that is known to their clients. Each process keeps its
connection for the account's limit.
"""

import asyncio
import json
import os

import psycopg
from celery import Celery

from suno_cover_async import ClientUsageError, SharedRateLimiter, SunoCoverClient, SunoCoverError

DATABASE = os.environ["DATABASE_URL"]
WITHOUT_DATABASE = (ClientUsageError, psycopg.OperationalError)
app = Celery("celery_tasks", broker=os.environ["BROKER_URL"])
app.conf.task_acks_late = True  # else a task is forgotten if its worker is killed
app.conf.task_reject_on_worker_lost = True  # likewise, if only the worker's child is
app.conf.worker_prefetch_multiplier = 1  # a task takes a minute: leave the others to other workers
limit = SharedRateLimiter(DATABASE)  # each process connects at its first request


@app.task(bind=True, max_retries=None)
def cover(self, song):
    """Make the cover of a song, save its images and record their paths, unless that was done."""
    try:
        asyncio.run(make(song))
    except WITHOUT_DATABASE as error:
        raise self.retry(exc=error, countdown=60) from None
    except SunoCoverError as error:
        if error.retryable:
            raise self.retry(exc=error, countdown=60) from None
        raise  # it stays so, as for a song that the API does not know


async def make(song):
    """Make a cover; where it was made before, by whatever process, it is not paid for again."""
    if await sql("SELECT song FROM cover_jobs WHERE song = %s", song):
        return
    async with SunoCoverClient(rate_limit=limit) as client:
        details = await client.generate(song)
        files = await client.download(details, into="covers")
    await sql(
        "INSERT INTO cover_jobs VALUES (%s, %s) ON CONFLICT DO NOTHING",
        song,
        json.dumps([str(file) for file in files]),
    )


async def sql(statement, *values):
    """Run a statement, committed at once, and return its rows."""
    async with await psycopg.AsyncConnection.connect(DATABASE) as connection:
        cursor = await connection.execute(statement, values)
        return await cursor.fetchall() if cursor.description else []

"""A database with the table of callbacks, and waiters and receivers that share it."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

from suno_cover_async import CallbackBus, CallbackReceiver
from suno_cover_async.covers.notifier import Notifier, Subscription
from suno_cover_async.postgres.connection import connect
from suno_cover_async.postgres.tables import CALLBACK_TABLES
from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.callback_requests import ACCEPTED, COVER, JSON, MUSIC, letter, make, path_of
from tests.support.permit_tables import rows
from tests.support.waiting import until

SESSIONS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'suno-cover callback bus'"
)


def make_callback_table(url: str) -> None:
    """Make the URL's schema and its table of callbacks, as the URL's user."""
    parsed = DatabaseUrl.parse(url)
    with contextlib.closing(connect(parsed, "test's tables")) as connection:
        connection.execute(f"CREATE SCHEMA {parsed.schema}".encode())
        connection.execute(CALLBACK_TABLES)


def written(url: str) -> list[tuple[str, str]]:
    """The two ids of each row, in order."""
    return rows(url, "SELECT music_task_id, cover_task_id FROM suno_cover.callbacks ORDER BY id")


def sessions(url: str) -> list[int]:
    """The process ids of the server's sessions for buses in the URL's database."""
    return [pid for (pid,) in rows(url, SESSIONS)]


def threads() -> list[threading.Thread]:
    """The threads of buses in this process."""
    return [one for one in threading.enumerate() if one.name == "suno-cover callback bus"]


@contextlib.contextmanager
def bus_at(url: str) -> Generator[CallbackBus]:
    """A bus that ends with the block."""
    bus = CallbackBus(url)
    try:
        yield bus
    finally:
        bus.close()


@contextlib.contextmanager
def receiver_at(url: str, **options: Any) -> Generator[CallbackReceiver]:
    """A receiver with a bus of its own, as another process has it."""
    with bus_at(url) as bus:
        yield make(bus=bus, **options)


class Waiter:
    """Whoever waits for the callbacks of one song; it counts them."""

    def __init__(self, notifier: Notifier, music_task_id: str | None, cover: str | None) -> None:
        self.notified = 0
        self.notifier = notifier
        self.subscription = Subscription(music_task_id, cover, self._notify)

    def _notify(self) -> None:
        self.notified += 1

    async def come(self, times: int = 1) -> None:
        """Wait until so many callbacks have come."""
        await until(lambda: self.notified >= times, every=0.001)


@contextlib.contextmanager
def waiting(
    notifier: Notifier, music_task_id: str | None = MUSIC, cover_task_id: str | None = COVER
) -> Generator[Waiter]:
    """Somebody who waits in the running event loop."""
    waiter = Waiter(notifier, music_task_id, cover_task_id)
    notifier.subscribe(waiter.subscription)
    try:
        yield waiter
    finally:
        notifier.unsubscribe(waiter.subscription)


@contextlib.asynccontextmanager
async def served(url: str, notifier: Notifier) -> AsyncGenerator[Waiter]:
    """Somebody who waits, once the notifier's bus is connected and has read what there is."""
    with waiting(notifier) as waiter:
        await connected(url)
        yield waiter


async def connected(url: str, number: int = 1) -> None:
    """Wait until so many buses are connected, and are notified."""
    ready = SESSIONS + " AND state = 'idle' AND query !~ 'set_config|LISTEN'"
    await until_true(lambda: len(rows(url, ready)) >= number)


async def until_true(condition: Any) -> None:
    """Wait for what the database says, which is asked in a thread."""
    async with asyncio.timeout(100):
        while not await asyncio.to_thread(condition):
            pass


async def call(
    receiver: CallbackReceiver, music_task_id: str = MUSIC, cover_task_id: str = COVER
) -> None:
    """Send a receiver a callback, as the API does; it is accepted."""
    parts = ("POST", path_of(receiver, music_task_id), JSON, letter(cover_task_id))
    assert await receiver.receive(*parts) == ACCEPTED

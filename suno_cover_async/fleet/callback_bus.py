"""Share callbacks between processes and machines, through a PostgreSQL database.

It owns what is public, and which process is served; `bus_thread.py` owns the thread that does the
work, and `callback_table.py` the connection.
"""

import os
import weakref
from functools import partial
from typing import TYPE_CHECKING

from suno_cover_async.common import validation
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.models import Callback
from suno_cover_async.postgres.url import DatabaseUrl

if TYPE_CHECKING:  # it needs psycopg, which is loaded where a bus is made
    from suno_cover_async.fleet.bus_thread import BusThread


class CallbackBus:
    """Brings the callbacks that one process receives to all processes that wait.

    Give the receiver of each process one with the same URL, and all receivers the same secret;
    `suno-cover ledger init URL` makes the table::

        receiver = CallbackReceiver(..., bus=CallbackBus("postgresql://user@host/database"))

    The music task's and the cover task's id are shared, and nothing else of a callback. Whoever can
    write to the database can send false ones; these cost a poll, as any false callback does.

    It may be made as a module is imported, and before a fork. It connects when somebody begins to
    wait or a callback comes, in a thread of its own, over one connection, and ends both when nobody
    has waited for a minute. While the database cannot be used, it tries again after 0.1 s to 5 s,
    without end, and logs one warning: nothing is lost, for the clients' own polls find the covers.
    After that it reads what came meanwhile. It reads every 10 s too, so behind a pooler that
    forwards no notifications (PgBouncer in transaction mode) callbacks come by up to 10 s late.

    Bounds: 4096 callbacks are kept while the database cannot be used, the newest ones; of one song,
    at most four in ten seconds are shared; rows are removed after an hour.

    Args:
        url: The URL of the database (extra `postgres`).

    Raises:
        ModuleNotFoundError: psycopg is not installed.
        TypeError: The URL is no str.
        ValueError: It is no such URL.
    """

    def __init__(self, url: str) -> None:
        """Read the URL, and do not connect."""
        self._url = DatabaseUrl.parse(validation.instance("url", url, str))
        del url  # some tools show the values in the frames of an error
        from suno_cover_async.fleet.bus_thread import BusThread  # noqa: PLC0415 - psycopg

        self._make = partial(BusThread, self._url)
        # A child that was forked finds no thread of its own, and must leave its parent's alone: it
        # has the parent's connection, and the lock may be held. So each process has its own entry.
        self._threads: dict[int, BusThread] = {}
        weakref.finalize(self, _end, self._threads).atexit = False  # each thread sees to that

    def __repr__(self) -> str:
        """Show the URL, without its password."""
        return f"CallbackBus({self._url.shown!r})"

    def attach(self, notifier: Notifier) -> None:
        """Notify a notifier of the callbacks of other processes; the receiver calls this."""
        self._thread().attach(notifier)

    def publish(self, callback: Callback, source: Notifier) -> None:
        """Share a callback with all notifiers but `source`; the receiver calls this."""
        self._thread().publish(callback, source)

    def close(self) -> None:
        """Share what is left, and end this process's thread and connection, within a second.

        It is not needed at the end of a process. If anybody waits later, it begins again.
        """
        self._thread().close()

    def _thread(self) -> "BusThread":
        process = os.getpid()
        return self._threads.get(process) or self._threads.setdefault(process, self._make())


def _end(threads: "dict[int, BusThread]") -> None:
    """End this process's thread, since nobody can use the bus any more; do not wait for it."""
    thread = threads.get(os.getpid())
    if thread is not None:
        thread.end()

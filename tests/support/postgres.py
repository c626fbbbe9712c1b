"""PostgreSQL servers for tests: one that a whole run shares, and those that one test may crash.

A server has a temp folder, and a keeper: a process of its own that waits until no test process
holds the folder's lock, then stops the server and removes the folder. The system gives up the locks
of a process that ends in whatever way, so that no server is left behind by an interrupt or a kill.
This module is also the keeper's program.
"""

import contextlib
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal, TextIO
from urllib.parse import quote
from uuid import uuid4

import attrs
import psycopg
import pytest

if sys.platform != "win32":
    import fcntl

ROLE = "cover"
PASSWORD = "canary:p/a@s?s#w%r&d=é-4f1d9c2e"
"""The password of the role; percent-encoded in a URL, and to be found nowhere else."""

MISSING = "no PostgreSQL server is installed: on Debian, apt-get install postgresql"
_SUPERUSER = "postgres"
_PAUSE = 0.02  # seconds between two questions, so that they leave the server its core
_SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 200
shared_buffers = 32MB
unix_socket_permissions = 0700
jit = off
"""
_UNSAFE_AND_FAST = "fsync = off\nfull_page_writes = off\n"


def binaries() -> Path | None:
    """The folder with a server's programs: that of PATH, or Debian's newest."""
    if not sys.platform.startswith("linux"):  # the keeper and `crash` need it
        return None
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    debian = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    folders += sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)
    return next((one for one in folders if (one / "postgres").exists()), None)


def _owner() -> dict[str, Any]:
    """Whose processes a server's are: it refuses to run as root."""
    if os.geteuid():
        return {}
    return {"user": "postgres", "group": "postgres", "extra_groups": ()}


def free_port() -> int:
    """A free port that no outgoing connection takes while the server is down."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@attrs.frozen
class Server:
    """A server with its data in a temp folder, and its socket there as well.

    Attributes:
        folder: The folder. A superuser needs no password over the socket in it.
        port: The port on loopback, where the role needs its password; the same after a restart.
    """

    folder: Path
    port: int

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self.folder / "log").read_text(errors="replace")

    def url(self, database: str, *, port: int | None = None, role: str = ROLE) -> str:
        """A database's URL for the role, at this port or that of a proxy."""
        login = f"{role}:{quote(PASSWORD, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """Connect as a superuser; each statement commits by itself."""
        return psycopg.connect(
            host=str(self.folder),
            port=self.port,
            user=_SUPERUSER,
            dbname=database,
            application_name="test's superuser",
            autocommit=True,
        )

    def execute(self, statement: str, *values: object, database: str = "postgres") -> list[Any]:
        """Run a statement as a superuser, committed at once, and return its rows."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def database(self) -> Generator[str]:
        """The name of a new and empty database that the role owns."""
        name = f"test_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE template0")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def start(self) -> None:
        """Start it, and return when it takes connections; after a crash it recovers first."""
        self._program("pg_ctl", "start", "-w", "-t", "100", "-l", str(self.folder / "log"))

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it: `fast` tells clients and writes a checkpoint, `immediate` does neither."""
        self._program("pg_ctl", "stop", "-w", "-t", "100", "-m", mode)

    def crash(self) -> None:
        """Kill all its processes at one moment, as a crash of the machine does."""
        pid_file = self.data / "postmaster.pid"
        postmaster = int(pid_file.read_text().split("\n")[0])
        os.kill(postmaster, signal.SIGSTOP)  # it begins no more processes
        processes = (postmaster, *_children(postmaster))
        ends = [os.pidfd_open(process) for process in processes]
        for end in ends:
            signal.pidfd_send_signal(end, signal.SIGKILL)
        for end in ends:
            select.select([end], [], [])
            os.close(end)
        # Where nobody reaps the dead one, its id would seem to be that of a server that runs.
        for file in (pid_file, self.folder / f".s.PGSQL.{self.port}.lock"):
            file.unlink(missing_ok=True)

    def drop_connections(self, database: str | None = None) -> int:
        """End all clients' sessions, or those in one database, and return how many there were."""
        ended = self.execute(
            "SELECT pg_terminate_backend(pid, 50000) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND datname = coalesce(%s, datname)",
            database,
        )
        return len(ended)

    def _program(self, name: str, *arguments: str) -> None:
        folder = binaries()
        assert folder
        done = subprocess.run(  # noqa: S603
            [folder / name, "-D", self.data, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **_owner(),
        )
        assert done.returncode == 0, f"{name} failed: {done.stdout}"

    def make(self, *, durable: bool) -> None:
        """Make the data and start it, with the role."""
        self._program(
            "initdb",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            f"--username={_SUPERUSER}",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
        )
        own = f"port = {self.port}\nunix_socket_directories = '{self.folder}'\n"
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS + own + ("" if durable else _UNSAFE_AND_FAST))
        self.start()
        self.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")

    def follow(self, primary: "Server") -> None:
        """Make the data a copy of another server's, and start it as its asynchronous standby."""
        place = ("-h", str(primary.folder), "-p", str(primary.port), "-U", _SUPERUSER)
        self._program("pg_basebackup", "-c", "fast", "-X", "stream", "--no-sync", "-R", *place)
        own = f"port = {self.port}\nunix_socket_directories = '{self.folder}'\n"
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(own)
        self.start()

    def wait_for_standbys(self) -> None:
        """Answer each commit only once a standby has it on its disk."""
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.execute("SELECT pg_reload_conf()")
        while not self.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"):
            time.sleep(_PAUSE)

    def lag_behind(self) -> None:
        """Receive nothing more of what the primary commits."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.execute("SELECT pg_reload_conf()")
        while self.execute("SELECT 1 FROM pg_stat_wal_receiver"):
            time.sleep(_PAUSE)

    def promote(self) -> None:
        """Become a primary, which takes writes."""
        assert self.execute("SELECT pg_promote()") == [(True,)]


def _children(process: int) -> list[int]:
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == process:
                found.append(int(stat.parent.name))
    return found


@contextlib.contextmanager
def own_server(*, durable: bool = False) -> Generator[Server]:
    """A server of one test, which it may stop and crash, with or without syncs to the disk.

    Without them a crash of the machine would lose data, but `crash` does not.
    """
    if not binaries():
        pytest.skip(MISSING)
    server, lock = _begin(durable=durable)
    with lock:
        yield server
        _stop(server.folder)


@contextlib.contextmanager
def standby_of(primary: Server) -> Generator[Server]:
    """A standby of a server; the test may promote it."""
    standby, lock = _prepare()
    with lock:
        standby.follow(primary)
        yield standby
        _stop(standby.folder)


@contextlib.contextmanager
def shared_server(meeting: Path) -> Generator[Server]:
    """The server of all processes that name the same folder; the last to leave ends it."""
    if not binaries():
        pytest.skip(MISSING)
    with (meeting / "postgres").open("a+") as known:
        fcntl.flock(known, fcntl.LOCK_EX)
        known.seek(0)
        server, lock = _join(known.read()) or _begin(durable=False)
        known.truncate(0)
        known.write(f"{server.port} {server.folder}")
    with lock:
        yield server


def _begin(*, durable: bool) -> tuple[Server, TextIO]:
    """Start a server and its keeper, and return it with the lock to close at the end."""
    server, lock = _prepare()
    server.make(durable=durable)
    return server, lock


def _prepare() -> tuple[Server, TextIO]:
    """Return a server without data that has a keeper, and the lock to close at the end."""
    # In /tmp, since a socket's path is short, and the server's user gets to it.
    folder = Path(tempfile.mkdtemp(prefix="suno-cover-postgres-", dir="/tmp"))
    lock = (folder / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_SH)
    subprocess.run([sys.executable, __file__, folder], check=True)  # noqa: S603
    server = Server(folder, free_port())
    owner = _owner()
    if owner:
        shutil.chown(folder, owner["user"], owner["group"])
    return server, lock


def _join(known: str) -> tuple[Server, TextIO] | None:
    """Return the server that others began, with the lock to close, unless it has ended."""
    port, _, folder = known.partition(" ")
    if not folder:
        return None
    with contextlib.ExitStack() as opened, contextlib.suppress(FileNotFoundError):
        lock = opened.enter_context(Path(folder, "lock").open())
        fcntl.flock(lock, fcntl.LOCK_SH)
        if Path(lock.name).exists():  # its keeper did not end it meanwhile
            opened.pop_all()
            return Server(Path(folder), int(port)), lock
    return None


def _stop(folder: Path) -> None:
    with contextlib.suppress(AssertionError):  # it runs no more
        Server(folder, 0).stop("immediate")


def _keep(folder: Path) -> None:
    """Be the keeper: wait for the folder's lock, then end the server there, in a new session."""
    if os.fork():
        return
    os.setsid()
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))

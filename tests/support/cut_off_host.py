"""A host of its own for a process: a network namespace, whose link to a database can be cut.

The namespace has one link, to a router in a namespace of its own, from where a forwarder leads to
the database's socket. The API is reached at its usual address on loopback, by a second forwarder,
over a socket in a folder, so that it stays reachable. Run as a program, this is a forwarder.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from tests.support.bad_disk import succeeds
from tests.support.postgres import Server

ROUTER = "10.77.0.1"
"""The address of the database, as the process sees it."""

# $1: python, $2: this file, $3: the folder, $4: the API's port, $5: the database's port, then its
# socket and the command. The host's namespace is that of a `sleep`, once it has its own.
_SCRIPT = f"""
unshare -n sleep infinity &
host=$!
until ! [ /proc/$host/ns/net -ef /proc/$$/ns/net ]; do sleep 0.01; done
inside="nsenter -n -t $host"
ip link add name router type veth peer name uplink netns $host
ip addr add {ROUTER}/24 dev router
ip link set router up
$inside ip link set lo up
$inside ip addr add 10.77.0.2/24 dev uplink
$inside ip link set uplink up
python=$1 program=$2 folder=$3 api=$4 port=$5 database=$6
shift 6
$python $program {ROUTER}:$port "$database" &
$inside $python $program 127.0.0.1:$api $folder/api &
until $inside $python -c "import socket; socket.create_connection(('{ROUTER}', $port))" 2>/dev/null
do sleep 0.1; done
$inside "$@" </dev/null &
while read word; do ip link set router $word; done
"""
_UNSHARE = "-n -m -p -f --kill-child --mount-proc"


@attrs.define(eq=False)
class Host:
    """A process on a host of its own.

    Attributes:
        process: What holds the host; its output is the process's, and killing it ends all.
        submits: When the process sent submits, in seconds since 1970.
        is_answered: Whether answers of the API are passed on; at first they are held back.
    """

    process: asyncio.subprocess.Process
    submits: list[float]
    is_answered: asyncio.Event

    async def cut_off(self) -> None:
        """Let all packets between the host and the database be lost."""
        await self._set("down")

    async def reconnect(self) -> None:
        await self._set("up")

    async def _set(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        await self.process.stdin.drain()


@contextlib.asynccontextmanager
async def host_of_its_own(
    command: Sequence[str], environ: Mapping[str, str], *, api: int, server: Server, folder: Path
) -> AsyncGenerator[Host]:
    """Run a command on a host of its own, or skip the test where that may not be made.

    The database is at `ROUTER` and its own port there, and needs no password.
    """
    for options in (_UNSHARE, f"-r {_UNSHARE}"):
        # As the superuser of the machine, one without -r may use the database's socket.
        unshare = ["unshare", *options.split()]
        if succeeds(*unshare, "sh", "-c", "ip link add name router type veth peer name uplink"):
            break
    else:
        pytest.skip("no network of its own may be made here")
    submits, is_answered = list[float](), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", api)

        async def send() -> None:
            async for block in _blocks(reader, back):
                if block.startswith(b"POST "):
                    submits.append(time.time())

        async def answer() -> None:
            async for _ in _blocks(there, writer):
                await is_answered.wait()

        await asyncio.gather(send(), answer())

    socket = server.folder / f".s.PGSQL.{server.port}"
    arguments = [sys.executable, __file__, folder, api, server.port, socket, *command]
    async with await asyncio.start_unix_server(serve, folder / "api"):
        process = await asyncio.create_subprocess_exec(
            *(*unshare, "sh", "-e", "-c", _SCRIPT, "sh"),
            *map(str, arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
        )
        try:
            yield Host(process, submits, is_answered)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            is_answered.set()


async def _blocks(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncGenerator[bytes]:
    """Yield what is read, and write each block once the next one is asked for."""
    with contextlib.suppress(OSError), contextlib.closing(writer):
        while block := await reader.read(65536):
            yield block
            writer.write(block)
            await writer.drain()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async for _ in _blocks(reader, writer):
        pass


async def _forward(listen: str, target: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(target)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))

    address, _, port = listen.rpartition(":")
    server = await asyncio.start_server(serve, address, int(port))
    await server.serve_forever()


if __name__ == "__main__":
    os.umask(0o077)
    asyncio.run(_forward(*sys.argv[1:]))

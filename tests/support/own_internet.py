"""An internet of our own: a network namespace in which public and private addresses are real.

One listener answers at all of these addresses, under the names of its own hosts file. It records
the destination address of each connection when it accepts it. Run as a program, it makes a client
send requests in this namespace, and prints the addresses that were connected to; see `ask`.
"""

import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import attrs
import pytest
import trustme

from suno_cover_async import (
    CoverDetails,
    CoverStatus,
    RetryPolicy,
    SunoCoverClient,
    SunoCoverError,
)
from tests.support.bad_disk import succeeds

KEY = "sk-canary-0b5e55ed"
PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:4700::1111"
PUBLIC_NAT64 = ("64:ff9b::5db8:d822", "64:ff9b:1:5db8:d8:2200::", "64:ff9b:1::5db8:d822")
"""The public IPv4 address behind NAT64: RFC 6052's prefix, and RFC 8215's as /48 and as /96."""
FAKE_IP_API = "https://fake-ip.example"
"""A base URL whose client allows names to lead into 198.18.0.0/15."""
PRIVATE = {
    "private.example": "10.0.0.1",
    "private-b.example": "172.16.0.1",
    "private-c.example": "192.168.1.1",
    "metadata.example": "169.254.169.254",
    "shared.example": "100.64.0.1",
    "benchmark.example": "198.18.0.1",
    "unique-local.example": "fc00::1",
    "nat64.example": "64:ff9b::7f00:1",
    "local-nat64.example": "64:ff9b:1::a00:1",
    "local-nat64-48.example": "64:ff9b:1:a00:0:100::",
    "six-to-four.example": "2002:7f00:1::",
    "teredo.example": "2001:0:1::1",
    "mapped.example": "::ffff:10.0.0.1",
}
HOSTS: dict[str, Sequence[str]] = {
    "localhost": ("127.0.0.1", "::1"),
    "images.example": (PUBLIC,),
    "six.example": (PUBLIC_6,),
    **{f"nat64-{number}.example": (one,) for number, one in enumerate(PUBLIC_NAT64)},
    **{name: (address,) for name, address in PRIVATE.items()},
    "home.example": ("127.0.0.1",),
    "home-6.example": ("::1",),
    "zero.example": ("0.0.0.0",),  # noqa: S104 - Linux connects it to itself
    "zero-6.example": ("::",),
    "both.example": ("10.0.0.1", PUBLIC),
    "both-6.example": ("fc00::1", PUBLIC_6),
    "rebind.example": (PUBLIC,),
}
TLS_PORT, PLAIN_PORT, PROXY_PORT, INSIDE_PORT = 443, 80, 3128, 8443
"""All but the last accept connections at every address; the last at 10.0.0.1 only."""

_PRIVATE = (one for one in PRIVATE.values() if "ffff" not in one)
_BOUND = (PUBLIC, PUBLIC_6, *PUBLIC_NAT64, "fe80::1", *_PRIVATE)
_PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 100


@attrs.frozen
class Asked:
    """An accepted connection: its address and port, and whether it carried the key."""

    address: str
    port: int
    key: bool


@attrs.frozen
class Reply:
    """The outcome of a question: the error's name (empty: none), its text, and the connections."""

    error: str
    text: str
    asked: tuple[Asked, ...]

    @property
    def places(self) -> set[tuple[str, int]]:
        return {(one.address, one.port) for one in self.asked}


def ask(folder: Path, questions: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Reply]:
    """Send requests in that network, or skip the test where it cannot be made.

    Args:
        folder: For a hosts file and certificates.
        questions: A base URL and the URL of an image to download, or "" for the credits, with
            `localhost` leading to 10.0.0.1.
    """
    hosts = folder / "hosts"
    hosts.write_text(_hosts(HOSTS))
    authority = trustme.CA()
    names = {*HOSTS, *(one for addresses in HOSTS.values() for one in addresses)}
    chain = authority.issue_cert(*names).private_key_and_cert_chain_pem
    chain.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    proxy = f"http://{PUBLIC}:{PROXY_PORT}"
    names_of_proxies = ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY")
    environ = {**os.environ, "SSL_CERT_FILE": str(folder / "authority.pem")}
    done = subprocess.run(  # noqa: S603
        [*_inside(hosts), sys.executable, "-m", "tests.support.own_internet", str(folder)],
        cwd=Path(__file__).parents[2],
        input=json.dumps(questions),
        env=environ | dict.fromkeys(names_of_proxies, proxy),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {
        question: Reply(error, text, tuple(Asked(*one) for one in asked))
        for question, (error, text, asked) in zip(questions, json.loads(done.stdout), strict=True)
    }


def _inside(hosts: Path) -> list[str]:
    """Return the prefix that runs a command in the network, or skip the test."""
    steps = ["ip link set lo up"]
    for one in _BOUND:
        nodad = " nodad" if ":" in one else ""
        steps.append(f"ip addr add {one}/{128 if nodad else 32} dev lo{nodad}")
    steps += [f"mount --bind '{hosts}' /etc/hosts", 'exec "$@"']
    for unshare in ("unshare -n -m", "unshare -r -n -m"):
        words = [*unshare.split(), "sh", "-e", "-c", "; ".join(steps), "sh"]
        if succeeds(*words, "true"):
            return words
    pytest.skip("no network of its own may be made here")


def _hosts(names: dict[str, Sequence[str]]) -> str:
    return "".join(f"{one} {name}\n" for name, addresses in names.items() for one in addresses)


# inside


class _Listeners:
    """The servers. Each connection is recorded when it is accepted, before a byte is read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(folder / "server.pem")
        # Address, port, the caller's port. Only all three name a connection: Linux gives two
        # connections the same local port when they lead to different ports.
        self._noted: list[tuple[str, int, int]] = []
        self._with_key: set[tuple[str, int, int]] = set()
        self._lock = threading.Condition()
        self._ports = (TLS_PORT, PLAIN_PORT, PROXY_PORT)
        for port in self._ports:
            self._listen(
                socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
            )
        self._listen(socket.create_server(("10.0.0.1", INSIDE_PORT)))

    def asked(self) -> list[tuple[str, int, bool]]:
        """Return the connections since the last call, once all of them are recorded."""
        places = [*(("127.0.0.1", port) for port in self._ports), ("10.0.0.1", INSIDE_PORT)]
        fences = [socket.create_connection(place) for place in places]
        ours = {(*fence.getpeername(), fence.getsockname()[1]) for fence in fences}
        with self._lock:
            assert self._lock.wait_for(lambda: ours <= set(self._noted), timeout=60)
            noted, self._noted = self._noted, []
        for fence in fences:
            fence.close()
        return [(*one[:2], one in self._with_key) for one in noted if one not in ours]

    def _listen(self, listener: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            caller, peer = listener.accept()
            address, port = caller.getsockname()[:2]
            connection = (address.removeprefix("::ffff:"), port, peer[1])
            with self._lock:
                self._noted.append(connection)
                self._lock.notify_all()
            args = (caller, port in {TLS_PORT, INSIDE_PORT}, connection)
            threading.Thread(target=self._serve, args=args, daemon=True).start()

    def _serve(self, caller: socket.socket, tls: bool, connection: tuple[str, int, int]) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(caller)
            if tls:
                caller = stack.enter_context(self._tls.wrap_socket(caller, server_side=True))
            head = b""
            while b"\r\n\r\n" not in head:
                more = caller.recv(65_536)
                if not more:
                    return
                head += more
            if KEY.encode() in head:
                self._with_key.add(connection)
            caller.sendall(self._answer(head.split(b" ")[1].decode()))

    def _answer(self, path: str) -> bytes:
        """Serve an image, or redirect: /go/STATUS/URL; /rebind moves a name before it does."""
        if path.startswith("/go/"):
            _, _, status, place = path.split("/", 3)
            lines = [f"HTTP/1.1 {status} -", f"Location: {unquote(place)}", "Content-Length: 0"]
            return "\r\n".join([*lines, "Connection: close", "", ""]).encode()
        if path == "/rebind":
            moved = HOSTS | {"rebind.example": ("10.0.0.1",)}
            (self._folder / "hosts").write_text(_hosts(moved))
            return self._answer("/go/302/https://rebind.example/a.png")
        body = _PNG if path.startswith("/a.png") else b'{"code":200,"data":7}'
        head = f"HTTP/1.1 200 -\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return head.encode() + body


async def _question(base_url: str, image: str, folder: Path) -> tuple[str, str]:
    retry = RetryPolicy(max_attempts=1, attempt_timeout=5)
    details = CoverDetails(cover_task_id="c", status=CoverStatus.SUCCESS, images=(image,))
    fake = ("198.18.0.0/15",) if base_url == FAKE_IP_API else ()
    async with SunoCoverClient(
        KEY, base_url=base_url, retry=retry, fake_ip_networks=fake
    ) as client:
        try:
            if image:
                await client.download(details, into=folder / "covers")
            else:
                await client.credits()
        except SunoCoverError as error:
            return type(error).__name__, str(error)
    return "", ""


def _replies(folder: Path, questions: list[tuple[str, str]]) -> Iterator[Any]:
    listeners = _Listeners(folder)
    for base_url, image in questions:
        names = HOSTS if image else HOSTS | {"localhost": ("10.0.0.1",)}
        (folder / "hosts").write_text(_hosts(names))
        error, text = asyncio.run(_question(base_url, image, folder))
        yield error, text, listeners.asked()


if __name__ == "__main__":
    replies = list(_replies(Path(sys.argv[1]), json.loads(sys.stdin.read())))
    json.dump(replies, sys.stdout)

"""Reaching a host step by step: names, connections, TLS, proxies; no request is sent."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from yarl import URL

from suno_cover_async.network.certificates import ProxyStatusError
from suno_cover_async.network.reach import addresses_of, connect, handshake
from tests.support.commands import a_free_port
from tests.support.peers import answer, peer
from tests.support.tls import context_of, proxy


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this process trusts."""
    one = trustme.CA(organization_name="Trusted Authority")
    one.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return one


async def test_a_name_has_addresses_or_is_refused() -> None:
    assert "127.0.0.1" in await addresses_of("localhost", 443)
    with pytest.raises(OSError, match=r"."):
        await addresses_of("no-such-name.invalid", 443)
    with pytest.raises(UnicodeError):
        await addresses_of("a" * 70, 443)


async def test_a_port_that_listens_connects_and_another_does_not() -> None:
    async with peer(answer(b"{}")) as host:
        await connect("127.0.0.1", host.port)
        assert b"".join(host.received) == b""
    with pytest.raises(OSError, match=r"."):
        await connect("127.0.0.1", a_free_port())


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_trusted_certificate_tells_its_issuer_and_its_end(
    proxied: bool, authority: trustme.CA
) -> None:
    tls = context_of(authority, "127.0.0.1")
    async with peer(answer(b"{}"), tls=tls) as host, proxy(host.port) as way:
        url = URL(way.url.replace("http://", "http://me:pass@"))
        made = await handshake("127.0.0.1", host.port, url if proxied else None)

        assert made.issuer == "Trusted Authority"
        assert made.version.startswith("TLSv1.")
        assert made.valid_until > datetime.now(UTC)
        assert way.places == [f"127.0.0.1:{host.port}"] * proxied
        assert b"".join(host.received) == b""


async def test_a_certificate_of_another_authority_is_refused() -> None:
    tls = context_of(trustme.CA(), "127.0.0.1")
    async with peer(answer(b"{}"), tls=tls) as host:
        with pytest.raises(ssl.SSLCertVerificationError):
            await handshake("127.0.0.1", host.port, None)


@pytest.mark.parametrize(("status", "number"), [("407 -", 407), ("502 -", 502), ("what", 0)])
async def test_a_proxy_that_refuses_tells_its_status(status: str, number: int) -> None:
    async with proxy(0, status) as way:
        with pytest.raises(ProxyStatusError) as caught:
            await handshake("api.example", 443, URL(way.url))

    assert caught.value.status == number


async def test_what_speaks_no_tls_is_an_error_of_the_system() -> None:
    async def greets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    async with await asyncio.start_server(greets, "127.0.0.1", 0) as server:
        with pytest.raises(ssl.SSLError):
            await handshake("127.0.0.1", server.sockets[0].getsockname()[1], None)

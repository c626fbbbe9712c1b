"""Certificates that cannot be verified, over real TLS."""

import base64
import os
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from suno_cover_async import (
    CertificateError,
    CoverDetails,
    CoverStatus,
    Ledger,
    SunoCoverClient,
    Track,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Sandbox
from tests.support.clients import FREE, connect
from tests.support.peers import Peer, answer, peer
from tests.support.tls import behind_tls, context_of, proxy

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

KEY = "sk-canary-0b5e55ed"


def inspecting() -> trustme.CA:
    return trustme.CA(organization_name="Corporate Inspection")


def assert_told(error: CertificateError) -> None:
    said = str(error)
    assert not error.retryable
    assert "issued by Corporate Inspection" in said
    assert "SSL_CERT_FILE" in said
    assert KEY not in said


def without_the_look_for_the_issuer(host: Peer) -> list[bytes]:
    return [one for one in host.received if one]


async def test_it_is_final_at_once_and_names_the_issuer_and_ssl_cert_file() -> None:
    tls = context_of(inspecting(), "127.0.0.1")
    async with peer(answer(b"{}"), tls=tls) as host, SunoCoverClient(KEY, base_url=host.url) as us:
        for call in (us.credits(), us.submit("song"), us.details("cover")):
            with pytest.raises(CertificateError) as caught:
                await call
            assert_told(caught.value)
            assert not caught.value.possibly_billed

        assert not us.possibly_billed
        assert not without_the_look_for_the_issuer(host)


async def test_a_catalog_ends_and_every_track_is_left_as_it_was(tmp_path: Path) -> None:
    tls = context_of(inspecting(), "127.0.0.1")
    async with peer(answer(b"{}"), tls=tls) as host, Ledger(tmp_path / "covers.db") as ledger:
        # One at a time: asyncio leaves the socket of a cancelled TLS handshake open for 30 s.
        client = SunoCoverClient(KEY, base_url=host.url, concurrency=1)
        tracks = [Track(f"song{number}") for number in range(30)]
        async with client, cover_catalog(client, tracks, ledger=ledger) as run:
            with pytest.raises(CertificateError):
                await anext(aiter(run))

        totals = await ledger.count()
        assert totals[TrackState.WAITING] == len(tracks)


async def test_at_the_image_host_it_is_final_too(tmp_path: Path) -> None:
    tls = context_of(inspecting(), "127.0.0.1")
    async with Sandbox(FREE) as sandbox, peer(answer(b"{}"), tls=tls) as host:
        details = CoverDetails(
            cover_task_id="cover",
            status=CoverStatus.SUCCESS,
            images=(f"{host.url}/a.png",),
            completed_at=datetime.now(UTC),
        )
        async with connect(sandbox) as client:
            with pytest.raises(CertificateError) as caught:
                await client.download(details, tmp_path)

        assert_told(caught.value)
        assert not without_the_look_for_the_issuer(host)


async def test_through_a_proxy_the_issuer_is_named_too_and_nothing_is_sent_past_it(
    tmp_path: Path,
) -> None:
    tls = context_of(inspecting(), "api.example", "images.example")
    async with peer(answer(b"{}"), tls=tls) as host, proxy(host.port) as way:
        url = way.url.replace("http://", "http://me:pass%2Fword@")
        details = CoverDetails(
            cover_task_id="cover",
            status=CoverStatus.SUCCESS,
            images=("https://images.example/a.png",),
            completed_at=datetime.now(UTC),
        )
        async with SunoCoverClient(KEY, base_url="https://api.example", proxy=url) as client:
            with pytest.raises(CertificateError) as of_the_api:
                await client.credits()
            with pytest.raises(CertificateError) as of_an_image:
                await client.download(details, tmp_path)

        for caught in (of_the_api, of_an_image):
            assert_told(caught.value)
            assert "pass" not in str(caught.value)
        assert way.places == ["api.example:443"] * 2 + ["images.example:443"] * 2
        credentials = base64.b64encode(b"me:pass/word").decode()
        assert all(f"Proxy-Authorization: Basic {credentials}\r\n" in one for one in way.asked)
        assert KEY not in "".join(way.asked)
        assert not without_the_look_for_the_issuer(host)


async def test_ssl_cert_file_makes_it_trusted(tmp_path: Path) -> None:
    authority = inspecting()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    tls = context_of(authority, "localhost")
    async with Sandbox(FREE) as sandbox, behind_tls(_port(sandbox), tls) as port:
        environ = {"SUNO_API_KEY": sandbox.api_key, "SUNO_BASE_URL": f"https://localhost:{port}"}
        ends: list[tuple[int | None, bytes]] = []
        for more in ({}, {"SSL_CERT_FILE": str(tmp_path / "authority.pem")}):
            process = await create_subprocess_exec(
                *(sys.executable, "-m", "suno_cover_async", "credits"),
                env={**os.environ, **environ, **more},
                stdout=PIPE,
                stderr=PIPE,
            )
            written, told = await process.communicate()
            ends.append((process.returncode, written if more else told))

    assert ends[0][0] != 0
    assert b"issued by Corporate Inspection" in b" ".join(ends[0][1].split())
    assert ends[1] == (0, b"1000000\n")


def _port(sandbox: Sandbox) -> int:
    return int(sandbox.url.rpartition(":")[2])

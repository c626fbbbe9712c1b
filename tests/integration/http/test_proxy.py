"""Requests and downloads through a proxy, over real sockets."""

import base64
import sys
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import trustme
from yarl import URL

from suno_cover_async import (
    AddressRefusedError,
    CertificateError,
    CoverDetails,
    CoverStatus,
    DownloadError,
    ProxyError,
    RetryPolicy,
    SunoCoverClient,
    TransportError,
)
from suno_cover_async.images.downloader import ImageDownloader
from suno_cover_async.network.proxies import Proxies
from suno_cover_async.sandbox import Sandbox
from tests.support.clients import FAST_POLL, FREE
from tests.support.peers import answer, peer
from tests.support.tls import behind_tls, context_of, proxy, trust

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

API = "https://api.example"
ONCE = RetryPolicy(max_attempts=1)
VARIABLES = ["https_proxy", "all_proxy", "no_proxy", "http_proxy"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    made = trustme.CA()
    trust(made)
    return made


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def port_of(sandbox: Sandbox) -> int:
    return int(sandbox.url.rpartition(":")[2])


def covered(*images: str) -> CoverDetails:
    return CoverDetails(
        cover_task_id="cover",
        music_task_id="song",
        status=CoverStatus.SUCCESS,
        images=images,
        completed_at=datetime.now(UTC),
    )


async def test_a_cover_is_made_and_saved_through_a_proxy_and_the_key_is_for_the_api_alone(
    authority: trustme.CA, tmp_path: Path
) -> None:
    tls = context_of(authority, "api.example", "images.example")
    async with Sandbox(FREE) as sandbox, behind_tls(port_of(sandbox), tls) as port:
        async with (
            proxy(port) as way,
            SunoCoverClient(sandbox.api_key, base_url=API, proxy=way.url, poll=FAST_POLL) as client,
        ):
            details = await client.generate(*sandbox.add_music(1))
            names = [url.replace(sandbox.url, "https://images.example") for url in details.images]
            files = await client.download(covered(*names), tmp_path)

        assert {*way.places} == {"api.example:443", "images.example:443"}
        assert len(files) == 2
        assert sandbox.api_key not in "".join(way.asked)
        assert not any(arrival.key_sent for arrival in sandbox.journal.of("image"))


async def test_the_user_and_the_password_of_a_proxys_url_are_sent_to_it_alone(
    authority: trustme.CA,
) -> None:
    tls = context_of(authority, "api.example")
    async with Sandbox(FREE) as sandbox, behind_tls(port_of(sandbox), tls) as port:
        async with proxy(port) as way:
            url = way.url.replace("http://", "http://me:pass%2Fword@")
            async with SunoCoverClient(sandbox.api_key, base_url=API, proxy=url) as client:
                await client.credits()

        credentials = base64.b64encode(b"me:pass/word").decode()
        assert f"Proxy-Authorization: Basic {credentials}" in way.asked[0]


@pytest.mark.parametrize("own", [True, False], ids=["own", "borrowed"])
async def test_trust_env_takes_the_proxy_of_the_environment_and_never_netrc(
    authority: trustme.CA, own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine api.example login me password from-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    tls = context_of(authority, "api.example")
    async with (
        Sandbox(FREE) as sandbox,
        behind_tls(port_of(sandbox), tls) as port,
        proxy(port) as way,
        aiohttp.ClientSession() as session,
    ):
        monkeypatch.setenv("HTTPS_PROXY", way.url)
        async with SunoCoverClient(
            sandbox.api_key, base_url=API, trust_env=True, session=None if own else session
        ) as client:
            assert await client.credits() > 0

        assert way.places == ["api.example:443"]
        (arrival,) = sandbox.journal.arrivals
        assert arrival.key_sent


async def test_without_trust_env_and_for_loopback_no_proxy_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Sandbox(FREE) as sandbox, proxy(1) as way:
        monkeypatch.setenv("HTTPS_PROXY", way.url)
        monkeypatch.setenv("HTTP_PROXY", way.url)
        for given in ({"proxy": way.url}, {"trust_env": True}):
            async with SunoCoverClient(sandbox.api_key, base_url=sandbox.url, **given) as client:
                await client.credits()

        assert not way.asked


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("407 Proxy Authentication Required", "user name and a password"),
        ("403 Forbidden", "ask who runs it"),
    ],
)
async def test_a_proxy_that_refuses_is_asked_once_and_nothing_is_possibly_billed(
    status: str, words: str, tmp_path: Path
) -> None:
    async with proxy(status=status) as way:
        async with SunoCoverClient("key-of-a-test", base_url=API, proxy=way.url) as client:
            with pytest.raises(ProxyError, match=words) as caught:
                await client.submit("song")
            with pytest.raises(ProxyError, match=words):
                await client.download(covered("https://images.example/a.png"), tmp_path)
            assert not client.possibly_billed

        assert not caught.value.possibly_billed
        assert len(way.asked) == 2


async def test_a_proxy_that_fails_or_is_gone_may_work_later(tmp_path: Path) -> None:
    async with proxy(status="502 Bad Gateway") as way:
        urls = [way.url, "http://127.0.0.1:1"]
        for url in urls:
            async with SunoCoverClient(
                "key-of-a-test", base_url=API, proxy=url, retry=ONCE
            ) as client:
                with pytest.raises(TransportError, match="the proxy") as caught:
                    await client.credits()
                with pytest.raises(DownloadError, match="the proxy") as missed:
                    await client.download(covered("https://images.example/a.png"), tmp_path)
            assert caught.value.retryable
            assert missed.value.retryable


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "[fd00::1]", "2130706433"])
async def test_a_private_address_in_place_of_a_name_is_refused_before_the_proxy_is_asked(
    address: str, tmp_path: Path
) -> None:
    async with proxy(1) as way:
        async with SunoCoverClient("key-of-a-test", base_url=API, proxy=way.url) as client:
            with pytest.raises(AddressRefusedError):
                await client.download(covered(f"https://{address}/a.png"), tmp_path)

        assert not way.asked


async def test_a_redirect_through_a_proxy_to_a_private_address_is_refused(
    authority: trustme.CA, tmp_path: Path
) -> None:
    tls = context_of(authority, "images.example")
    moved = answer(b"", "Location: https://10.0.0.1/a.png", status="302 Found")
    async with peer(moved, tls=tls) as host, proxy(host.port) as way:
        async with SunoCoverClient("key-of-a-test", base_url=API, proxy=way.url) as client:
            with pytest.raises(AddressRefusedError):
                await client.download(covered("https://images.example/a.png"), tmp_path)

        assert way.places == ["images.example:443"]


async def test_a_certificate_behind_a_redirect_to_a_proxied_host_is_not_fetched_past_the_proxy(
    tmp_path: Path,
) -> None:
    resolved: list[object] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.getaddrinfo":
            resolved.append(arguments[0])

    sys.addaudithook(note)
    tls = context_of(trustme.CA(), "images.example")
    moved = answer(b"", "Location: https://images.example/a.png", status="302 Found")
    async with peer(answer(b""), tls=tls) as host, proxy(host.port) as way, peer(moved) as first:
        downloader = ImageDownloader(
            loopback=True, user_agent="test", proxies=Proxies(given=URL(way.url))
        )
        with pytest.raises(CertificateError):
            await downloader.fetch(f"{first.url}/a", tmp_path / "a")
        await downloader.close()

    assert way.places == ["images.example:443"] * 2  # the image, and the issuer
    assert "images.example" not in resolved

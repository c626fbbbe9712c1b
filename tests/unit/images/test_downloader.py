"""One image: where it may come from, what counts as one; saved whole or not at all."""

import asyncio
import logging
from pathlib import Path

import pytest

from suno_cover_async.common.addresses import fake_ip_networks
from suno_cover_async.errors import (
    AddressRefusedError,
    ClientBlockedError,
    ClientUsageError,
    CoverExpiredError,
    DownloadError,
    SunoCoverError,
)
from suno_cover_async.images.downloader import ImageDownloader
from tests.support.breakers import now
from tests.support.image_hosts import AGENT, IMAGES, PNG, downloading, names_in, refused
from tests.support.memory_network import eventually, in_memory, network
from tests.support.peers import Tail, answer, peer, redirect, waits_for_the_end

PROBLEM = b'{"title":"Error","status":403,"error_code":%d,"cloudflare_error":true}'


@pytest.mark.parametrize(("suffix", "body"), IMAGES.items())
@in_memory
async def test_an_image_is_saved_whole_under_the_suffix_of_its_bytes(
    tmp_path: Path, suffix: str, body: bytes
) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a.bin"] = answer(body, "Content-Type: application/octet-stream")

        path = await downloader.fetch(f"{host.url}/a.bin", tmp_path / "v1.0 cover")

        assert path == tmp_path / f"v1.0 cover{suffix}"
        assert path.read_bytes() == body
        assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        ("404 Not Found", b"", DownloadError, True),
        ("410 Gone", b"", DownloadError, True),
        ("403 Forbidden", b"<Code>AccessDenied</Code>", DownloadError, True),
        ("403 Forbidden", b"<RequestId>A10104F</RequestId>", DownloadError, True),
        ("403 Forbidden", b"error code: 1010", ClientBlockedError, False),
        ("403 Forbidden", b" " * 2000 + b"<h1>Error 1010</h1>", ClientBlockedError, False),
        ("403 Forbidden", b"error code: 1015", DownloadError, True),
        ("403 Forbidden", PROBLEM % 1010, ClientBlockedError, False),
        ("403 Forbidden", PROBLEM % 1020, ClientBlockedError, False),
        ("404 Not Found", PROBLEM % 1010, ClientBlockedError, False),
        ("429 Too Many Requests", PROBLEM % 1015, DownloadError, True),
        ("522 Connection timed out", PROBLEM % 522, DownloadError, True),
        ("530 Origin DNS error", b"error code: 1016", DownloadError, True),
        (
            "403 Forbidden",
            b"<title>Attention Required! | Cloudflare</title>",
            ClientBlockedError,
            False,
        ),
        ("200 OK", b"error code: 1010", ClientBlockedError, False),
        ("400 Bad Request", b"", DownloadError, False),
        ("401 Unauthorized", b"", DownloadError, False),
        ("304 Not Modified", b"", DownloadError, False),
        ("408 Request Timeout", b"", DownloadError, True),
        ("425 Too Early", b"", DownloadError, True),
        ("429 Too Many Requests", b"", DownloadError, True),
        ("500 Server Error", PNG, DownloadError, True),
        ("502 Bad Gateway", b"<html>", DownloadError, True),
        ("503 Unavailable", b"", DownloadError, True),
        ("202 Accepted", b"", DownloadError, True),
        ("204 No Content", b"", DownloadError, True),
        ("206 Partial Content", PNG, DownloadError, True),
        ("200 OK", b"", DownloadError, True),
        ("200 OK", b"\x89PNG", DownloadError, False),
        ("200 OK", b"%PDF-1.7 and so on and on", DownloadError, False),
        ("200 OK", b"RIFF\x10\x20\x0a\x00WAVEfmt ", DownloadError, False),
        ("200 OK", b"\x1f\x8b\x08 an image, but compressed", DownloadError, False),
        ("200 OK", b"<!DOCTYPE html><title>Hello</title>", DownloadError, False),
    ],
)
@in_memory
async def test_an_answer_without_an_image_is_named_and_leaves_no_file(
    tmp_path: Path, status: str, body: bytes, kind: type[SunoCoverError], retryable: bool
) -> None:
    async with peer(b"") as host, downloading() as downloader:
        bodiless = status.startswith(("204", "304"))
        host.answers["/a.png?sig=secret"] = (
            f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode()
            if bodiless
            else answer(body, status=status)
        )

        error = await refused(downloader.fetch(f"{host.url}/a.png?sig=secret#x", tmp_path / "a"))

        assert type(error) is kind
        assert error.retryable is retryable
        assert error.http_status == int(status[:3])
        assert f"{host.url}/a.png" in str(error)
        assert "secret" not in str(error)
        assert names_in(tmp_path) == []


@in_memory
async def test_an_html_page_may_be_a_gateways_so_it_is_worth_another_try(tmp_path: Path) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a"] = answer(b"<html>One moment, please</html>", "Content-Type: text/html")

        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert error.retryable
        assert error.http_status == 200


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "410 Gone"])
@in_memory
async def test_a_missing_image_passes_unless_its_cover_is_so_old_that_it_is_gone(
    tmp_path: Path, status: str
) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a"] = answer(b"<Code>NoSuchKey</Code>", status=status)

        passing = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
        gone = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a", gone=True))

    assert isinstance(passing, DownloadError)
    assert passing.is_missing
    assert passing.retryable
    assert "is not there yet" in str(passing)
    assert type(gone) is CoverExpiredError
    assert not gone.retryable


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "503 Unavailable", "200 OK"])
@in_memory
async def test_a_challenge_means_that_the_client_is_blocked_however_old_the_cover_is(
    tmp_path: Path, status: str
) -> None:
    async with peer(b"") as host, downloading() as downloader:
        page = b"<title>Just a moment...</title>"
        host.answers["/a"] = answer(page, "cf-mitigated: challenge", status=status)

        for gone in (False, True):
            error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a", gone=gone))
            assert type(error) is ClientBlockedError


@in_memory
async def test_an_edge_that_limits_the_rate_says_nothing_of_the_image(tmp_path: Path) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a"] = answer(b"error code: 1015", status="403 Forbidden")

        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a", gone=True))

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert not error.is_missing


@in_memory
async def test_an_image_of_the_largest_size_is_accepted(tmp_path: Path) -> None:
    async with peer(b"") as host:
        host.answers["/a"] = answer(PNG)

        async with downloading(max_bytes=len(PNG)) as downloader:
            path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

        assert path.read_bytes() == PNG


@in_memory
async def test_a_body_that_announces_too_much_is_not_read(tmp_path: Path) -> None:
    async with peer(b"") as host:
        host.answers["/a"] = answer(b"", length=10**15)
        host.tail = waits_for_the_end

        async with downloading(max_bytes=10**6) as downloader:
            error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert not error.retryable
        assert "1000000 bytes" in str(error)
        assert names_in(tmp_path) == []


@in_memory
async def test_a_body_of_one_piece_is_cut_at_the_limit_too(tmp_path: Path) -> None:
    async with peer(b"") as host:
        host.answers["/a"] = b"HTTP/1.1 200 OK\r\n\r\n" + PNG

        async with downloading(max_bytes=len(PNG) - 1) as downloader:
            error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert not error.retryable
        assert names_in(tmp_path) == []


async def trickles(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(1)


@pytest.mark.parametrize(("tail", "left"), [(waits_for_the_end, 30), (trickles, 60)])
@in_memory
async def test_a_host_that_is_silent_or_trickles_is_left_in_time(
    tmp_path: Path, tail: Tail, left: int
) -> None:
    async with peer(b"") as host:
        host.answers["/a"] = answer(PNG, length=1_000_000)
        host.tail = tail

        async with downloading(within=60) as downloader:
            error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert error.retryable
        assert "in time" in str(error)
        assert now() == left
        assert names_in(tmp_path) == []
        await asyncio.sleep(5)  # until the host has noticed, too


@in_memory
async def test_closing_twice_is_fine_and_use_after_it_is_a_clear_error(tmp_path: Path) -> None:
    async with peer(b"") as host, downloading() as downloader:
        await downloader.close()
        await downloader.close()

        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert isinstance(error, ClientUsageError)
        assert not host.received


@in_memory
async def test_closing_ends_a_download_under_way(tmp_path: Path) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a"] = answer(PNG, length=10_000)
        host.tail = waits_for_the_end
        fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
        await eventually(lambda: names_in(tmp_path))

        await downloader.close()
        error = await refused(fetching)

        assert isinstance(error, DownloadError)
        assert names_in(tmp_path) == []


@in_memory
async def test_nonsense_limits_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        ImageDownloader(loopback=False, user_agent=AGENT, max_bytes=0)
    for timeout in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            ImageDownloader(loopback=False, user_agent=AGENT, timeout=timeout)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@in_memory
async def test_a_redirect_is_followed(tmp_path: Path, status: int) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/deep/a"] = redirect(status, "../b?token=1")
        host.answers["/b?token=1"] = answer(PNG)

        path = await downloader.fetch(f"{host.url}/deep/a", tmp_path / "a")

        assert path.read_bytes() == PNG
        assert host.paths == ["/deep/a", "/b?token=1"]


@in_memory
async def test_five_redirects_are_followed_and_a_sixth_is_not(tmp_path: Path) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers |= {f"/{n}": redirect(302, f"/{n + 1}") for n in range(6)}
        host.answers["/6"] = answer(PNG)

        await downloader.fetch(f"{host.url}/1", tmp_path / "a")
        host.received.clear()
        error = await refused(downloader.fetch(f"{host.url}/0", tmp_path / "b"))

        assert host.paths == ["/0", "/1", "/2", "/3", "/4", "/5"]
        assert not error.retryable
        assert "5 redirects" in str(error)


@pytest.mark.parametrize(
    "location",
    [
        "http://example.com/a.png",
        "http://10.0.0.1/a.png",
        "https://10.0.0.1/a.png",
        "https://169.254.169.254/latest/meta-data",
        "https://[64:ff9b::7f00:1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://0.0.0.0/",
        "//10.0.0.1/",
        "ftp://127.0.0.1/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https://someone:secret@example.com/a.png",
        "http://127.0.0.1:999999/",
        "http://[::1/",
        "https://[]@",
        "",
    ],
)
@in_memory
async def test_a_redirect_to_where_none_may_go_is_refused(tmp_path: Path, location: str) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a"] = redirect(302, location)

        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert not error.retryable
        assert "secret" not in str(error)
        assert len(host.received) == 1
        assert names_in(tmp_path) == []


@pytest.mark.parametrize("loopback", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.png",
        "//example.com/a.png",
        "http://example.com/a.png",
        "http://93.184.216.34/a.png",
        "ftp://example.com/a.png",
        "ws://localhost/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https:///a.png",
        "https://",
        "https://someone:secret@example.com/a.png",
        "https://:secret@example.com/a.png",
        "https://example.com:99999/a.png",
        "https://[::1/a.png",
        "https://[]@",
        f"https://{'a' * 64}.example/a.png",
        "https://10.1.2.3/a.png",
        "https://[fe80::1]/a.png",
        "https://[fe80::1%25lo]/a.png",
    ],
)
@in_memory
async def test_only_https_urls_of_public_addresses_are_requested(
    tmp_path: Path, url: str, loopback: bool
) -> None:
    async with downloading(loopback=loopback) as downloader:
        error = await refused(downloader.fetch(url, tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert "secret" not in str(error)


PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.1"


@in_memory
async def test_no_name_leads_to_an_address_that_is_not_public(tmp_path: Path) -> None:
    network().names |= {"images.example": [PRIVATE], "both.example": [PRIVATE, PUBLIC]}
    async with downloading(loopback=False) as downloader:
        private = await refused(downloader.fetch("https://images.example/a", tmp_path / "a"))
        await refused(downloader.fetch("https://both.example/a", tmp_path / "a"))
        plain = await refused(downloader.fetch("http://127.0.0.1/a", tmp_path / "a"))

    assert "only https is fetched" in str(plain)
    assert {*network().connected} == {(PUBLIC, 443)}
    assert not private.retryable
    assert f"leads to {PRIVATE}, which is no public address" in str(private)


@in_memory
async def test_an_image_comes_from_the_public_address_of_its_host(tmp_path: Path) -> None:
    network().names["images.example"] = [PUBLIC]
    async with (
        peer(answer(PNG)) as host,
        downloading(loopback=False) as downloader,
        await asyncio.start_server(host.serve, PUBLIC, 443),
    ):
        path = await downloader.fetch("https://images.example/a?token=1#top", tmp_path / "a")

    assert path.read_bytes() == PNG
    assert host.paths == ["/a?token=1"]
    assert f"User-Agent: {AGENT}\r\n".encode() in host.received[0]


@in_memory
async def test_a_host_that_is_not_there_is_worth_another_try(tmp_path: Path) -> None:
    async with downloading() as downloader:
        error = await refused(downloader.fetch("http://127.0.0.1:9/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert "cannot be reached (Connection refused)" in str(error)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.0 200 OK\r\n\r\n" + PNG[:-1],
        answer(PNG[:6], length=len(PNG)),
        answer(PNG, length=len(PNG) + 1),
    ],
    ids=["nothing", "without a length", "few bytes", "all but one byte"],
)
@in_memory
async def test_an_image_that_is_cut_off_is_worth_another_try(tmp_path: Path, raw: bytes) -> None:
    async with peer(raw) as host, downloading() as downloader:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("closing", [False, True])
@in_memory
async def test_a_cancelled_download_is_cancelled_and_leaves_no_file(
    tmp_path: Path, closing: bool
) -> None:
    async with peer(answer(PNG, length=10_000)) as host, downloading() as downloader:
        host.tail = waits_for_the_end
        fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
        await eventually(lambda: names_in(tmp_path))
        fetching.cancel()
        if closing:
            await downloader.close()
        await asyncio.wait([fetching])

    assert fetching.cancelled()
    assert names_in(tmp_path) == []


@in_memory
async def test_closing_while_a_name_is_resolved_is_an_error_and_no_cancellation(
    tmp_path: Path,
) -> None:
    network().lookup_seconds = 10
    async with downloading() as downloader:
        fetching = asyncio.create_task(downloader.fetch("https://a.example/a", tmp_path / "a"))
        await asyncio.sleep(1)
        await downloader.close()

        assert isinstance(await refused(fetching), ClientUsageError)


FAKE = "198.18.0.7"
FAKE_NETWORKS = fake_ip_networks("fake_ip", ["198.18.0.0/15"])


@in_memory
async def test_a_name_may_lead_into_a_fake_ip_network_that_the_user_named(tmp_path: Path) -> None:
    network().names["images.example"] = [FAKE]
    async with (
        peer(answer(PNG)) as host,
        downloading(loopback=False, fake_ip=FAKE_NETWORKS) as downloader,
        await asyncio.start_server(host.serve, FAKE, 443),
    ):
        path = await downloader.fetch("https://images.example/a", tmp_path / "a")

    assert path.read_bytes() == PNG


@pytest.mark.parametrize(
    "literal",
    [FAKE, f"{FAKE}.", "3323068423", "0xc6120007", "0306.022.0.7", f"[::ffff:{FAKE}]", "198.18.7"],
)
@in_memory
async def test_no_literal_address_is_allowed_by_it_first_or_redirected_to(
    tmp_path: Path, literal: str
) -> None:
    network().names["images.example"] = [FAKE]
    async with (
        peer(redirect(302, f"https://{literal}/b")) as host,
        downloading(loopback=False, fake_ip=FAKE_NETWORKS) as downloader,
        await asyncio.start_server(host.serve, FAKE, 443),
    ):
        first = await refused(downloader.fetch(f"https://{literal}/a", tmp_path / "a"))
        assert network().connected == []
        then = await refused(downloader.fetch("https://images.example/a", tmp_path / "a"))

    assert type(first) is type(then) is AddressRefusedError
    assert len(network().connected) == 1


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1"])
@in_memory
async def test_a_name_leads_nowhere_else_with_it(tmp_path: Path, address: str) -> None:
    network().names["images.example"] = [address]
    async with downloading(loopback=False, fake_ip=FAKE_NETWORKS) as downloader:
        error = await refused(downloader.fetch("https://images.example/a", tmp_path / "a"))

    assert type(error) is AddressRefusedError
    assert network().connected == []
    assert "fake_ip" not in str(error)


@in_memory
async def test_the_refusal_of_a_fake_ip_address_names_the_option(tmp_path: Path) -> None:
    network().names["images.example"] = ["198.19.255.255"]
    async with downloading(loopback=False) as downloader:
        error = await refused(downloader.fetch("https://images.example/a", tmp_path / "a"))

    assert type(error) is AddressRefusedError
    assert 'fake_ip_networks=("198.18.0.0/15",)' in str(error)
    assert "--fake-ip 198.18.0.0/15" in str(error)


TARGETS = [
    "/a%2Fb%2f?sig=a%2Bb%2f+c",
    "/a~b%7E;c=1,d!e$f&g'(h)*",
    "/a?",
    "/?",
    "//a//b",
    "/a/../b/./c",
    "/a?b=/../c//d?e",
    "/a%zz%",
    "/a?X-Amz-Signature=%41%61&x=a%20b",
    "/a[1]?b[]=@:",
]


@pytest.mark.parametrize("target", TARGETS)
@in_memory
async def test_a_url_goes_out_byte_for_byte_and_a_redirect_too(tmp_path: Path, target: str) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers[target] = answer(PNG)
        host.answers["/whole"] = redirect(302, f"{host.url}{target}")
        host.answers["/host"] = redirect(302, f"//127.0.0.1:{host.port}{target}")

        await downloader.fetch(f"{host.url}{target}#fragment", tmp_path / "a")
        await downloader.fetch(f"{host.url}/whole", tmp_path / "b")
        await downloader.fetch(f"{host.url}/host", tmp_path / "c")

    lines = [request.partition(b"\r\n")[0] for request in host.received]
    assert lines[::2][:2] + lines[4:] == [f"GET {target} HTTP/1.1".encode()] * 3


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ('/a b"<>\\^`{|}', "/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("/bücher%2F?q=é", "/b%C3%BCcher%2F?q=%C3%A9"),
        ("?q", "/?q"),
    ],
)
@in_memory
async def test_only_what_may_not_stand_in_a_url_is_encoded(
    tmp_path: Path, target: str, sent: str
) -> None:
    async with peer(answer(PNG)) as host, downloading() as downloader:
        await downloader.fetch(f"{host.url}{target}", tmp_path / "a")

    assert host.received[0].startswith(f"GET {sent} HTTP/1.1\r\n".encode())


@in_memory
async def test_the_answer_for_a_url_with_a_secret_is_named_without_it(tmp_path: Path) -> None:
    async with peer(answer(b"", status="404 Not Found")) as host, downloading() as downloader:
        error = await refused(downloader.fetch(f"{host.url}/a?sig=secret", tmp_path / "a"))

    assert f"{host.url}/a is not there yet" in str(error)


@in_memory
async def test_each_image_is_a_line_of_the_log_without_the_query_of_its_url(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "suno_cover_async")
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a?sig=secret"] = redirect(302, "/b?sig=secret")
        host.answers["/b?sig=secret"] = answer(PNG)
        host.answers["/c?sig=secret"] = answer(b"", status="404 Not Found")

        await downloader.fetch(f"{host.url}/a?sig=secret", tmp_path / "a")
        await refused(downloader.fetch(f"{host.url}/c?sig=secret", tmp_path / "c"))

    moved, saved, missing = caplog.messages
    assert moved == f"GET {host.url}/a: 302, 0 ms, to {host.url}/b"
    assert saved == f"GET {host.url}/b: 200, 0 ms, {len(PNG):,} bytes"
    assert missing.startswith(f"GET {host.url}/c: 404, 0 ms: image {host.url}/c is not there yet")
    assert "secret" not in caplog.text

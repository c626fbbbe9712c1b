"""Redirects, and addresses that lead home: who was asked what, by what raw servers received.

What an address is, and each rule of a single download, is `test_downloader.py`'s.
"""

import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yarl import URL

from suno_cover_async import (
    ClientUsageError,
    CoverDetails,
    CoverStatus,
    DownloadError,
    Ledger,
    RetryPolicy,
    SunoCoverClient,
    SunoCoverError,
    TrackState,
    UnexpectedResponseError,
    cover_catalog,
)
from suno_cover_async.common.addresses import is_loopback
from suno_cover_async.common.validation import base_url
from suno_cover_async.sandbox import Reply, Sandbox
from tests.support.clients import FAST_POLL, FAST_RETRY, FREE, NO_LIMIT, connect
from tests.support.peers import Peer, answer, peer, redirect
from tests.support.redirects import STATUSES
from tests.support.runs import read_now

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

KEY = "sk-canary-0b5e55ed"

MUSIC = "a-song-to-be-covered"

COVER = "its-cover-task"

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 100

Act = Callable[[SunoCoverClient], Awaitable[object]]

CALLS: dict[str, Act] = {
    "submit": lambda client: client.submit(MUSIC),
    "generate": lambda client: client.generate(MUSIC),
    "details": lambda client: client.details(COVER),
    "wait": lambda client: client.wait(COVER),
    "credits": lambda client: client.credits(),
    "music": lambda client: client.music_details(MUSIC),
}

PLACES: dict[str, str | None] = {  # {home} redirects, {port} is somebody else's
    "the same host": "{home}/elsewhere",
    "a path": "/elsewhere",
    "beside it": "elsewhere",
    "a query": "?once=more",
    "a fragment": "#here",
    "another host": "http://127.0.0.1:{port}/elsewhere",
    "another host by name": "http://localhost:{port}/elsewhere",
    "another host, with a fragment": "http://127.0.0.1:{port}/elsewhere#here",
    "no scheme": "//127.0.0.1:{port}/elsewhere",
    "a user": "http://someone:secret@127.0.0.1:{port}/elsewhere",
    "nowhere": None,
    "nothing": "",
    "nonsense": "http://[::1",
    "another scheme": "javascript:alert(1)",
    "no text": "\xff\xfe\x80",
}


def client_of(home: Peer, **options: Any) -> SunoCoverClient:
    defaults: dict[str, Any] = {"rate_limit": NO_LIMIT, "poll": FAST_POLL, "retry": FAST_RETRY}
    return SunoCoverClient(KEY, **({"base_url": home.url} | defaults | options))


def of_place(place: str, home: Peer, other: Peer) -> str | None:
    location = PLACES[place]
    return location and location.format(home=home.url, port=other.port)


async def refused(act: Awaitable[object], home: Peer, status: int) -> UnexpectedResponseError:
    """The error of an act that was redirected: it says what to do, and nothing went further."""
    with pytest.raises(UnexpectedResponseError, match="check the base URL") as caught:
        await act
    assert caught.value.http_status == status
    assert not caught.value.retryable
    assert KEY not in repr(vars(caught.value)) + str(caught.value)
    assert len(home.received) == 1
    assert home.received[0].count(KEY.encode()) == 1
    return caught.value


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", STATUSES)
async def test_no_call_of_the_api_follows_a_redirect(
    status: int, call: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with peer() as home, peer() as other:
        cookie = "Set-Cookie: session=1; Path=/"
        home.otherwise = redirect(status, of_place(place, home, other), cookie)
        async with client_of(home) as client:
            await refused(CALLS[call](client), home, status)
            doubted = client.possibly_billed

        assert not other.received
        assert doubted == ((MUSIC,) if call in {"submit", "generate"} else ())
        assert KEY not in caplog.text


def trusted() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's side of TLS that trust each other."""
    authority = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    return theirs, ours


TLS = trusted()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", STATUSES)
async def test_no_redirect_brings_a_call_from_https_to_http(status: int, call: str) -> None:
    theirs, ours = TLS
    async with (
        peer(tls=theirs) as home,
        peer() as plain,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ours)) as session,
        client_of(home, session=session) as client,
    ):
        home.otherwise = redirect(status, f"{plain.url}/elsewhere")

        await refused(CALLS[call](client), home, status)

        assert not plain.received


def a_proxy_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, folder: Path, proxy: str, *hosts: str
) -> None:
    """Set what `trust_env` trusts: proxies, and passwords for hosts."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
        monkeypatch.setenv(name.upper(), proxy)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    netrc = folder / "netrc"
    netrc.write_text("".join(f"machine {host} login me password netrc-pass\n" for host in hosts))
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", STATUSES)
async def test_a_borrowed_session_follows_no_redirect_whatever_it_was_made_with(
    status: int, call: str
) -> None:
    async with peer() as home, peer() as other:
        home.otherwise = redirect(status, f"http://localhost:{other.port}/elsewhere")
        jar = aiohttp.CookieJar(unsafe=True)
        jar.update_cookies({"theirs": "cookie"}, response_url=URL(other.url))
        defaults = {"Authorization": "Bearer theirs", "Referer": "https://their.example/"}
        async with (
            aiohttp.ClientSession(
                base_url=other.url,
                headers=defaults,
                cookie_jar=jar,
                raise_for_status=True,
                requote_redirect_url=False,
            ) as session,
            client_of(home, session=session) as client,
        ):
            await refused(CALLS[call](client), home, status)

        assert not other.received
        assert b"Bearer theirs" not in home.received[0]


async def test_the_environments_proxies_and_passwords_mean_nothing_to_our_own_sessions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with peer(answer(b'{"code":200,"data":7}')) as home, peer() as proxy:
        home.answers["/a.png"] = answer(PNG)
        a_proxy_in_the_environment(monkeypatch, tmp_path, proxy.url, "127.0.0.1")
        async with client_of(home) as client:
            balance = await client.credits()
            await client.download(details_of(f"{home.url}/a.png"), into=tmp_path)

        asked, image = home.received
        assert balance == 7
        assert f"Authorization: Bearer {KEY}\r\n".encode() in asked
        assert b"Authorization" not in image
        assert not proxy.received


async def test_a_password_of_a_borrowed_session_never_takes_the_keys_place_unsaid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with peer(answer(b'{"code":200,"data":7}')) as home, peer() as proxy:
        a_proxy_in_the_environment(monkeypatch, tmp_path, proxy.url, "127.0.0.1")
        async with (
            aiohttp.ClientSession(trust_env=True) as session,
            client_of(home, session=session) as client,
        ):
            with pytest.raises(ClientUsageError, match="credentials of its own"):
                await client.credits()

        assert not home.received
        assert not proxy.received


async def test_the_proxy_of_a_borrowed_session_is_not_shown_the_key_on_its_way_to_https(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    theirs, ours = TLS
    async with (
        peer(tls=theirs) as home,
        peer(answer(status="502 -")) as proxy,
    ):
        a_proxy_in_the_environment(monkeypatch, tmp_path, proxy.url)
        connector = aiohttp.TCPConnector(ssl=ours)
        async with (
            aiohttp.ClientSession(trust_env=True, connector=connector) as session,
            client_of(home, session=session, retry=RetryPolicy(max_attempts=1)) as client,
        ):
            with pytest.raises(SunoCoverError):
                await client.credits()

        (asked,) = proxy.received
        assert asked.startswith(b"CONNECT 127.0.0.1:")
        assert KEY.encode() not in asked


@pytest.mark.parametrize("status", STATUSES)
async def test_a_submit_that_was_executed_and_then_redirected_is_on_record_and_billed_once(
    status: int,
) -> None:
    async with (
        Sandbox(FREE) as sandbox,
        Sandbox(FREE, api_key="other-key") as other,
        connect(sandbox) as client,
    ):
        (music,) = sandbox.add_music(1)
        away = {"Location": f"{other.url}/api/v1/suno/cover/generate"}
        sandbox.script("submit", Reply(status=status, headers=away, executes=True))

        with pytest.raises(UnexpectedResponseError):
            await client.submit(music)
        doubted = client.possibly_billed
        details = await client.generate(music)

        assert doubted == (music,)
        assert client.possibly_billed == ()
        assert [bill.cover_task_id for bill in sandbox.journal.bills] == [details.cover_task_id]
        assert len(sandbox.journal.of("submit")) == 2
        assert not other.journal.arrivals


async def cover_all(sandbox: Sandbox, songs: list[str], ledger: Ledger) -> None:
    async with (
        connect(sandbox, concurrency=1) as client,
        cover_catalog(client, songs, ledger=ledger) as outcomes,
    ):
        async for _ in outcomes:
            pass


@pytest.mark.parametrize("status", STATUSES)
async def test_a_catalog_that_is_redirected_stops_and_the_next_run_finds_what_was_billed(
    status: int, tmp_path: Path
) -> None:
    async with Sandbox(FREE) as sandbox:
        songs = sandbox.add_music(6)
        away = Reply(status=status, headers={"Location": "https://a.example/"}, executes=True)
        sandbox.script("submit", away)
        async with Ledger(tmp_path / "covers.db") as ledger:
            with pytest.raises(UnexpectedResponseError, match="check the base URL"):
                await cover_all(sandbox, songs, ledger)
            billed = [bill.music_task_id for bill in sandbox.journal.bills]
            doubted = [entry.music_task_id for entry in read_now(ledger, TrackState.SUBMITTING)]
            await cover_all(sandbox, songs, ledger)
            totals = await ledger.totals()

        assert doubted == billed
        assert totals[TrackState.COVERED] + totals[TrackState.SAVED] == 6
        assert sorted(bill.music_task_id for bill in sandbox.journal.bills) == sorted(songs)


@pytest.mark.parametrize("status", STATUSES)
async def test_a_redirect_in_the_apis_own_words_means_what_they_say(status: int) -> None:
    said = json.dumps({"code": 200, "data": {"taskId": COVER}}).encode()
    async with (
        peer(answer(said, "Location: /x", status=f"{status} -")) as home,
        client_of(home) as client,
    ):
        task = await client.submit(MUSIC)

        assert task.cover_task_id == COVER
        assert len(home.received) == 1


def details_of(*images: str) -> CoverDetails:
    return CoverDetails(
        cover_task_id=COVER, music_task_id=MUSIC, status=CoverStatus.SUCCESS, images=images
    )


FOLLOWED = {  # and where the second request arrives
    "the same host": ("home", "/elsewhere"),
    "a path": ("home", "/elsewhere"),
    "beside it": ("home", "/s/elsewhere"),
    "a query": ("home", "/s/a.png?once=more"),
    "another host": ("other", "/elsewhere"),
    "another host by name": ("other", "/elsewhere"),
    "another host, with a fragment": ("other", "/elsewhere"),
    "no scheme": ("other", "/elsewhere"),
    "no text": ("home", "/s/%FF%FE%80"),
}

HEADERS = {b"host", b"accept", b"accept-encoding", b"user-agent"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", STATUSES)
async def test_an_image_is_followed_by_hand_and_nothing_of_ours_goes_with_it(
    status: int, place: str, tmp_path: Path
) -> None:
    async with peer(answer(PNG)) as home, peer(answer(PNG)) as other, client_of(home) as client:
        location = of_place(place, home, other)
        home.answers["/s/a.png"] = redirect(status, location, "Set-Cookie: session=1; Path=/")
        fetching = client.download(details_of(f"{home.url}/s/a.png"), into=tmp_path)

        if place in FOLLOWED:
            (file,) = await fetching
            assert file.read_bytes() == PNG
            who, path = FOLLOWED[place]
            assert {"home": home, "other": other}[who].paths[-1] == path
            assert len(home.received) + len(other.received) == 2
        else:
            with pytest.raises(DownloadError) as caught:
                await fetching
            assert not caught.value.retryable
            assert "secret" not in str(caught.value)
            assert set(home.paths) == {"/s/a.png"}
            assert not other.received
            assert not list(tmp_path.iterdir())
        for request in home.received + other.received:
            lines = request.split(b"\r\n")[1:-2]
            assert {line.partition(b":")[0].lower() for line in lines} == HEADERS
            assert KEY.encode() not in request
            assert b"suno-cover-async/" in request


BASE_URLS = [
    *("http://localhost.", "http://localhost.example", "http://foo.localhost"),
    *("http://127.0.0.1.evil.example", "http://127.0.0.1%2eevil.example", "http://127.1"),
    *("http://localhost@evil.example", "http://localhost%00.evil.example", "http://0x7f.1"),
    *("http://2130706433", "http://017700000001", "http://0.0.0.0", "http://[::]"),
    *("http://[::ffff:10.0.0.1]", "http://[::ffff:0.0.0.0]", "http://[fe80::1]"),
    *("http://[64:ff9b::7f00:1]", "http://[2002:7f00:1::]", "http://169.254.169.254"),
    *("http://127.0.0.1\\@evil.example", "http://evil.example\\@127.0.0.1"),
    *("https://user:word@evil.example", "https://user@evil.example", "http://user@127.0.0.1"),
    *("http://127.0.0.1:80@evil.example", "http://evil.example#@127.0.0.1"),
    *("http://evil.example?@127.0.0.1", "http://127.0.0.1,evil.example"),
    *("http://127.0.0.1;evil.example", "http:\\\\127.0.0.1", "http:///127.0.0.1", "http:127.0.0.1"),
    *("http://\uff11\uff12\uff17.0.0.1", "http://127\u30020.0.1", "http://loc\u00adalhost"),
    *("http://[::1]evil.example", "http://[::1].evil.example", "http://[::1]:80.evil.example"),
    *("http://evil.example[::1]", "http://evil.example:[::1]", "https://[::1]evil.example"),
    *("http://[::1]\\.evil", "http://[localhost]", "http://[127.0.0.1]", "http://[::1"),
    *("ws://127.0.0.1", "file://127.0.0.1", "javascript://127.0.0.1/%0a", "http+unix://127.0.0.1"),
]


@pytest.mark.parametrize("url", BASE_URLS)
def test_no_spelling_of_a_base_url_sends_the_key_in_the_clear_or_elsewhere(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        SunoCoverClient(KEY, base_url=url)


pieces = st.sampled_from(
    [
        *("127.0.0.1", "localhost", "::1", "::ffff:7f00:1", "evil.example", "user", "80", "0"),
        *("%25lo", "%2e", "\uff11", "\u3002", "\u00ad", *"@:#?/\\[]%.;&=,\t "),
    ]
)


@settings(derandomize=True, max_examples=500)
@given(st.sampled_from(["http", "https"]), st.lists(pieces, min_size=1, max_size=7).map("".join))
@example("http", "[::1]evil.example")
def test_what_is_checked_of_a_base_url_is_what_is_asked(scheme: str, authority: str) -> None:
    try:
        checked = base_url("base_url", f"{scheme}://{authority}")
    except ValueError:
        return

    asked = URL(f"{checked}/api/v1/x", encoded=True)

    assert asked.scheme == scheme
    assert asked.user is asked.password is None
    assert asked.host
    assert scheme == "https" or is_loopback(asked.host)

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
from suno_cover_async.sandbox import Reply, Sandbox, Scenario
from tests.support import own_internet
from tests.support.clients import FAST_POLL, FAST_RETRY, NO_LIMIT, connect
from tests.support.peers import Peer, answer, peer, redirect
from tests.support.runs import read_now
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

KEY = "sk-canary-0b5e55ed"
MUSIC = "a-song-to-be-covered"
COVER = "its-cover-task"
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 100
FREE = Scenario(rate_limit=None, polls=1)

STATUSES = [301, 302, 303, 307, 308]

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


# calls of the API


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


# a submit that was redirected


@pytest.mark.parametrize("status", STATUSES)
async def test_a_submit_that_was_executed_and_then_redirected_is_on_record_and_billed_once(
    status: int,
) -> None:
    async with (
        Sandbox(FREE) as sandbox,
        Sandbox(FREE, api_key="other") as other,
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


# images


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


# where the key may go


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
def test_no_way_of_writing_a_base_url_sends_the_key_in_the_clear_or_astray(url: str) -> None:
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


# callbacks


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "[::]", "127.1", "2130706433", "localhost.", "127.0.0.1@10.0.0.1"],  # noqa: S104
)
async def test_the_sandbox_calls_no_address_but_this_machines_own(host: str) -> None:
    async with Sandbox(FREE) as sandbox, peer(answer()) as listening:
        url = f"http://{host}:{listening.port}/callback"
        body = json.dumps({"taskId": sandbox.add_music(1)[0], "callBackUrl": url})
        headers = {"Authorization": f"Bearer {sandbox.api_key}", "User-Agent": "test"}
        submit = f"{sandbox.url}/api/v1/suno/cover/generate"
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(submit, data=body) as response,
        ):
            task = (await response.json())["data"]["taskId"]
        async with connect(sandbox) as client:
            await client.wait(task)
        await until(lambda: sandbox.journal.callbacks)

        assert all(delivery.skipped for delivery in sandbox.journal.callbacks)
        assert not listening.received


@pytest.mark.parametrize("status", STATUSES)
async def test_the_sandbox_follows_no_redirect_of_a_callback(status: int) -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, polls=1, callback_pause=0)) as sandbox,
        peer() as away,
    ):
        async with peer(redirect(status, f"{away.url}/callback")) as listening:
            async with connect(sandbox, callback_url=listening.url) as client:
                await client.generate(*sandbox.add_music(1))
            await until(lambda: len(sandbox.journal.callbacks) == 4)

        assert [delivery.status for delivery in sandbox.journal.callbacks] == [status] * 4
        assert not away.received


# addresses that lead home, in a network of their own


INTERNET, LOOPBACK = "https://api.example", "http://127.0.0.1"
NOBODY = [
    *(f"https://{name}/a.png" for name in own_internet.PRIVATE),
    *("https://10.0.0.1/a.png", "https://169.254.169.254/a.png", "https://100.64.0.1/a.png"),
    *("https://[fe80::1%25lo]/a.png", "https://[fe80::1%lo]/a.png", "https://[fe80::1]/a.png"),
    *(
        "https://[64:ff9b::7f00:1]/a.png",
        "https://[2002:7f00:1::]/a.png",
        "https://[fc00::1]/a.png",
    ),
    *("https://[::ffff:10.0.0.1]/a.png", "https://[::ffff:a00:1]/a.png", "https://167772161/a.png"),
    *(
        "https://0xa.1/a.png",
        "https://012.0.0.1/a.png",
        "https://10.1/a.png",
        "https://10.0.0.1./a.png",
    ),
    *("https://\uff11\uff10.0.0.1/a.png", "https://10\u30020\u30020\u30021/a.png"),
    *(
        "https://%31%30.0.0.1/a.png",
        "HTTPS://PRIVATE.EXAMPLE/a.png",
        "https://private.example./a.png",
    ),
    *(
        "https://10.0.0.1:8443/a.png",
        "https://both.example:8443/a.png",
        "https://10.0.0.1:80/a.png",
    ),
    *(
        "https://0.0.0.0/a.png",
        "https://[::]/a.png",
        "https://0/a.png",
        "https://zero.example/a.png",
    ),
    *("https://zero-6.example/a.png", "https://[::ffff:0.0.0.0]/a.png", "http://0.0.0.0/a.png"),
    *("http://10.0.0.1/a.png", "http://private.example/a.png", "http://images.example/a.png"),
    *("http://[::]/a.png", "http://zero.example/a.png"),
]
AT_HOME = [
    *("https://127.0.0.1/a.png", "https://localhost/a.png", "https://LocalHost./a.png"),
    *("https://home.example/a.png", "https://home-6.example/a.png", "https://[::1]/a.png"),
    *("https://[::ffff:127.0.0.1]/a.png", "https://127.1/a.png", "https://0x7f.1/a.png"),
    *("https://2130706433/a.png", "https://017700000001/a.png", "https://127.8.9.1/a.png"),
    *("https://\uff4cocalhost/a.png", "https://\uff11\uff12\uff17.0.0.1/a.png"),
    *("http://127.0.0.1/a.png", "http://localhost/a.png", "http://[::1]/a.png"),
    *("http://127.1/a.png", "http://localhost./a.png", "http://home.example/a.png"),
]
SAVED = {  # and where from
    "https://images.example/a.png": {(own_internet.PUBLIC, 443)},
    "https://six.example/a.png": {(own_internet.PUBLIC_6, 443)},
    "https://both.example/a.png": {(own_internet.PUBLIC, 443)},
    "https://both-6.example/a.png": {(own_internet.PUBLIC_6, 443)},
    "https://images.example/go/307///six.example/a.png": {
        (own_internet.PUBLIC, 443),
        (own_internet.PUBLIC_6, 443),
    },
}
SAVED_AT_HOME = {
    "http://127.0.0.1/a.png": {("127.0.0.1", 80)},
    "http://[::1]/a.png": {("::1", 80)},
    "http://[::ffff:127.0.0.1]/a.png": {("127.0.0.1", 80)},
    "https://home.example/a.png": {("127.0.0.1", 443)},
    "https://[::1]/a.png": {("::1", 443)},
}
REDIRECTED = [
    f"https://images.example/go/{status}/{place}"
    for status in STATUSES
    for place in (
        *("https://private.example/a.png", "//10.0.0.1/a.png", "https://127.0.0.1/a.png"),
        *("http://images.example/a.png", "http://127.0.0.1/a.png", "https://zero.example/a.png"),
        *("https://both.example:8443/a.png", "https://[64:ff9b::7f00:1]/a.png"),
    )
]
REBOUND = "https://images.example/rebind"
MOVED_LOCALHOST = ("http://localhost", "")
QUESTIONS = [
    *((INTERNET, url) for url in (*SAVED, *NOBODY, *AT_HOME, *REDIRECTED, REBOUND)),
    *((LOOPBACK, url) for url in (*SAVED, *SAVED_AT_HOME, *NOBODY)),
    MOVED_LOCALHOST,
]


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], own_internet.Reply]:
    """All questions, asked once in a network of their own."""
    answered = own_internet.ask(tmp_path_factory.mktemp("internet"), QUESTIONS)

    def reply(base_url: str, url: str) -> own_internet.Reply:
        found = answered[base_url, url]
        assert not any(one.key for one in found.asked)
        assert not any(one.port == own_internet.PROXY_PORT for one in found.asked)
        return found

    return reply


Replies = Callable[[str, str], own_internet.Reply]


@pytest.mark.parametrize("url", SAVED)
@pytest.mark.parametrize("base", [INTERNET, LOOPBACK])
def test_an_image_comes_from_the_public_addresses_of_its_host_alone(
    base: str, url: str, replies: Replies
) -> None:
    reply = replies(base, url)

    assert reply.error == ""
    assert reply.places == SAVED[url]


@pytest.mark.parametrize("url", [*NOBODY, *AT_HOME])
def test_nobody_is_connected_to_at_an_address_that_is_not_public(
    url: str, replies: Replies
) -> None:
    reply = replies(INTERNET, url)

    assert reply.error == "DownloadError"
    assert not reply.asked


@pytest.mark.parametrize("url", NOBODY)
def test_an_api_on_loopback_opens_no_other_address_of_this_machine(
    url: str, replies: Replies
) -> None:
    reply = replies(LOOPBACK, url)

    assert reply.error == "DownloadError"
    assert not reply.asked


@pytest.mark.parametrize("url", SAVED_AT_HOME)
def test_an_api_on_loopback_may_have_its_images_there(url: str, replies: Replies) -> None:
    reply = replies(LOOPBACK, url)

    assert reply.error == ""
    assert reply.places == SAVED_AT_HOME[url]


@pytest.mark.parametrize("url", REDIRECTED)
def test_a_redirect_leads_nobody_home_and_no_image_from_https_to_http(
    url: str, replies: Replies
) -> None:
    reply = replies(INTERNET, url)

    assert reply.error == "DownloadError"
    assert reply.places == {(own_internet.PUBLIC, 443)}


def test_a_name_that_moves_home_between_two_requests_gains_nothing(replies: Replies) -> None:
    assert replies(INTERNET, REBOUND).places == {(own_internet.PUBLIC, 443)}


def test_a_localhost_that_leads_elsewhere_is_sent_no_key_in_the_clear(replies: Replies) -> None:
    reply = replies(*MOVED_LOCALHOST)

    assert reply.error == "TransportError"
    assert not reply.asked

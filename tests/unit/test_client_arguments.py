"""The arguments of the client and of its verbs: refused by name before anything is sent."""

import copy
import pickle
import traceback
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from suno_cover_async import (
    HOSTS,
    KIE,
    CoverDetails,
    CoverStatus,
    SunoCoverClient,
)
from tests.support.callback_requests import make

KEYED: dict[str, Any] = {"api_key": "key-of-a-test"}

ODD_IDS = ["", " ", "a b", "a\n", "a\x00", "ä", "x" * 129, "https://suno.com/song/1", 5, None, b"a"]


@pytest.mark.parametrize("odd", ODD_IDS)
async def test_an_odd_id_is_refused_before_anything_is_sent(odd: Any) -> None:
    async with SunoCoverClient("key-of-a-test", base_url="http://127.0.0.1:1") as client:
        for verb in (
            client.submit,
            client.generate,
            client.music_details,
            client.wait_for_music,
            client.settled,
        ):
            with pytest.raises((ValueError, TypeError), match="music_task_id"):
                await verb(odd)
        for say in (client.is_possibly_billed, client.mark_possibly_billed):
            with pytest.raises((ValueError, TypeError), match="music_task_id"):
                say(odd)
        for poll in (client.wait, client.details):
            with pytest.raises((ValueError, TypeError), match="task"):
                await poll(odd)
        with pytest.raises((ValueError, TypeError), match="task"):
            client.watch(odd)


@pytest.mark.parametrize("key", ["", " ", "se cret", "secret\n", "secret\x00", "sécret"])
def test_an_odd_key_is_refused_and_never_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        SunoCoverClient(key)

    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    ours = shown.split("suno_cover_async/client.py")[-1]
    assert not key.strip() or key not in ours
    assert not key.strip() or key not in str(caught.value)


def test_a_missing_key_says_where_it_is_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUNO_API_KEY", raising=False)

    with pytest.raises(ValueError, match="SUNO_API_KEY"):
        SunoCoverClient()


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNO_API_KEY", "from-the-environment")

    SunoCoverClient()


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "http://10.0.0.1",
        "ftp://api.example.com",
        "api.example.com",
        "https://",
        "https://user:word@api.example.com",
        "https://api.example.com?x=1",
        "https://api.example.com#x",
        "https://api.example.com?",
        "https://api.example.com#",
        "https://api.example.com:99999",
        "https://api example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
    ],
)
def test_a_base_url_that_would_leak_the_key_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        SunoCoverClient("key-of-a-test", base_url=url)


@pytest.mark.parametrize(
    "url", ["https://p.example/suno/", "http://127.0.0.1:1", "http://localhost", "http://[::1]:8"]
)
def test_https_anywhere_and_http_on_loopback_are_fine(url: str) -> None:
    SunoCoverClient("key-of-a-test", base_url=url)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("concurrency", 0),
        ("concurrency", 1.5),
        ("concurrency", "9"),
        ("callback_url", "ftp://x"),
        ("callback_url", "x"),
    ],
)
def test_nonsense_is_refused_by_the_name_of_its_argument(argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=argument):
        SunoCoverClient(**(KEYED | {argument: value}))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("api_key", 5),
        ("api_key", b"key"),
        ("host", "suno"),
        ("host", 5),
        ("base_url", ""),
        ("base_url", 5),
        ("callback_url", ""),
        ("rate_limit", 20),
        ("rate_limit", None),
        ("poll_rate_limit", 3),
        ("poll", 5),
        ("poll", None),
        ("retry", 3),
        ("session", "x"),
        ("session", aiohttp.ClientSession),
    ],
)
def test_a_wrong_kind_of_argument_is_refused_at_once_and_by_name(argument: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=argument):
        SunoCoverClient(**(KEYED | {argument: value}))


@pytest.mark.parametrize("timeout", ["5", 10**400, 0, -1, float("nan"), float("inf")])
async def test_a_nonsense_timeout_is_refused(timeout: Any) -> None:
    async with SunoCoverClient("key-of-a-test") as client:
        with pytest.raises((ValueError, TypeError), match="timeout"):
            await client.wait("task", timeout=timeout)
        with pytest.raises((ValueError, TypeError), match="timeout"):
            await client.wait_for_music("song", timeout=timeout)


@pytest.mark.parametrize("receiver", [5, "https://me.example", object()])
def test_a_receiver_of_another_kind_is_refused(receiver: Any) -> None:
    with pytest.raises(TypeError, match="receiver must be a CallbackReceiver, not"):
        SunoCoverClient("key-of-a-test", receiver=receiver)


def test_a_submit_has_one_callback_url() -> None:
    with pytest.raises(ValueError, match="callback_url or receiver, not both"):
        SunoCoverClient("key-of-a-test", receiver=make(), callback_url="https://me.example")


def test_a_client_is_not_pickled_nor_copied() -> None:
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds an API key"):
            duplicate(SunoCoverClient("key-of-a-test"))


def test_an_account_is_one_key_at_one_host_at_any_address() -> None:
    client = SunoCoverClient("key-of-a-test", base_url="https://proxy.example/suno/", concurrency=7)

    assert (client.base_url, client.concurrency) == ("https://proxy.example/suno", 7)
    assert client.account == SunoCoverClient("key-of-a-test").account
    assert client.account != SunoCoverClient("key-of-a-test", host=KIE).account
    assert client.account != SunoCoverClient("another-key").account
    assert SunoCoverClient("key-of-a-test", host=KIE).base_url == KIE.base_url


COVER = CoverDetails(
    cover_task_id="c1", status=CoverStatus.SUCCESS, images=("https://i.example/1",)
)


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"details": "c1"}, TypeError, "details must be a CoverDetails"),
        ({"details": attrs.evolve(COVER, images=())}, ValueError, "c1 has no images"),
        ({"into": "a\0b"}, ValueError, "into must be a path"),
        ({"into": 5}, TypeError, "int"),
        ({"name": 5}, TypeError, "name must be a str"),
    ],
)
async def test_a_download_of_nonsense_is_refused_by_name(
    arguments: dict[str, Any], error: type[Exception], reason: str, tmp_path: Path
) -> None:
    valid: dict[str, Any] = {"details": COVER, "into": tmp_path}
    async with SunoCoverClient("key-of-a-test") as client:
        with pytest.raises(error, match=reason):
            await client.download(**(valid | arguments))


@pytest.mark.parametrize("networks", [["127.0.0.0/8"], ["0.0.0.0/0"], ["169.254.0.0/16"], ["x"]])
def test_a_fake_ip_network_is_checked_by_name(networks: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^fake_ip_networks: "):
        SunoCoverClient("key-of-a-test", fake_ip_networks=networks)


def test_fake_ip_networks_are_no_single_text() -> None:
    with pytest.raises(TypeError, match="fake_ip_networks must be a sequence"):
        SunoCoverClient("key-of-a-test", fake_ip_networks="198.18.0.0/15")


@pytest.mark.parametrize("name", ["kie", "sunoapi", "apibox", "KIE"])
def test_a_host_may_be_given_by_its_name(name: str) -> None:
    named, given = (
        SunoCoverClient("key-of-a-test", host=name),
        SunoCoverClient("key-of-a-test", host=HOSTS[name.lower()]),
    )

    assert (named.base_url, named.account) == (given.base_url, given.account)


def test_an_unknown_name_of_a_host_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(ValueError, match="sunoapi, kie, apibox, not 'suno'"):
        SunoCoverClient("key-of-a-test", host="suno")


def test_the_base_url_is_read_from_the_environment_unless_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUNO_BASE_URL", "http://127.0.0.1:8480/")

    assert SunoCoverClient("key-of-a-test").base_url == "http://127.0.0.1:8480"
    assert SunoCoverClient("key-of-a-test", host=KIE).base_url == "http://127.0.0.1:8480"
    assert (
        SunoCoverClient("key-of-a-test", base_url="https://a.example").base_url
        == "https://a.example"
    )


def test_an_empty_base_url_in_the_environment_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUNO_BASE_URL", "")

    assert SunoCoverClient("key-of-a-test", host=KIE).base_url == KIE.base_url


@pytest.mark.parametrize("url", ["http://a.example", "a.example", " ", "https://a.example/?b"])
def test_an_invalid_base_url_in_the_environment_is_an_error_that_names_the_variable(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_BASE_URL", url)

    with pytest.raises(ValueError, match="SUNO_BASE_URL must"):
        SunoCoverClient("key-of-a-test")


async def test_a_session_that_does_not_decompress_answers_is_refused() -> None:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        with pytest.raises(ValueError, match="session must be made without auto_decompress=False"):
            SunoCoverClient("key-of-a-test", session=session)


@pytest.mark.parametrize("proxy", ["", "ftp://proxy.example", "socks5://proxy.example:1080"])
def test_a_proxy_is_checked_by_name(proxy: str) -> None:
    with pytest.raises(ValueError, match=r"^proxy is "):
        SunoCoverClient("key-of-a-test", proxy=proxy)

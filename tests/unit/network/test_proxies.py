"""Which proxy a request goes through, by arguments and by the environment."""

from typing import Any

import pytest
from yarl import URL

from suno_cover_async.network.proxies import Proxies, proxies, refusal

API, PROXY = URL("https://api.example/x"), "http://proxy.example:3128"
VARIABLES = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_arguments_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)

    assert proxies(None, trust_env=False) == Proxies()
    assert proxies(None, trust_env=False).none


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("value", [PROXY, PROXY.removeprefix("http://")])
def test_the_environment_names_a_proxy_as_it_does_for_curl(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    assert proxies(None, trust_env=True).of(API) == URL(PROXY)


def test_https_goes_before_all_and_a_given_proxy_before_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://https.example:1")
    monkeypatch.setenv("ALL_PROXY", "http://all.example:1")

    assert proxies(None, trust_env=True).of(API) == URL("http://https.example:1")
    assert proxies(PROXY, trust_env=True).of(API) == URL(PROXY)


def test_http_proxy_is_for_plain_http_which_is_never_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", PROXY)

    assert proxies(None, trust_env=True).none


@pytest.mark.parametrize("hosts", ["api.example", ".example", "a.b, api.example", "*"])
def test_hosts_in_no_proxy_are_reached_directly(
    hosts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", hosts)

    found = proxies(None, trust_env=True)

    assert found.of(API) is None
    assert (found.of(URL("https://elsewhere.test")) is None) == (hosts == "*")
    assert proxies(PROXY, trust_env=True).of(API) == URL(PROXY)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://localhost/", "https://[::1]/", "https://localhost./"]
)
def test_loopback_is_never_reached_through_a_proxy(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)

    assert proxies(PROXY, trust_env=False).of(URL(url)) is None
    assert proxies(None, trust_env=True).of(URL(url)) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "http://",
        "ftp://secret@proxy.example",
        "http://secret@proxy.example/path",
        "http://secret@proxy.example?a",
        "http://secret@[::1",
        "http://[]@secret",
        "http://secret:x@proxy.example:99999",
    ],
)
def test_what_is_no_proxy_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match="proxy is no URL") as caught:
        proxies(value, trust_env=False)

    assert "secret" not in str(caught.value)


def test_a_socks_proxy_is_refused_by_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="proxy is a SOCKS proxy, which is not supported"):
        proxies("socks5://proxy.example:1080", trust_env=False)

    monkeypatch.setenv("ALL_PROXY", "socks5h://proxy.example:1080")
    with pytest.raises(ValueError, match="ALL_PROXY is a SOCKS proxy"):
        proxies(None, trust_env=True)


@pytest.mark.parametrize(("proxy", "trust_env"), [(5, False), (b"http://x", False), (None, "yes")])
def test_a_wrong_kind_of_argument_is_refused(proxy: Any, trust_env: Any) -> None:
    with pytest.raises(TypeError, match=r"proxy must be a str|trust_env must be True or False"):
        proxies(proxy, trust_env=trust_env)


def test_no_repr_shows_a_password() -> None:
    assert "secret" not in repr(proxies("http://user:secret@proxy.example:1", trust_env=False))


@pytest.mark.parametrize(
    ("status", "words"), [(407, "user name and a password"), (403, "ask who runs it")]
)
def test_a_refusal_that_will_not_pass_says_what_to_do(status: int, words: str) -> None:
    said = refusal(status, "api.example")

    assert said is not None
    assert words in said
    assert "api.example" in said


@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503, 504])
def test_other_answers_of_a_proxy_pass(status: int) -> None:
    assert refusal(status, "api.example") is None


@pytest.mark.parametrize("who", ["me:p%E2%82%ACss", "me:p\u20acss", "m\u0416:pass", "m%3Ae:pass"])
def test_credentials_that_cannot_be_sent_to_a_proxy_are_refused_and_not_shown(who: str) -> None:
    with pytest.raises(ValueError, match=r"^proxy has a .*user name") as caught:
        proxies(f"http://{who}@proxy.example:1", trust_env=False)

    assert "ss@" not in str(caught.value)
    assert "\u20ac" not in str(caught.value)


@pytest.mark.parametrize("who", ["me", "me:", "me:p%C3%A9ss", "me:a:b", ":pass"])
def test_other_credentials_are_taken(who: str) -> None:
    assert proxies(f"http://{who}@proxy.example:1", trust_env=False).of(API) is not None

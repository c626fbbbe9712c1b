"""URLs of images: which may be requested, and how they are shown."""

import pytest
from yarl import URL

from suno_cover_async.errors import DownloadError
from suno_cover_async.images.urls import checked, parsed, shown


@pytest.mark.parametrize(
    "url",
    [
        "https://images.example/a.png",
        "https://images.example:8443/a%2Fb.png?sig=a%2Bb",
        "https://93.184.216.34/a.png",
        "https://[2606:4700::1111]/a.png",
        "https://bücher.example/a.png",
        "https://10.0.0.1/a.png",  # refused at connect, as is every name that leads there
    ],
)
@pytest.mark.parametrize("loopback", [True, False])
def test_https_may_be_requested(url: str, loopback: bool) -> None:
    place = parsed(url)

    assert place is not None
    assert checked(place, loopback=loopback) == place


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/a.png", "http://[::1]/a.png"])
def test_plain_http_may_be_requested_on_loopback_when_the_api_is_there(url: str) -> None:
    assert checked(parsed(url), loopback=True) == URL(url)
    with pytest.raises(DownloadError, match="only https"):
        checked(parsed(url), loopback=False)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "it names no https host"),
        ("a.png", "it names no https host"),
        ("data:image/png;base64,AAAA", "data: names no https host"),
        ("file:///etc/passwd", "file: names no https host"),
        ("https:///a.png", "https: names no https host"),
        ("http://example.com/a.png", "only https"),
        ("http://93.184.216.34/a.png", "only https"),
        ("ftp://example.com/a.png", "only https"),
        ("https://someone:secret@example.com/a.png", "holds a user name"),
        ("https://:secret@example.com/a.png", "holds a user name"),
    ],
)
def test_what_may_not_be_requested_is_refused_by_its_reason(url: str, said: str) -> None:
    with pytest.raises(DownloadError, match=said) as caught:
        checked(parsed(url), loopback=True)

    assert not caught.value.retryable
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com:99999/a.png",
        "https://[::1/a.png",
        "https://[]@",
        f"https://{'a' * 254}/a.png",
        "https://" + "\ufdfa" * 250,  # 4,500 characters in its normal form
    ],
)
def test_what_is_no_url_is_none(url: str) -> None:
    assert parsed(url) is None
    with pytest.raises(DownloadError, match="names no https host"):
        checked(None, loopback=True)


def test_a_host_name_of_253_characters_is_a_name() -> None:
    name = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert len(name) == 253
    assert parsed(f"https://{name}/") is not None


def test_a_fragment_is_not_sent() -> None:
    assert str(checked(parsed("https://a.example/b#c"), loopback=False)) == "https://a.example/b"


def test_no_secret_of_a_url_is_shown() -> None:
    url = URL("https://someone:password@a.example:8443/b%0A.png?token=secret#fragment")

    assert shown(url) == "https://a.example:8443/b%0A.png"

"""URLs of images: which may be requested, and how they are shown."""

import pytest
from yarl import URL

from suno_cover_async.errors import DownloadError
from suno_cover_async.images.urls import checked, joined, parsed, shown


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


@pytest.mark.parametrize(
    "host",
    [
        *("127%2e0%2e0%2e1", "0x7f%2e1", "127.0.0.1%00.a.example", "a%2eexample", "127.0.0.1.."),
        *("127.0.0.1 a", "a.example:443 HTTP", "a..example", "*", "a'b", "a;b"),
    ],
)
def test_a_host_that_a_proxy_may_read_otherwise_is_refused(host: str) -> None:
    with pytest.raises(DownloadError, match="names no https host"):
        checked(parsed(f"https://{host}/a.png"), loopback=False)


@pytest.mark.parametrize("host", ["a_b.example", "a.example.", "x--y.example", "[2606:4700::1]"])
def test_other_hosts_are_taken(host: str) -> None:
    assert checked(parsed(f"https://{host}/a.png"), loopback=False)


def test_a_fragment_is_not_sent() -> None:
    assert str(checked(parsed("https://a.example/b#c"), loopback=False)) == "https://a.example/b"


def test_no_secret_of_a_url_is_shown() -> None:
    url = URL("https://someone:password@a.example:8443/b%0A.png?token=secret#fragment")

    assert shown(url) == "https://a.example:8443/b%0A.png"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://b.example/x/../y?", "https://b.example/x/../y?"),
        ("//b.example/x", "https://b.example/x"),
        ("/x/../y%2f?q=%7E", "https://a.example:8443/x/../y%2f?q=%7E"),
        ("x", "https://a.example:8443/d/e/x"),
        ("./x", "https://a.example:8443/d/e/x"),
        ("../x", "https://a.example:8443/d/x"),
        ("../../x?a=../b", "https://a.example:8443/x?a=../b"),
        ("../../../../x", "https://a.example:8443/x"),
        ("x/../y", "https://a.example:8443/d/e/x/../y"),
        ("?r", "https://a.example:8443/d/e/f?r"),
        ("#g", "https://a.example:8443/d/e/f#g"),
        ("x:y", "x:y"),
        ("1x:y", "https://a.example:8443/d/e/1x:y"),
    ],
)
def test_a_redirect_is_joined_and_nothing_that_it_wrote_is_changed(location: str, url: str) -> None:
    base = parsed("https://a.example:8443/d/e/f?q=/r/s")
    assert base is not None

    assert joined(base, location) == url


@pytest.mark.parametrize("path", ["/a//", "/a/b/"])
def test_a_step_up_leaves_one_segment_even_an_empty_one(path: str) -> None:
    base = parsed(f"https://a.example{path}")
    assert base is not None

    assert joined(base, "../x") == "https://a.example/a/x"


def test_bytes_of_a_header_that_are_not_utf_8_are_encoded_as_they_came() -> None:
    assert str(parsed("https://a.example/b\udce9")) == "https://a.example/b%E9"
    assert parsed("https://a.example/b\ud800") is None


def test_no_secret_in_the_query_of_a_parsed_url_is_shown() -> None:
    place = parsed("https://a.example/b?sig=secret")
    assert place is not None

    assert shown(place) == "https://a.example/b"

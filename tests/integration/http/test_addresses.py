"""Private addresses, in a network of their own: nothing connects to them."""

from collections.abc import Callable

import pytest

from tests.support import own_internet
from tests.support.redirects import SAVED, STATUSES

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

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

REFUSED = {"AddressRefusedError", "DownloadError"}
"""By its address, or by its scheme."""

REBOUND = "https://images.example/rebind"

MOVED_LOCALHOST = ("http://localhost", "")

NAT64 = {
    f"https://nat64-{number}.example/a.png": {(address, 443)}
    for number, address in enumerate(own_internet.PUBLIC_NAT64)
} | {f"https://[{address}]/a.png": {(address, 443)} for address in own_internet.PUBLIC_NAT64}

FAKE_IP = own_internet.FAKE_IP_API
FAKE = "https://benchmark.example/a.png"
NEVER_FAKE = [
    *("https://198.18.0.1/a.png", "https://3323068417/a.png", "https://198.18.1/a.png"),
    *("https://[::ffff:198.18.0.1]/a.png", "https://0xc6.18.0.1./a.png"),
    *("https://private.example/a.png", "https://home.example/a.png", "http://benchmark.example/"),
]
FAKE_REDIRECT = "https://images.example/go/302/https://198.18.0.1/a.png"

QUESTIONS = [
    *((INTERNET, url) for url in NAT64),
    *((FAKE_IP, url) for url in (FAKE, *NEVER_FAKE, FAKE_REDIRECT)),
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
def test_no_connection_is_made_to_an_address_that_is_not_public(url: str, replies: Replies) -> None:
    reply = replies(INTERNET, url)

    assert reply.error in REFUSED
    assert not reply.asked


@pytest.mark.parametrize("url", NOBODY)
def test_an_api_on_loopback_opens_no_other_address_of_this_machine(
    url: str, replies: Replies
) -> None:
    reply = replies(LOOPBACK, url)

    assert reply.error in REFUSED
    assert not reply.asked


@pytest.mark.parametrize("url", SAVED_AT_HOME)
def test_an_api_on_loopback_may_have_its_images_there(url: str, replies: Replies) -> None:
    reply = replies(LOOPBACK, url)

    assert reply.error == ""
    assert reply.places == SAVED_AT_HOME[url]


@pytest.mark.parametrize("url", REDIRECTED)
def test_no_redirect_of_an_image_leads_to_a_private_address_or_to_http(
    url: str, replies: Replies
) -> None:
    reply = replies(INTERNET, url)

    assert reply.error in REFUSED
    assert reply.places == {(own_internet.PUBLIC, 443)}


def test_a_name_that_resolves_to_loopback_later_is_not_connected_to(replies: Replies) -> None:
    assert replies(INTERNET, REBOUND).places == {(own_internet.PUBLIC, 443)}


def test_a_localhost_that_resolves_elsewhere_is_sent_no_key_in_the_clear(replies: Replies) -> None:
    reply = replies(*MOVED_LOCALHOST)

    assert reply.error == "TransportError"
    assert not reply.asked


@pytest.mark.parametrize("url", NAT64)
def test_an_image_comes_from_a_public_address_behind_nat64(url: str, replies: Replies) -> None:
    reply = replies(INTERNET, url)

    assert reply.error == ""
    assert reply.places == NAT64[url]


def test_a_name_leads_into_a_fake_ip_network_that_was_named(replies: Replies) -> None:
    reply = replies(FAKE_IP, FAKE)

    assert reply.error == ""
    assert reply.places == {("198.18.0.1", 443)}


@pytest.mark.parametrize("url", NEVER_FAKE)
def test_no_literal_and_no_other_network_is_connected_to_by_it(url: str, replies: Replies) -> None:
    reply = replies(FAKE_IP, url)

    assert reply.error in REFUSED
    assert not reply.asked


def test_no_redirect_to_a_literal_is_followed_by_it(replies: Replies) -> None:
    reply = replies(FAKE_IP, FAKE_REDIRECT)

    assert reply.error == "AddressRefusedError"
    assert reply.places == {(own_internet.PUBLIC, 443)}


def test_without_it_the_refusal_names_the_option(replies: Replies) -> None:
    assert "--fake-ip 198.18.0.0/15" in replies(INTERNET, FAKE).text

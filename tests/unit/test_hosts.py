"""The hosts of the API, and what their documentation says of each."""

from typing import Any

import pytest

from suno_cover_async.hosts import APIBOX, HOSTS, KIE, SUNOAPI, Host

URL = "https://api.example.com"


@pytest.mark.parametrize(
    ("host", "name", "base_url", "credits_path"),
    [
        (SUNOAPI, "sunoapi", "https://api.sunoapi.org", "/api/v1/generate/credit"),
        (KIE, "kie", "https://api.kie.ai", "/api/v1/chat/credit"),
        (APIBOX, "apibox", "https://api.api.box", "/api/v1/generate/credit"),
    ],
)
def test_each_host_is_called_where_its_documentation_says(
    host: Host, name: str, base_url: str, credits_path: str
) -> None:
    assert HOSTS[name] is host
    assert (host.name, host.base_url, host.credits_path) == (name, base_url, credits_path)


def test_outside_covers_429_means_no_credits_on_all_hosts_but_kie() -> None:
    assert {name for name, host in HOSTS.items() if not host.credits_429} == {"kie"}


def test_every_host_says_too_often_by_429_and_two_of_them_by_405_and_430_too() -> None:
    codes = {name: host.rate_codes for name, host in HOSTS.items()}

    assert codes == {"sunoapi": {405, 429, 430}, "kie": {429}, "apibox": {405, 429, 430}}


@pytest.mark.parametrize(
    ("fields", "error", "named"),
    [
        ({"base_url": "http://api.example.com"}, ValueError, "base_url must be https"),
        ({"base_url": "api.example.com"}, ValueError, "base_url must be a URL"),
        ({"base_url": f"{URL}/api/v1"}, ValueError, f"base_url .*; give {URL}"),
        ({"base_url": f"{URL}?a=b"}, ValueError, "base_url must have no query"),
        ({"base_url": None}, TypeError, "base_url must be a str"),
        ({"credits_path": "api/v1/credit"}, ValueError, "credits_path must be a path"),
        ({"credits_path": "//elsewhere.example/"}, ValueError, "credits_path must be a path"),
        ({"credits_path": ""}, ValueError, "credits_path must be a path"),
        ({"credits_path": 5}, TypeError, "credits_path must be a str"),
    ],
)
def test_a_host_that_could_get_the_key_astray_is_refused(
    fields: dict[str, Any], error: type[Exception], named: str
) -> None:
    valid: dict[str, Any] = {"name": "mine", "base_url": URL}
    with pytest.raises(error, match=named):
        Host(**(valid | fields))


@pytest.mark.parametrize("base_url", [URL, "http://127.0.0.1:8480", "http://[::1]:8480"])
def test_a_host_of_ones_own_has_the_documented_defaults(base_url: str) -> None:
    host = Host(name="mine", base_url=base_url)

    assert host.credits_path == SUNOAPI.credits_path
    assert host.rate_codes == {429}
    assert not host.credits_429

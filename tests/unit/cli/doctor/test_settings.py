"""What the doctor says of settings that need no key."""

import pytest
from yarl import URL

from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.doctor.settings import bypass_shown, check_settings, proxy_shown


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://me:secret@proxy.example:3128/", "http://proxy.example:3128"),
        ("http://me:secret@[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
        ("https://secret@10.0.0.1:8443", "https://10.0.0.1:8443"),
    ],
)
def test_a_proxy_is_shown_as_it_is_written_but_without_its_password(proxy: str, shown: str) -> None:
    assert proxy_shown(URL(proxy)) == shown


@pytest.mark.parametrize(
    "entries",
    [
        *("*", "localhost", ".example.com", "*.example.com", "x.example.:8080", "bücher.example"),
        *("10.0.0.1", "10.0.0.0/8", "192.168.*", "::1", "[::1]", "fd00::/8", "a_b, c-d.e"),
    ],
)
def test_hosts_networks_and_patterns_of_no_proxy_are_shown(entries: str) -> None:
    assert bypass_shown(f" {entries} ,,") == entries


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://me:secret@x", "set (1 entry is"),
        ("a,http://me:secret@x,b", "a, b (1 entry is"),
        ("me:secret@x", "set (1 entry is"),
        ("http://me:secret", "set (1 entry is"),
        ("fe80::1%secret", "set (1 entry is"),
        ("the secret", "set (1 entry is"),
        ("me:1,secret@x, a", "a (1 entry is"),
        ("a,http://me:1,secret,2@x,b", "a, b (1 entry is"),
        ("http://me:1,\nsecret,2@x,http://me:secret@y,b", "b (1 entry is"),
        ("me@x,secret@y,http://z", "set (2 entries are"),
    ],
)
def test_of_no_proxy_nothing_is_shown_that_may_be_of_a_password(value: str, shown: str) -> None:
    told = bypass_shown(value)

    assert told.startswith(shown)
    assert "not shown: " in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("connection", "told"),
    [
        (Connection(), "yes (default)"),
        (Connection(shared_limit=False), "no (--no-shared-limit)"),
        (Connection(base_url="http://127.0.0.1:8001"), "no: the API is on this machine"),
        (Connection(base_url="nonsense"), "yes (default)"),
    ],
)
def test_the_limit_is_told_as_commands_use_it(
    connection: Connection, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUNO_BASE_URL", raising=False)

    findings = check_settings(connection).findings

    assert [one.message for one in findings if one.check == "shared limit"] == [told]

"""What the doctor says of settings that need no key."""

import pytest
from yarl import URL

from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.doctor.settings import check_settings, proxy_shown


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

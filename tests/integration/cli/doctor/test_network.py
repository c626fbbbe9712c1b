"""The way to the API, up to the first fault; one request."""

import pytest

from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.doctor.finding import State
from suno_cover_async.cli.doctor.network import check_api, check_network, is_fault, way_to
from suno_cover_async.sandbox import Sandbox
from tests.support.commands import KEY, a_free_port


async def test_a_host_that_answers_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    async with Sandbox(api_key=KEY) as sandbox:
        connection = Connection(base_url=sandbox.url)
        found = await check_network(way_to(connection, sandbox.url))
        assert sandbox.journal.arrivals == []
        asked = await check_api(connection, sandbox.url)

        assert [one.state for one in (*found, *asked)] == [State.OK] * 6
        assert len(sandbox.journal.arrivals) == 1


async def test_what_depends_on_a_fault_is_not_checked() -> None:
    url = f"http://127.0.0.1:{a_free_port()}"

    found = await check_network(way_to(Connection(), url))

    assert [one.state for one in found] == [State.OK, State.FAULT, State.NOT_CHECKED]
    assert is_fault(found)


def test_a_password_of_a_proxy_is_in_no_repr() -> None:
    way = way_to(Connection(proxy="http://me:pass-word@127.0.0.1:1"), "https://api.example")

    assert "pass-word" not in repr(way)
    assert way.first == ("127.0.0.1", 1)

"""How far this machine's clock is ahead of a host's."""

import time
from email.utils import formatdate

import pytest

from suno_cover_async.http.server_clock import seconds_ahead, session_that_notes_dates
from suno_cover_async.sandbox import Reply, Sandbox
from tests.support.clients import connect


@pytest.mark.parametrize("off", [0, 45, -86_400])
def test_the_difference_to_a_date_is_told(off: int) -> None:
    now = 1_790_000_000.0

    assert seconds_ahead(formatdate(now - off, usegmt=True), now) == off


@pytest.mark.parametrize(
    "date",
    [None, "", "yesterday", "Sat, 99 Nov 2026 01:00:00 GMT", "1" * 100_000, "\x1b[31m", "0"],
)
def test_what_is_no_date_tells_nothing(date: str | None) -> None:
    assert seconds_ahead(date, 0.0) is None


async def test_a_client_that_borrows_the_session_notes_the_date_of_its_answer() -> None:
    noted = list[float | None]()
    async with Sandbox() as sandbox:
        date = formatdate(time.time() - 3600, usegmt=True)
        body = b'{"code": 200, "msg": "success", "data": 5}'
        headers = {"Date": date, "Content-Type": "application/json"}
        sandbox.script("credits", Reply(body=body, headers=headers))
        async with (
            session_that_notes_dates(sandbox.url, noted.append) as session,
            connect(sandbox, session=session) as client,
        ):
            assert await client.credits() == 5

        [ahead] = noted
        assert ahead is not None
        assert 3599 < ahead < 3700
        assert len(sandbox.journal.of("credits")) == 1


async def test_over_plain_http_no_other_machine_is_called() -> None:
    async with session_that_notes_dates("http://localhost:1", lambda _: None) as session:
        factory = session.connector._socket_factory  # type: ignore[union-attr]
        with pytest.raises(PermissionError):
            factory((2, 1, 6, "", ("192.0.2.1", 80)))

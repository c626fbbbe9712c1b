"""What an answer means that is not the API's: no page takes long to read, however hostile."""

import pytest

from suno_cover_async.hosts import BaseUrl
from suno_cover_async.http.exchange import MOST_BYTES
from suno_cover_async.protocol.gateway import Answer, error_of
from tests.support.cpu_time import effort

PIECES = (
    *("error ", "error code:", "error<span>", "<span ", "error" + " " * 300, "<title", "<title>"),
    *("<title " + "x" * 199, "<title>" + "x" * 400, 'cf-error-code"' + "y" * 81, "</span>", " "),
    *("error" + "<span>" * 7 + " ", "error<span" + "a" * 80, "\n", "\x85", "<", "{", "\ufffd", "x"),
)


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("status", [200, 403, 404])
@pytest.mark.parametrize("piece", PIECES)
def test_no_page_takes_long_however_hostile(piece: str, status: int, *, proven: bool) -> None:
    """As a measure serves a walk over its characters, however fast or busy the machine."""
    hostile = (piece * MOST_BYTES)[:MOST_BYTES]
    answer, base_url = Answer(status, hostile), BaseUrl("https://a.example", proven)

    read = effort(lambda: error_of(answer, None, base_url))
    walked = effort(lambda: sum(character.isspace() for character in hostile))

    assert read < 3 * walked
    assert len(str(error_of(answer, None, base_url))) < 600

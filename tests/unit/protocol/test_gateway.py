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

    assert read < 30 * walked
    assert len(str(error_of(answer, None, base_url))) < 600


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<html><head><title>502 Bad Gateway</title></head><h1>nginx</h1>", "502 Bad Gateway"),
        ("<html><title lang=en>\n Just a moment \n</title>", "Just a moment"),
        ("<h1>Bad gateway</h1>\n<hr>nginx", "Bad gateway"),
        ("upstream  connect error\nand so on", "upstream connect error"),
        ("", "an empty body"),
    ],
)
def test_a_page_is_quoted_by_its_title_or_its_first_line(page: str, said: str) -> None:
    error = error_of(Answer(status=502, text=page), None, BaseUrl("https://api.example"))

    assert said in str(error)
    assert "<" not in str(error)
    assert "nginx" not in str(error)

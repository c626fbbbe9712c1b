"""HTML for notebooks: text of others stays text."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.common import html


class Tags(HTMLParser):
    """Collects the tags of a page, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - html's own name
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


@given(words=st.text())
def test_no_text_becomes_markup(words: str) -> None:
    page = Tags(html.table([(words, html.text(words)), ("link", html.link(words, words))]))

    assert set(page.tags) <= {"table", "tr", "th", "td", "a"}


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>1</script>",
        "java\tscript:alert(1)",
        " https://a.example/1.png",
        "https://a.example/\n1.png",
        "https://[",
        "https:///x",
        "//a.example/1.png",
        "file:///etc/passwd",
        "https://a.example/" + "x" * 3000,
        "https://\u0430.example/",
        "",
    ],
)
def test_what_is_no_plain_web_url_is_text_and_no_link(url: str) -> None:
    assert Tags(html.link(url, "image 1")).tags == []


def test_a_link_tells_the_other_host_nothing_and_leaves_no_attribute() -> None:
    written = html.link('https://a.example/1.png?a="onclick="x&b=<', "image <1>")

    assert 'rel="noreferrer noopener"' in written
    assert re.findall(r" ([a-z]+)=\"", written) == ["href", "rel", "target"]
    assert Tags(written).words == "image <1>"

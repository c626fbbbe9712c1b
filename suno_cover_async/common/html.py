"""Write small pieces of HTML for notebooks, in which every text of others is escaped.

It knows text and URLs. It writes no `<img>` of another host: a notebook that is opened must not
make a request.
"""

import html
from collections.abc import Iterable
from urllib.parse import urlsplit

from suno_cover_async.common.text import printable

_LONGEST_TEXT = 300  # characters
_LONGEST_URL = 2_000  # characters


def text(words: object) -> str:
    """Return text in one line, of at most 300 visible characters, escaped."""
    return html.escape(printable(str(words), _LONGEST_TEXT))


def link(url: str, words: str) -> str:
    """Return a link that tells the other host nothing of this page; only text if it is no web URL.

    Args:
        url: Of an image, from a third party; `javascript:` and `data:` URLs are not linked.
        words: What the link says.
    """
    if not _is_web(url):
        return text(url)
    return (
        f'<a href="{html.escape(url)}" rel="noreferrer noopener" target="_blank">{text(words)}</a>'
    )


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Return a table of two columns: a heading, which is escaped here, and a cell of HTML."""
    lines = [
        f'<tr><th style="text-align:left">{text(heading)}</th>'
        f'<td style="text-align:left">{cell}</td></tr>'
        for heading, cell in rows
    ]
    return f"<table>{''.join(lines)}</table>"


def _is_web(url: str) -> bool:
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False

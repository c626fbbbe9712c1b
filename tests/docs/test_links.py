"""Every link of the built site leads to a file and an anchor in it; nothing loads from outside."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs

import suno_cover_async

LOADS = {"script", "img", "link", "iframe", "source", "audio", "video", "object", "embed"}
"""What a browser loads by itself; links to other hosts are only followed by a person."""

LOOPBACK = "http://127.0.0.1"

OUTSIDE = re.compile(rb"""(?:url\(|@import|\bsrc\s*=)\s*["']?\s*(?:https?:)?//[^"')\s]+""")


@attrs.define
class Page(HTMLParser):
    """What a page of the site links to, loads, and has as anchors."""

    links: list[str] = attrs.field(factory=list[str])
    loads: list[str] = attrs.field(factory=list[str])
    anchors: set[str] = attrs.field(factory=set[str])

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        for name in ("href", "src"):
            if name in given and given.get("rel") not in {"canonical", "prev", "next"}:
                (self.loads if tag in LOADS else self.links).append(given[name])


def read(site: Path) -> dict[Path, Page]:
    pages: dict[Path, Page] = {}
    for file in site.rglob("*.html"):
        pages[file] = Page()
        pages[file].feed(file.read_text())
    return pages


def leads_nowhere(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Yield each link within the site to a file or an anchor that is not there."""
    for file, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = target(site, file, unquote(parts.path))
            if not there.is_file():
                yield f"{file.relative_to(site)}: {link}"
            elif parts.fragment and unquote(parts.fragment) not in pages[there].anchors:
                yield f"{file.relative_to(site)}: {link} has no such anchor"


def target(site: Path, file: Path, path: str) -> Path:
    if not path:
        return file
    there = site / path.removeprefix("/") if path.startswith("/") else file.parent / path
    there = there.resolve()
    return there / "index.html" if there.is_dir() else there


def test_every_link_within_the_site_leads_to_a_file_and_an_anchor(site: Path) -> None:
    pages = read(site)

    assert len(pages) > 40
    assert sum(len(page.links) for page in pages.values()) > 1_000
    assert [*leads_nowhere(site, pages)] == []


def test_a_link_that_leads_nowhere_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<a href="a/">a</a> <a href="#b">b</a> <a href="#c">')
    (tmp_path / "c.html").write_text('<p id="c"><a href="index.html#d">d</a>')

    assert len([*leads_nowhere(tmp_path, read(tmp_path))]) == 4


def test_links_to_other_hosts_are_https_and_nothing_is_loaded_from_them(site: Path) -> None:
    pages = read(site).values()

    outside = {link for page in pages for link in page.links if urlsplit(link).netloc}
    assert [link for link in outside if not link.startswith(("https://", LOOPBACK))] == []
    assert [load for page in pages for load in page.loads if urlsplit(load).netloc] == []


def test_no_stylesheet_and_no_page_names_an_address_to_load_from(site: Path) -> None:
    for file in (*site.rglob("*.css"), *site.rglob("*.html")):
        assert OUTSIDE.findall(file.read_bytes()) == [], file


def test_every_public_name_has_its_place_in_the_reference(site: Path) -> None:
    anchors = {anchor for page in read(site).values() for anchor in page.anchors}

    missing = [
        name for name in suno_cover_async.__all__ if f"suno_cover_async.{name}" not in anchors
    ]
    assert missing == []

"""The search for secrets finds planted ones, however they are written."""

import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from tests.support.canary import (
    API_KEY,
    HMAC_KEY,
    SECRET,
    Search,
    forms,
)
from tests.support.canary_calls import chained, failed, knows, raised, record


@pytest.mark.parametrize("form", forms(API_KEY))
@pytest.mark.parametrize("secret", [API_KEY, SECRET, HMAC_KEY], ids=["key", "secret", "hmac"])
def test_the_search_finds_a_secret_in_every_form(form: str, secret: str) -> None:
    written = forms(secret)[form]
    for text in (written, written.encode(), f"<{written}>".encode("utf-16")):
        search = Search(API_KEY, SECRET, HMAC_KEY)
        search.text("here", text)
        assert search.hits


def test_the_search_finds_a_piece_and_takes_nothing_else_for_one() -> None:
    half, other = Search(API_KEY), Search(API_KEY)
    half.text("half", f"it begins with {API_KEY[: len(API_KEY) // 2]}")
    other.text("other", API_KEY[:15] + "1" + API_KEY[16:20] + API_KEY[::-1])

    assert half.hits
    assert not other.hits


def noted() -> Exception:
    error = ValueError("harmless")
    error.add_note(f"the key was {API_KEY}")
    return error


@attrs.frozen
class Shy:
    """Shows nothing, and sends everything."""

    key: str = attrs.field(repr=False)


def left(search: Search, file: Path) -> None:
    file.write_text(forms(API_KEY)["percent"] if file.name == "x" else "")
    search.folder(file.parent)


def started(search: Search) -> None:
    command = [sys.executable, "-c", "input()", f"--key={API_KEY}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:  # noqa: S603
        search.command_lines(process.pid)
        process.communicate(b"\n")


PLANTED: dict[str, Callable[[Search, Path], object]] = {
    "an argument": lambda search, _: search.error("", ValueError(API_KEY)),
    "a note": lambda search, _: search.error("", noted()),
    "a frame": lambda search, _: search.error("", raised(lambda: knows(API_KEY))),
    "a cause": lambda search, _: search.error("", chained("__cause__")),
    "a context": lambda search, _: search.error("", chained("__context__")),
    "a group": lambda search, _: search.error(
        "", ExceptionGroup("harmless", [chained("__cause__")])
    ),
    "an attribute": lambda search, _: search.value("", types.SimpleNamespace(key=API_KEY)),
    "a pickle": lambda search, _: search.value("", Shy(API_KEY)),
    "a log line": lambda search, _: search.records([record(msg=f"Bearer {API_KEY}")]),
    "a log argument": lambda search, _: search.records([record(msg="%.4s", args=([API_KEY],))]),
    "a log's exception": lambda search, _: search.records(
        [record(exc_info=failed(raised(lambda: knows(API_KEY))))]
    ),
    "a complaint": lambda search, _: search.contexts([{"message": "", "headers": [API_KEY]}]),
    "a complaint's exception": lambda search, _: search.contexts(
        [{"message": "", "exception": chained("__context__")}]
    ),
    "a file": lambda search, folder: left(search, folder / "x"),
    "a command line": lambda search, _: started(search),
    "a file's name": lambda search, folder: left(search, folder / forms(API_KEY)["percent, all"]),
}


@pytest.mark.parametrize("place", PLANTED)
def test_the_search_finds_what_was_planted(place: str, tmp_path: Path) -> None:
    if place == "a command line" and not Path("/proc/self/cmdline").exists():
        pytest.skip("no /proc")
    search = Search(API_KEY, SECRET)

    PLANTED[place](search, tmp_path)

    assert search.hits

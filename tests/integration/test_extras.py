"""Each extra names itself: without its library, one sentence has the command that installs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import suno_cover_async

PACKAGE = Path(suno_cover_async.__file__).parent
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
RUN = "from suno_cover_async.__main__ import main; sys.exit(main())"
SOURCES = "\n".join(file.read_text() for file in PACKAGE.rglob("*.py"))


def table_of_extras() -> str:
    return PROJECT.read_text().partition("[project.optional-dependencies]")[2].partition("\n[")[0]


def extras() -> set[str]:
    return set(re.findall(r"^([\w-]+) = \[", table_of_extras(), re.MULTILINE))


def test_each_extra_is_named_by_an_error_and_no_other_is() -> None:
    named = re.findall(r"pip install 'suno-cover-async\[(\w+)\]'", SOURCES)

    assert set(named) == extras()


def test_no_error_names_a_library_of_an_extra_in_place_of_the_extra() -> None:
    named = {name.lower() for name in re.findall(r"pip install '?([\w-]+)", SOURCES)}
    libraries = set(re.findall(r'"([\w-]+)[^"]*>=', table_of_extras()))

    assert {"mcp", "pillow", "psycopg"} <= libraries
    assert not named & libraries


@pytest.mark.parametrize(
    ("extra", "library", "use"),
    [
        ("artwork", "PIL", "import suno_cover_async.artwork"),
        ("artwork", "PIL", "import suno_cover_async.review"),
        ("audio", "mutagen", "import suno_cover_async.artwork.audio"),
        ("cli", "click", RUN),
        (
            "cli",
            "rich",
            f"sys.argv[1:] = ['credits']; {RUN}",
        ),
        ("postgres", "psycopg", "from suno_cover_async import Ledger; Ledger('postgresql://h/d')"),
        ("sandbox", "PIL", "import suno_cover_async.sandbox"),
        ("sandbox", "PIL", "import suno_cover_async.pytest_plugin"),
    ],
)
def test_a_missing_library_names_the_extra_that_has_it(extra: str, library: str, use: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; {use}"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603

    last = done.stderr.splitlines()[-1]
    assert done.returncode != 0
    assert re.search(rf" needs? \w+( [\d.]+)?: pip install 'suno-cover-async\[{extra}\]'$", last)

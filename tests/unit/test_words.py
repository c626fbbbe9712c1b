"""Names and prose use the field's words: the retired ones are found nowhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Words that once stood for something here, and for which the field has its own: a poll, a
# notification, a breaker, an outcome, a timer, "possibly billed". Only those that can mean nothing
# else here; CHANGELOG tells of them.
RETIRED = (
    "agenda|alarm|ambiguous|ambiguity|bell|bells|courier|doorbell|doubt|doubts|ear|ears|"
    "era|eras|fate|fates|floor|floors|forgery|gate|gates|hopeless|looked|looks|lookout|"
    "mend|mended|mends|overtime|passage|purse|rang|ring|ringing|rings|room|rooms|scarce|"
    "stranger|strangers|tally|uncertain|uncertainty|workshop"
)
WORD = re.compile(rf"(?<![a-z])({RETIRED})(?![a-z])", re.IGNORECASE)
# CamelCase and snake_case are taken apart.
SEAM = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")

PLACES = (
    *("*.md", "docs/**/*", "noxfile.py", "pyproject.toml", "zensical.toml", ".ci/run"),
    *("suno_cover_async/**/*", "tests/**/*", "benchmarks/**/*", "examples/**/*", "tools/**/*"),
)
KINDS = {".css", ".html", ".ipynb", ".js", ".md", ".py", ".svg", ".toml", ""}
EXCEPT = {ROOT / "CHANGELOG.md", Path(__file__)}
FILES = sorted(
    path
    for place in PLACES
    for path in ROOT.glob(place)
    if path.is_file() and path.suffix in KINDS and path not in EXCEPT
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_retired_word_is_used(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), 1)

    found = [(number, line) for number, line in lines if WORD.search(SEAM.sub(" ", line))]

    assert found == []


def test_words_are_found_in_names_of_every_kind() -> None:
    for name in ("looked_at", "OutageGate", "ring(", "Doorbell", "NO_ROOM"):
        assert WORD.search(SEAM.sub(" ", name)), name
    assert not WORD.search(SEAM.sub(" ", "gateway string during bedroom area"))

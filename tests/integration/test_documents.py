"""The documents that name tests, scripts and files name such as there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = {str(file): file.read_text() for file in (ROOT / "tests").rglob("*.py")}
CLAIMS = re.findall(r"^ *(?:async )?def (test_\w+)", "\n".join(TESTS.values()), re.MULTILINE)
DOCUMENTS = [
    "THREAT_MODEL.md",
    "README.md",
    "tests/README.md",
    "tests/proof/README.md",
    "benchmarks/README.md",
]


def named(document: str, pattern: str) -> list[str]:
    return re.findall(rf"`({pattern})`", (ROOT / document).read_text())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_is_named_is_there(document: str) -> None:
    missing = [
        name
        for name in named(document, r"test_\w+…?")
        if not any(claim.startswith(name.rstrip("…")) for claim in CLAIMS)
        or (not name.endswith("…") and name not in CLAIMS)
    ]

    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_script_that_is_named_is_there(document: str) -> None:
    folders = ("suno_cover_async", "tests", "benchmarks")
    there = {file.as_posix() for folder in folders for file in (ROOT / folder).rglob("*.py")}

    named_files = set(named(document, r"(?:\w+/)*\w+\.py"))

    assert {f for f in named_files if not any(path.endswith(f"/{f}") for path in there)} == set()


def test_every_row_of_threats_names_what_holds_it() -> None:
    tables = (ROOT / "THREAT_MODEL.md").read_text().split("\n## ")
    rows = [
        row
        for part in tables
        if "| held by |" in part
        for row in re.findall(r"^\|.*\|$", part, re.MULTILINE)[2:]
    ]

    assert len(rows) > 30
    assert [row for row in rows if not re.search(r"`[\w/]+(\.py|…?)`[^|]*\|$", row)] == []

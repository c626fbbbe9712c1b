"""Documents, docstrings and comments name tests, scripts and files that exist."""

import re
import tomllib
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest

import suno_cover_async
from suno_cover_async import __version__

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "THREAT_MODEL.md",
    "README.md",
    "tests/README.md",
    "tests/proof/README.md",
    "benchmarks/README.md",
    *(page.relative_to(ROOT).as_posix() for page in sorted((ROOT / "docs").rglob("*.md"))),
]
FOR_USERS = ["README.md", *(name for name in DOCUMENTS if name.startswith("docs/"))]
FOLDERS = (
    Path(suno_cover_async.__file__).parent,  # beside the others, or where a wheel was installed
    *(ROOT / name for name in ("tests", "benchmarks", "examples", "tools")),
)
SOURCES = {
    file.relative_to(folder.parent).as_posix(): file.read_text()
    for folder in FOLDERS
    for file in folder.rglob("*.py")
}
CLAIMS = re.findall(r"^ *(?:async )?def (test_\w+)", "\n".join(SOURCES.values()), re.MULTILINE)


def named(document: str, pattern: str) -> list[str]:
    return re.findall(rf"`({pattern})`", (ROOT / document).read_text())


def missing_scripts(document: str) -> set[str]:
    names = set(named(document, r"(?:\w+/)*\w+\.py"))
    return {name for name in names if not any(f"/{path}".endswith(f"/{name}") for path in SOURCES)}


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
    assert missing_scripts(document) == set()


@pytest.mark.parametrize("source", SOURCES)
def test_every_script_that_a_docstring_or_a_comment_names_is_there(source: str) -> None:
    assert missing_scripts(source) == set()


def anchors(document: Path) -> set[str]:
    """Return what links to a document's headings may name, as GitHub makes it of them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_within_the_project_leads_to_a_file_and_a_heading(document: str) -> None:
    file = ROOT / document
    links = re.findall(r"(?:\]\(|src=\")([^)\s\"]+)[)\"]", " ".join(file.read_text().split()))

    broken = [
        link
        for link in links
        for path, _, anchor in [link.partition("#")]
        if ":" not in link
        and (
            not (there := file.parent / path if path else file).exists()
            or (anchor and anchor not in anchors(there))
        )
    ]

    assert broken == []


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


def test_the_changelog_has_a_section_for_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()

    sections = re.findall(r"^## \[(.+?)\](?: - (.+))?$", changelog, re.MULTILINE)

    assert __version__ in dict(sections)
    for version, date in sections:
        assert version == "Unreleased" or re.fullmatch(r"unreleased|\d{4}-\d\d-\d\d", date)


@pytest.mark.parametrize("document", ["CHANGELOG.md", *DOCUMENTS])
def test_every_page_that_is_named_is_there(document: str) -> None:
    names = set(named(document, r"(?:docs|examples|tests|benchmarks)/[\w/.-]+\.\w+"))

    assert {name for name in names if not (ROOT / name).exists()} == set()


def test_no_row_of_a_table_and_no_item_of_the_changelog_is_there_twice() -> None:
    """Merges that take the lines of both sides repeat what both changed."""
    items = re.split(r"\n(?=- |#)", (ROOT / "CHANGELOG.md").read_text())
    lists = [[item.strip() for item in items if item.startswith("- ")]]
    lists += [re.findall(r"^\| (`.+?) \|", (ROOT / "tests/README.md").read_text(), re.MULTILINE)]
    lists += [re.findall(r"^\| (?!threat).+", (ROOT / "THREAT_MODEL.md").read_text(), re.MULTILINE)]

    twice = [one for found in lists for one, times in Counter(found).items() if times > 1]

    assert all(len(found) > 30 for found in lists)
    assert twice == []


def test_git_ignores_what_the_documents_commands_and_programs_write() -> None:
    text = "\n".join((ROOT / name).read_text() for name in FOR_USERS)
    written = set(
        re.findall(r"--(?:out|ledger|catalog|into|embed) (?!postgresql:)([a-z][\w.-]*)", text)
        + re.findall(r"(?:into=|Ledger\()\"(?!postgresql:)([\w.-]+)", text)
    ) | {"suno-cover-demo", "covers.db.lock", "covers.db-wal", ".venv", ".nox"}
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]

    missing = {name for name in written if not any(fnmatch(name, line) for line in ignored)}

    assert {"covers", "covers.db", "catalog.csv", "all.csv"} <= written
    assert missing == set()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            "explanation/platforms.md",
            "Never run: Windows, macOS, and any network file system.",
        ),
        (
            "explanation/images.md",
            "so through one only URLs with a private address in place of a name can be refused",
        ),
        ("explanation/images.md", "URLs that are written with an address never"),
        (
            "how-to/web.md",
            'rate_limit=SharedRateLimiter("limit.db", calls=20, seconds=10)`',
        ),
        ("how-to/web.md", "`uvicorn --workers 4`"),
    ],
)
def test_the_pages_say_what_was_never_run_what_a_proxy_decides_and_how_workers_share_a_limit(
    page: str, words: str
) -> None:
    assert words in " ".join((ROOT / "docs" / page).read_text().split())


def test_readme_is_read_in_one_go_and_has_the_two_commands_once_each() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()

    assert len(lines) <= 200
    for ends in (" demo", "/nox"):  # `.ci/run` runs both as they are printed
        assert len([one for one in lines if re.match(f"python3 -m venv .*{ends}$", one)]) == 1


def test_the_pictures_are_small() -> None:
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.stat().st_size < 200_000


def test_each_page_is_in_the_navigation_of_the_site() -> None:
    configuration = tomllib.loads((ROOT / "zensical.toml").read_text())
    named = re.findall(r"[\w/.-]+\.md", str(configuration["project"]["nav"]))

    pages = {name.removeprefix("docs/") for name in FOR_USERS if name.startswith("docs/")}
    assert {name for name in named if not name.startswith("project/")} == pages
    assert len(named) == len(set(named))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_another_host_is_https(document: str) -> None:
    links = re.findall(r"\]\((\w+:[^)\s]+)\)", (ROOT / document).read_text())

    assert [link for link in links if not link.startswith("https://")] == []


def test_the_types_are_checked_for_windows_and_macos_too() -> None:
    noxfile = (ROOT / "noxfile.py").read_text()

    assert 'for system in ("win32", "darwin")' in noxfile
    assert '"mypy", "--platform", system' in noxfile

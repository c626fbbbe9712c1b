"""Build the documentation's site: `python tools/build_site.py`, as `nox -s docs` does.

Pages in `docs/` link to files of the project beside it: programs, the threat model, the changelog.
This script copies `docs/` to `build/docs/`, and with it each file that is linked, so that all links
lead somewhere within the site. A program becomes a page that shows it. Zensical builds `site/` from
that, by `zensical.toml`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
STAGE = ROOT / "build" / "docs"
PROJECT = Path("project")  # where files beside `docs/` are in the site

LINK = re.compile(
    r"""^(```|~~~).*?^\1 | (\]\( | \b(?:src|href)=") ([^)\s":#]+) (?=[)"#])""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
"""A block of code, in which nothing is a link; or a relative link, and what is before it."""


def place(file: Path) -> Path:
    """Return where a file of the project is in the site's sources, relative to them."""
    if file.is_relative_to(DOCS):
        return file.relative_to(DOCS)
    if file == ROOT / "README.md":
        return PROJECT / "readme.md"
    inside = PROJECT / file.relative_to(ROOT)
    if file.name == "README.md":  # else it would be the start page of its folder
        return inside.with_name("about.md")
    return inside.with_name(f"{file.name}.md") if file.suffix == ".py" else inside


def linked(text: str) -> list[str]:
    """Return the relative links of a page, without anchors."""
    return [match[3] for match in LINK.finditer(text) if match[3]]


def collect() -> set[Path]:
    """Return all files of the site: README, `docs/`, and each file that a page of it leads to."""
    waiting = [ROOT / "README.md", *(file for file in DOCS.rglob("*") if file.is_file())]
    found: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        if file.suffix == ".md":
            waiting += [_target(file, link) for link in linked(file.read_text())]
    return found


def _target(page: Path, link: str) -> Path:
    there = (page.parent / link).resolve()
    there = there / "README.md" if there.is_dir() else there
    if not there.is_file() or not there.is_relative_to(ROOT):
        raise SystemExit(f"{page.relative_to(ROOT)}: the link {link} leads to no file")
    return there


def rewritten(page: Path, text: str) -> str:
    """Return a page with its links as they are in the site."""
    here = place(page).parent

    def link(match: re.Match[str]) -> str:
        if not match[3]:
            return match[0]
        there = place(_target(page, match[3]))
        return match[2] + Path(os.path.relpath(there, here)).as_posix()

    return LINK.sub(link, text)


def program(file: Path) -> str:
    """Return a page that shows a program."""
    name = file.relative_to(ROOT).as_posix()
    return f"# `{name}`\n\n```python\n{file.read_text()}```\n"


def stage() -> None:
    """Write the site's sources."""
    shutil.rmtree(STAGE, ignore_errors=True)
    for file in sorted(collect()):
        there = STAGE / place(file)
        there.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            there.write_text(rewritten(file, file.read_text()))
        elif file.suffix == ".py":
            there.write_text(program(file))
        else:
            shutil.copy(file, there)


def main() -> int:
    """Build the site, and return the exit code: not 0 if there was any warning."""
    stage()
    shutil.rmtree(ROOT / "site", ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - our own


if __name__ == "__main__":
    sys.exit(main())

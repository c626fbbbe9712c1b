"""What is in a release: the sdist and the wheel, built here by the project's own build backend."""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path, PurePosixPath

import pytest

from suno_cover_async import __version__

pytest.importorskip("hatchling")

ROOT = Path(__file__).parents[2]
NAME = f"suno_cover_async-{__version__}"
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".nox", "__pycache__", ".*_cache", ".hypothesis"
)

STRAY = (
    *("covers.db", ".env", "catalog.csv", "notes.txt", "covers/a-1.png", "dist/old.whl"),
    *("suno_cover_async/.env", "suno_cover_async/notes.txt", "suno_cover_async/covers.db"),
    *("suno_cover_async/__pycache__/client.cpython-311.pyc", "suno_cover_async/old.py.orig"),
    *("tests/.DS_Store", "tests/covers.db", "tests/__pycache__/x.pyc", "docs/.cache/x"),
    *("examples/.ipynb_checkpoints/notebook-checkpoint.ipynb", "benchmarks/run.log"),
)
IN_THE_SDIST = {
    *(".ci", ".gitattributes", ".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md"),
    *("THREAT_MODEL.md", "benchmarks", "docs", "examples", "noxfile.py", "pyproject.toml"),
    *("suno_cover_async", "tests", "tools", "zensical.toml"),
}
"""What may be at the top; the build backend itself adds `.gitignore`, by which it leaves out."""

KINDS = {
    *(
        ".c",
        ".css",
        ".csv",
        ".html",
        ".ipynb",
        ".jpg",
        ".js",
        ".json",
        ".jsonl",
        ".md",
        ".png",
        ".py",
    ),
    *(".sql", ".svg", ".toml", ".tsv", ".txt", ".typed", ".webp", ".xml", ".yml", ".yaml", ""),
}

Build = Callable[[Path, str], Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build an sdist or a wheel of a folder, in a folder of its own."""

    def built(source: Path, target: str) -> Path:
        into = tmp_path_factory.mktemp("dist")
        command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)  # noqa: S603
        [file] = into.iterdir()
        return file

    return built


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with files that lie about there, some of them secret."""
    copy = tmp_path_factory.mktemp("checkout") / "copy"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    for name in STRAY:
        stray = copy / name
        stray.parent.mkdir(parents=True, exist_ok=True)
        if not stray.exists():
            stray.write_text("sk-stray")
    return copy


@pytest.fixture(scope="module")
def sdist(build: Build, checkout: Path) -> Path:
    return build(checkout, "sdist")


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(sdist, folder, filter="data")
    return folder / NAME


@pytest.fixture(scope="module")
def wheel(build: Build, unpacked: Path) -> Path:
    """The wheel that is built from the sdist."""
    return build(unpacked, "wheel")


def in_sdist(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert all(name.startswith(f"{NAME}/") for name in names)
    return {name.removeprefix(f"{NAME}/") for name in names}


def in_wheel(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def ours(folder: str) -> set[str]:
    """The files of a folder of the checkout, without what its tools and its users leave there."""
    files = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    names = {path.relative_to(ROOT).as_posix() for path in files}
    return {name for name in names if not re.search(r"(^|/)[._]_?\w*cache|\.pyc$|/\.", name)}


def metadata(wheel: Path) -> Message:
    return message_from_bytes(zipfile.ZipFile(wheel).read(f"{NAME}.dist-info/METADATA"))


def test_the_sdist_has_what_tests_and_documents_need(sdist: Path) -> None:
    names = in_sdist(sdist)

    assert {name.partition("/")[0] for name in names} == IN_THE_SDIST
    for folder in ("suno_cover_async", "tests", "examples", "benchmarks"):
        assert ours(folder) <= names


def test_no_stray_file_gets_into_the_sdist_or_the_wheel(sdist: Path, wheel: Path) -> None:
    names = in_sdist(sdist)

    assert names & set(STRAY) == set()
    assert {PurePosixPath(name).suffix for name in names} <= KINDS
    assert b"sk-stray" not in b"".join(
        member.read()
        for archive in [tarfile.open(sdist)]  # noqa: SIM115 - closed with its file
        for one in archive
        if (member := archive.extractfile(one))
    ).replace(b'"sk-stray"', b"")
    assert in_wheel(wheel) & set(STRAY) == set()


def test_the_wheel_has_the_package_its_page_its_types_and_its_licence_and_nothing_else(
    wheel: Path,
) -> None:
    names = in_wheel(wheel)
    package = {name for name in names if not name.startswith(f"{NAME}.dist-info/")}

    assert package == ours("suno_cover_async")
    assert "suno_cover_async/py.typed" in package
    assert {name for name in package if not name.endswith((".py", "/py.typed"))} == ours(
        "suno_cover_async/review/page"
    )
    assert names - package == {
        f"{NAME}.dist-info/{name}"
        for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }


def test_two_builds_are_the_same_to_the_byte_wherever_and_whenever(
    build: Build, unpacked: Path, sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    shutil.copytree(ROOT, tmp_path / "elsewhere", ignore=NOT_COPIED)
    for path in (tmp_path / "elsewhere").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))

    again = build(tmp_path / "elsewhere", "sdist"), build(tmp_path / "elsewhere", "wheel")

    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (sdist, wheel)]
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in again] == digests
    assert build(unpacked, "sdist").read_bytes() == sdist.read_bytes()


def test_the_metadata_is_complete_and_true(wheel: Path) -> None:
    told = metadata(wheel)

    assert told["License-Expression"] == "MIT"
    assert told.get_all("License-File") == ["LICENSE"]
    classifiers = told.get_all("Classifier") or []
    versions = [one for one in classifiers if re.search(r":: 3\.\d+$", one)]
    assert [one.rpartition(" ")[2] for one in versions] == [f"3.{n}" for n in range(11, 16)]
    assert not [one for one in classifiers if one.startswith("License")]  # PEP 639
    assert told["Version"] == __version__
    for url in told.get_all("Project-URL") or []:
        assert re.search(r", https://docs\.(sunoapi\.org|kie\.ai|api\.box)$", url)


def test_the_long_description_can_be_shown_by_an_index(sdist: Path, wheel: Path) -> None:
    pytest.importorskip("twine")
    command = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.stdout.count("PASSED") == 2, done.stdout + done.stderr


def test_no_plugin_of_pytest_is_loaded_unasked(wheel: Path) -> None:
    points = zipfile.ZipFile(wheel).read(f"{NAME}.dist-info/entry_points.txt").decode()

    assert points.split() == ["[console_scripts]", "suno-cover", "=", *points.split()[3:]]
    assert "pytest" not in points


def test_what_is_bundled_is_our_own() -> None:
    """A file of others would need its licence here: the page has neither fonts nor libraries."""
    page = io.StringIO()
    for name in ours("suno_cover_async/review/page"):
        page.write((ROOT / name).read_text())

    assert not re.search(
        r"@font-face|@license|copyright|sourceMappingURL", page.getvalue(), re.IGNORECASE
    )

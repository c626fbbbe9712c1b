"""Versions that are needed, and what is said of others."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from suno_cover_async.cli.doctor import versions
from suno_cover_async.cli.doctor.finding import State
from suno_cover_async.cli.doctor.versions import check_versions, is_older, version_of
from suno_cover_async.common.version import __version__

PROJECT = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]


def installed(folder: Path, name: str, version: str) -> None:
    """Write what pip leaves of an installed distribution."""
    there = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    there.mkdir()
    (there / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_the_oldest_versions_are_those_of_the_project() -> None:
    needed = dict(one.split(">=") for one in PROJECT["dependencies"])

    assert needed == versions.LEAST
    assert set(versions.EXTRAS) <= set(PROJECT["optional-dependencies"])


def test_this_python_this_package_and_the_four_libraries_are_told() -> None:
    found = {one.check: one for one in check_versions()}

    assert found["python"].message.startswith(".".join(map(str, sys.version_info[:3])))
    assert found["suno-cover-async"].message == __version__
    for name in versions.LEAST:
        assert (found[name].state, found[name].message) == (State.OK, version_of(name))
    assert "psycopg" in found["extra postgres"].message
    assert "python-backoff" not in found


def test_a_fork_an_old_library_and_a_missing_extra_are_told(tmp_path: Path) -> None:
    installed(tmp_path, "python-backoff", "2.3.0")
    installed(tmp_path, "aiohttp", "3.14.3")
    script = (
        "import sys, sysconfig\n"
        "from suno_cover_async.cli.doctor import versions\n"
        "own = (sysconfig.get_path('stdlib'), sysconfig.get_config_var('DESTSHARED'))\n"
        f"sys.path[:] = [{str(tmp_path)!r}, *filter(None, own)]\n"
        "for one in versions.check_versions(): print(one.state, one.check, one.message, one.advice)"
    )
    done = subprocess.run(  # noqa: S603 - a fixed program
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    told = done.stdout
    assert "fault aiohttp 3.14.3 is older than 3.14.4, which is needed run: pip install" in told
    assert "fault backoff it is not installed run: pip install 'backoff>=2.2.1'" in told
    assert "warning python-backoff it is installed" in told
    assert "pip uninstall --yes python-backoff backoff; pip install backoff" in told
    assert "ok extra audio mutagen is not installed; only suno-cover apply --embed would" in told
    assert "pip install 'suno-cover-async[audio]'" in told


@pytest.mark.parametrize(
    ("found", "least", "older"),
    [
        ("3.14.4", "3.14.4", False),
        ("3.9", "3.14.4", True),
        ("3.14.4rc1", "3.14.4", False),
        ("25.1.0", "24.2", False),
        ("24.1.9", "24.2", True),
        ("unknown", "1", True),
    ],
)
def test_versions_compare_by_their_numbers(found: str, least: str, older: bool) -> None:
    assert is_older(found, least) is older

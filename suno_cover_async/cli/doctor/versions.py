"""Check Python, this package, the libraries that it needs, and those of its extras.

It knows the installed distributions; it imports none of them.
"""

import platform
import re
import sys
from importlib import metadata

from suno_cover_async.cli.doctor.finding import Finding, fault, ok, warning
from suno_cover_async.common.version import __version__

LEAST = {"aiohttp": "3.14.4", "attrs": "24.2", "backoff": "2.2.1", "cattrs": "24.1"}
"""The oldest versions of the libraries that the package needs, as in its metadata."""

EXTRAS = {
    "artwork": ("pillow", "suno-cover apply, and contact sheets"),
    "audio": ("mutagen", "suno-cover apply --embed"),
    "mcp": ("mcp", "suno-cover mcp"),
    "otel": ("opentelemetry-api", "spans and metrics of a program of yours"),
    "postgres": ("psycopg", "ledgers and limits in a PostgreSQL database"),
}
"""The extras that commands need: their library, and what needs it."""

_FORK = "python-backoff"


def check_versions() -> list[Finding]:
    """Check all versions."""
    system = f"{platform.system()} {platform.machine()}"
    return [
        ok("python", f"{platform.python_version()}, {sys.implementation.name}, on {system}"),
        ok("suno-cover-async", __version__),
        *(_library(name, least) for name, least in LEAST.items()),
        *_fork(),
        *(_extra(extra, library, use) for extra, (library, use) in EXTRAS.items()),
    ]


def _library(name: str, least: str) -> Finding:
    found = version_of(name)
    install = f"run: pip install '{name}>={least}'"
    if found is None:
        return fault(name, "it is not installed", install)
    if is_older(found, least):
        return fault(name, f"{found} is older than {least}, which is needed", install)
    return ok(name, found)


def _fork() -> list[Finding]:
    """Warn of a fork with the same import name: pip installs both, and removing one breaks both."""
    if version_of(_FORK) is None:
        return []
    return [
        warning(
            _FORK,
            "it is installed, and its files take the place of those of backoff",
            "run: pip uninstall --yes python-backoff backoff; pip install backoff",
        )
    ]


def _extra(extra: str, library: str, use: str) -> Finding:
    found = version_of(library)
    if found is not None:
        return ok(f"extra {extra}", f"{library} {found}, for {use}")
    install = f"pip install 'suno-cover-async[{extra}]'"
    return ok(f"extra {extra}", f"{library} is not installed; only {use} would need it: {install}")


def version_of(name: str) -> str | None:
    """Return the version of an installed distribution; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def is_older(found: str, least: str) -> bool:
    """Return whether a version is older than another, by their leading numbers."""
    return _numbers(found) < _numbers(least)


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, leading[0].split("."))) if leading else ()

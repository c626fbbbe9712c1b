"""What does importing this package cost, and how large is it installed, against aiohttp and others?

Each contender is imported in a process of its own, in turns. The first round is not counted: it
warms the disk's cache, and writes bytecode where that is missing, as pip does. By itself `import
suno_cover_async` loads nothing: each name is imported when it is first used. So what a
program pays is the line with `SunoCoverClient`; after it nothing is left to load but what callbacks
and catalogs need. Bias: whatever others load at their first use is in no figure.

A size is that of the files that a wheel brings, without bytecode: of the package itself, and of all
that it requires besides, without extras. The package must be installed, and not in place. Needed
are the others too: pip install httpx openai fal-client runwayml suno-easy packaging.

Exits with 1 when `import suno_cover_async` takes over 1.05 times as long as `import aiohttp`, or
the line with `SunoCoverClient` over 1.25 times.
"""

import json
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import contest
from contest import Contender
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BASELINE = "import aiohttp"
OURS = "import suno_cover_async"
CLIENT = "from suno_cover_async import SunoCoverClient"
CONTENDERS = (
    Contender(BASELINE, "aiohttp"),
    Contender(OURS, "suno-cover-async"),
    Contender(CLIENT, "suno-cover-async"),
    Contender("from httpx import AsyncClient", "httpx"),
    Contender("from openai import AsyncOpenAI", "openai"),
    Contender("from fal_client import AsyncClient", "fal-client"),
    Contender("from runwayml import AsyncRunwayML", "runwayml"),
    Contender("from suno_easy import SunoClient", "suno-easy"),
)
CHILD = Path(__file__).with_name("starting_child.py")
ALLOWED = {OURS: 1.05, CLIENT: 1.25}


def size(package: str) -> int:
    """Return the bytes of what a distribution's wheel brought."""
    files = metadata.files(package) or []
    if not any(file.suffix == ".py" for file in files):
        raise SystemExit(f"{package} is installed in place, so its size is not known: install it")
    return sum(Path(str(file.locate())).stat().st_size for file in files if file.suffix != ".pyc")


def family(package: str, extras: Sequence[str] = ()) -> set[str]:
    """Name a distribution and all that it requires, and what that requires."""
    found: set[tuple[str, str]] = set()
    open_ends = [(package, extra) for extra in ("", *extras)]
    while open_ends:
        name, extra = open_ends.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                other = canonicalize_name(needed.name)
                open_ends += [(other, one) for one in ("", *needed.extras)]
    return {name for name, _ in found}


def sizes() -> dict[str, dict[str, float]]:
    """Return what each package takes: alone, with its family, and how many that are."""
    found: dict[str, dict[str, float]] = {}
    for one in CONTENDERS:
        if one.is_here:
            all_ = family(canonicalize_name(one.package))
            found[one.package] = {
                "own KiB": size(one.package) / 1024,
                "with all KiB": sum(map(size, all_)) / 1024,
                "packages": len(all_),
            }
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold them against each other, and judge."""
    given = contest.parser(__doc__, rounds=25).parse_args(arguments)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    weights = sizes()
    found = contest.held(CHILD, CONTENDERS, given.rounds + 1)
    counted = {name: rounds[1:] for name, rounds in found.items()}
    rows = {
        name: {
            **figures,
            "times": contest.ratio(counted, "ms", name, BASELINE),
            "CPU times": contest.ratio(counted, "CPU ms", name, BASELINE),
        }
        for name, figures in contest.medians(counted).items()
    }
    if given.json:
        print(json.dumps({"imports": rows, "sizes": weights}))
    else:
        print(contest.versions(CONTENDERS))
        show(rows)
        show(weights)
    return 1 if any(rows[name]["times"] > most for name, most in ALLOWED.items()) else 0


def show(rows: dict[str, dict[str, float]]) -> None:
    """Print a table."""
    print(f"\n{'':46}" + "".join(f"{key:>14}" for key in next(iter(rows.values()))))
    for name, figures in rows.items():
        print(f"{name:46}" + "".join(f"{_digits(value):>14}" for value in figures.values()))


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 and value % 1 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())

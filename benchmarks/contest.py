"""What the side-by-side scripts share: contenders in processes of their own, taking turns.

A script calls itself, `--contender NAME`, once for each contender and round; that process prints
its figures as one line of JSON. Held against each other are figures of one round, so that a machine
that is slow for a while is slow for all; reported are medians of the rounds.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from importlib import metadata, util
from pathlib import Path

import attrs

Figures = Mapping[str, float]


@attrs.frozen
class Contender:
    """One of the programs that are compared.

    Attributes:
        name: Its name.
        package: The distribution that it needs, whose version is printed.
        module: The module of that distribution.
    """

    name: str
    package: str
    module: str = attrs.field(
        default=attrs.Factory(lambda self: self.package.replace("-", "_"), takes_self=True)
    )

    @property
    def is_here(self) -> bool:
        """Whether its package is installed."""
        return util.find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """Name package and version."""
        return f"{self.package} {metadata.version(self.package)}"


def parser(doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Begin a script's options: its question, and those that all have."""
    options = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=rounds)
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--contender", help=argparse.SUPPRESS)
    return options


def held(
    script: str | Path, contenders: Sequence[Contender], rounds: int, *options: object
) -> dict[str, list[Figures]]:
    """Let all who are here take turns, the first to go being another in each round.

    Returns:
        The figures of each contender, by rounds.
    """
    present = [one for one in contenders if one.is_here]
    found: dict[str, list[Figures]] = {one.name: [] for one in present}
    for number in range(rounds):
        first = number % len(present)
        for one in present[first:] + present[:first]:
            command = [sys.executable, str(script), f"--contender={one.name}", *map(str, options)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603 - ourselves
            found[one.name].append(json.loads(done.stdout.splitlines()[-1]))
    return found


def tell(figures: Figures) -> int:
    """Say a contender's figures; the exit code."""
    print(json.dumps(figures))
    return 0


def medians(found: Mapping[str, Sequence[Figures]]) -> dict[str, dict[str, float]]:
    """Return the median of each figure of each contender."""
    return {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }


def ratio(found: Mapping[str, Sequence[Figures]], key: str, name: str, baseline: str) -> float:
    """Hold one contender's figure against another's: the median of the rounds' ratios."""
    pairs = zip(found[name], found[baseline], strict=True)
    return statistics.median(one[key] / other[key] for one, other in pairs)


def table(
    found: Mapping[str, Sequence[Figures]],
    columns: Sequence[str],
    baseline: str,
    *,
    digits: int = 0,
) -> Generator[str, None, None]:
    """Write the medians of some figures, and what they are of the baseline's."""
    yield f"{'':20}" + "".join(f"{column:>19}" for column in columns)
    for name, row in medians(found).items():
        shares = (ratio(found, column, name, baseline) for column in columns)
        cells = (
            f"{row[key]:,.{digits}f} ({share:.2f})"
            for key, share in zip(columns, shares, strict=True)
        )
        yield f"{name:20}" + "".join(f"{cell:>19}" for cell in cells)


def versions(contenders: Sequence[Contender]) -> str:
    """Name Python, all packages, and who is missing."""
    here = dict.fromkeys(one.version for one in contenders if one.is_here)
    missing = dict.fromkeys(one.package for one in contenders if not one.is_here)
    without = [f"not installed: {', '.join(missing)}"] if missing else []
    return " · ".join([f"Python {platform.python_version()}", *here, *without])

"""How much of an account's limit do processes use together, and is one of them ever refused?

Four processes with a `SharedRateLimiter` on one file, or with `--where database` in a PostgreSQL
database, make `--requests` (400) requests against a sandbox that counts 20 requests in any
`--seconds` (10) strictly. Up to a fiftieth of that is the way there, and the way back. They are
evenly loaded, one busy and three idle, one after the other, and with one killed in the middle of a
burst. The figures are the server's: how many it refused, and which share of the limit it saw used,
the first 20 requests left out, since an idle account may burst.

Bias: taking a permit takes a few milliseconds, and starting a process 0.2 to 0.5 s; neither scales,
so with shorter windows the shares are smaller. A permit is back a window, kept 0.5 % longer than it
is, after the answer, which comes after 2 % of it on the average: 97.6 % is the most. The unanswered
requests of a killed process, 20 at most, hold their permits for 2.1 windows, as long as they may
still reach the server; so 22 requests of a run may be missing.

Exits with 1 when a request was refused, or less than 95 % of the limit was used; with one killed,
of what those permits leave of it.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from tests.support.limit_processes import CALLS, run
from tests.support.permit_tables import make_tables
from tests.support.postgres import own_server

GOAL = 0.95
LOST = 1.1 * CALLS  # by a killed process, at most
CASES: dict[str, dict[str, Any]] = {
    "even": {"shares": (0.25, 0.25, 0.25, 0.25)},
    "one busy": {"shares": (0.985, 0.005, 0.005, 0.005)},
    "in turn": {"shares": (0.25, 0.25, 0.25, 0.25), "in_turn": True},
    "one killed": {"shares": (0.4, 0.3, 0.3, 0.3), "kill_after": 50},
}


def main() -> int:
    """Run all cases; print the figures, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=400)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--where", choices=("file", "database"), default="file")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    missed = False
    for name, case in CASES.items():
        how = {key: value for key, value in case.items() if key != "shares"}
        loads = [max(1, round(share * given.requests)) for share in case["shares"]]
        shares, refused = [], 0
        for _ in range(given.rounds):
            with _place(given.where) as where:
                delay = (0.0, given.seconds / 50)
                seen = asyncio.run(run(where, loads, seconds=given.seconds, delay=delay, **how))
            shares.append(seen.share)
            refused += seen.refused
        share = statistics.median(shares)
        lost = LOST / (given.requests - CALLS) if "kill_after" in how else 0.0
        missed = missed or refused > 0 or share < GOAL * (1 - lost)
        figures = {"case": name, "refused": refused, "share": round(share, 3)}
        print(json.dumps(figures) if given.json else f"{name:12} refused {refused}, {share:.1%}")
    return 1 if missed else 0


@contextlib.contextmanager
def _place(kind: str) -> Generator[str]:
    """The path of a new file, or the URL of a new database whose commits are synced."""
    if kind == "file":
        with tempfile.TemporaryDirectory() as folder:
            yield str(Path(folder) / "limit.db")
        return
    with own_server(durable=True) as server, server.database() as name:
        make_tables(server.url(name))
        yield server.url(name)


if __name__ == "__main__":
    sys.exit(main())

"""Does any order of calls, faults, callbacks, crashes and time break a promise about money?

Hypothesis runs the state machines of `tests/proof/model_rules.py`, one for callers and one that
also runs catalogs, against the client, its receiver and its ledger. The host is the sandbox,
sockets are real, time is virtual, and all policies are the defaults. After each step the laws of
`tests/proof/model_laws.py` are checked against the host's journal. At the end of each run all
faults stop, and every song must be covered and paid for once.

With `--ledger postgres`, the catalogs' ledgers are in a database on a server of the script's own.

A broken law is printed as a shrunk script, and the exit code is 1. What happened is counted, since
a model in which nothing happens proves nothing.
"""

import contextlib
import json
import logging
import platform
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence

import hypothesis

from suno_cover_async import __version__
from tests.proof.model_rules import Callers, Catalogs, SharedCatalogs, play
from tests.support.postgres import own_server

FRESH = 50
MACHINES: dict[str, type[Callers]] = {"callers": Callers, "catalogs": Catalogs}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the machines, and print what happened."""
    options = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--examples", type=int, default=1000, help="runs of each machine (1000)")
    options.add_argument("--steps", type=int, default=50, help="steps of a run (50)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", choices=MACHINES, help="one machine")
    options.add_argument("--ledger", choices=["file", "postgres"], help="of the catalogs (file)")
    options.add_argument("--json", action="store_true", help="print JSON")
    given = options.parse_args(arguments)
    logging.getLogger("suno_cover_async").setLevel(logging.CRITICAL)  # warns of all we do to it
    began, figures = time.monotonic(), dict[str, object]()
    with contextlib.ExitStack() as opened:
        machines = MACHINES
        if given.ledger == "postgres":
            server = opened.enter_context(own_server())
            SharedCatalogs.database = server.url(opened.enter_context(server.database()))
            machines = MACHINES | {"catalogs": SharedCatalogs}
        for name in [given.only] if given.only else machines:
            figures[name] = play(
                machines[name],
                given.examples,
                given.steps,
                seed=given.seed,
                fresh=FRESH,
                phases=[*hypothesis.Phase],
            )
    versions = {
        "python": platform.python_version(),
        "hypothesis": hypothesis.__version__,
        "suno-cover-async": __version__,
    }
    figures["seconds"] = round(time.monotonic() - began, 1)
    show(versions | figures, as_json=given.json)
    return 0


def show(figures: dict[str, object], *, as_json: bool) -> None:
    """Print what happened."""
    if as_json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        if not isinstance(value, Counter):
            print(name, value)
            continue
        print(name)
        for event, often in sorted(value.items()):
            print(f"{often:>10}  {event}")


if __name__ == "__main__":
    sys.exit(main())

"""Make covers of the songs that are named, or of a catalog, and say how it went.

Install it, and run it in the checkout::

    pip install .
    export SUNO_API_KEY=...
    python examples/script.py 73d6128b3523a0079df10da9471017c8
    python examples/script.py catalog.csv

Images are saved in `covers/`. `covers.db` records each step, so that the same command goes on after
any stop, and pays for nothing twice; songs that are done are not asked for again. Ctrl-C stops at
once, and waits only for the answer to a submit that was already sent.

The exit code is 0 if every song has its cover, 1 if one failed or is left, 2 if nothing could be
done, and 130 after Ctrl-C.
"""

import asyncio
import sys
from pathlib import Path

from suno_cover_async import (
    Covered,
    Failed,
    Ledger,
    SunoCoverClient,
    SunoCoverError,
    cover_catalog,
    read_catalog,
)

USAGE = "usage: python script.py ID... | CATALOG (a .csv, .tsv, .jsonl, .json or .txt file)"


def tracks_of(arguments):
    """Return the tracks of a catalog's file, or the ids themselves."""
    if len(arguments) == 1 and Path(arguments[0]).suffix:
        return read_catalog(arguments[0])
    return arguments


async def main(tracks):
    """Cover the songs and print a line for each; return the exit code."""
    async with (
        Ledger("covers.db") as ledger,
        SunoCoverClient() as client,
        cover_catalog(client, tracks, ledger=ledger, into="covers") as run,
    ):
        async for outcome in run:
            done = f"[{run.progress.done + run.progress.failed}/{run.progress.total}]"
            match outcome:
                case Covered(files=files):  # named by title and id, without control characters
                    print(done, *files)
                case Failed(error=error):  # the message names the song and what to do
                    print(done, error, file=sys.stderr)
    count = run.progress
    print(f"{count.done} covered, {count.failed} failed, {count.left} left; {count.billed} billed")
    return 1 if count.failed or count.left else 0


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    try:
        sys.exit(asyncio.run(main(tracks_of(sys.argv[1:]))))
    except KeyboardInterrupt:  # raised after `main` was cancelled and has closed everything
        print("stopped; run the same command again: nothing is paid twice", file=sys.stderr)
        sys.exit(130)
    except (SunoCoverError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

"""One of several processes that cover a catalog with one ledger: started, stopped and killed.

It prints lines of a word and a text: `opened`, `began`, `covered` or `failed` with each music task,
and in the end `ended`, or `given-up` or `ledger` with the error.
"""

import argparse
import asyncio
import sys

from suno_cover_async import (
    Covered,
    Ledger,
    LedgerError,
    SharedRateLimiter,
    SunoCoverClient,
    cover_catalog,
    read_catalog,
)
from tests.support.catalog_child import policies


def say(word: str, text: str = "") -> None:
    print(word, text, flush=True)


async def work(given: argparse.Namespace) -> None:
    """Cover what other processes leave of the catalog."""
    quick = policies(given.scale)
    quick["rate_limit"] = SharedRateLimiter(given.limit, calls=given.calls, seconds=given.seconds)
    async with Ledger(given.ledger) as ledger:
        say("opened")
        async with (
            SunoCoverClient(base_url=given.url, concurrency=given.concurrency, **quick) as client,
            cover_catalog(
                client, read_catalog(given.catalog), ledger=ledger, into=given.into
            ) as outcomes,
        ):
            say("began")
            async for outcome in outcomes:
                word = "covered" if isinstance(outcome, Covered) else "failed"
                say(word, outcome.track.music_task_id)
    say("ended")


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("url", "catalog", "ledger", "into", "limit"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--concurrency", type=int, default=100)
    try:
        asyncio.run(work(parser.parse_args()))
    except LedgerError as error:
        say("given-up" if "was given up for dead" in str(error) else "ledger", str(error))
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())

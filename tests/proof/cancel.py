"""Is anything paid for unknown, or left behind, when work is cancelled at its k-th suspension?

For every k: each verb, in each weather, is struck in the very moment in which it, or a task born of
it, suspends for the k-th time, until it ends before that: cancelled, cancelled when what it awaits
is there and it was not woken yet, cancelled twice, two to five times in turns of the event loop
that follow each other, or in every turn until it has ended (as anyio cancels), timed out, its
client closed under it, or its program ended by SystemExit. Real sockets, files and threads, in
virtual time: `tests/support/cancelling.py` strikes, checks everything, and says what is checked.

Exits with 1 if anything was found.
"""

import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack

import attrs

from tests.support import cancelling, catalogs, scenes

_here = ExitStack()


@attrs.frozen(kw_only=True)
class Scene:
    """A verb in a weather, and how it is struck."""

    verb: str
    weather: str
    way: str
    again: int = 1


@attrs.frozen
class Finding:
    """What must not be, and what brings it back."""

    what: str
    strike: str


@attrs.frozen(kw_only=True)
class Found:
    """What striking at every k came to."""

    scene: Scene
    strikes: int
    findings: list[Finding]


def wanted(
    verbs: Sequence[str], weathers: Sequence[str], ways: Sequence[str], again: int
) -> Iterator[Scene]:
    """Say what is to be struck, and how.

    `again` is by how many suspensions a second cancellation comes later, at most.
    """
    for verb, weather, way in itertools.product(verbs, weathers, ways):
        if way == "exit" and scenes.WEATHERS[weather].receives:
            continue  # its receiver does not live on in the next event loop
        numbers = {"cancel twice": range(1, again + 1), "cancel often": range(2, 6)}
        for number in numbers.get(way, (1,)):
            yield Scene(verb=verb, weather=weather, way=way, again=number)


def strike(scene: Scene, stride: int) -> Found:
    """Strike at every k."""
    strikes, findings = 0, list[Finding]()
    for struck, what in cancelling.every_k(**attrs.asdict(scene), stride=stride):
        strikes += 1
        findings += [Finding(one, str(struck)) for one in what.findings]
    return Found(scene=scene, strikes=strikes, findings=findings)


def begin() -> None:
    """Prepare a process."""
    _here.enter_context(cancelling.from_here())


def main(arguments: Sequence[str] | None = None) -> int:
    """Strike everything, count, and judge."""
    options = catalogs.parser(__doc__)
    options.add_argument("--verbs", nargs="+", default=[*scenes.VERBS])
    options.add_argument("--weathers", nargs="+", default=[*scenes.WEATHERS])
    options.add_argument("--ways", nargs="+", default=[*cancelling.WAYS])
    options.add_argument("--stride", type=int, default=1, help="strike at every so manieth k")
    options.add_argument("--again", type=int, default=3, help="cancel twice: up to so much later")
    options.add_argument("--processes", type=int, default=os.cpu_count())
    given = options.parse_args(arguments)
    began, strikes, findings = time.monotonic(), Counter[str](), list[Finding]()
    all_scenes = [*wanted(given.verbs, given.weathers, given.ways, given.again)]
    with ProcessPoolExecutor(given.processes, initializer=begin) as pool:
        for found in pool.map(strike, all_scenes, itertools.repeat(given.stride)):
            strikes[found.scene.verb] += found.strikes
            findings += found.findings
    figures: dict[str, object] = {f"{verb}, strikes": count for verb, count in strikes.items()}
    figures |= {"scenes": len(all_scenes), "strikes": strikes.total(), "findings": len(findings)}
    figures["seconds"] = time.monotonic() - began
    catalogs.show(figures, findings, as_json=given.json)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

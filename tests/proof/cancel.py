"""Is any bill unrecorded, or anything left behind, when work is cancelled at its k-th suspension?

Each verb runs in each condition and is interrupted when it, or a task that it started, suspends for
the k-th time, for every k until the work ends before that. The ways: cancelled; cancelled when the
awaited future is done and the task not yet resumed; cancelled twice; two to five times in
consecutive iterations of the event loop; in every iteration until it has ended (as anyio cancels);
timed out; its client closed; its program ended by SystemExit. Sockets, files and threads are real,
time is virtual. `tests/support/cancelling.py` interrupts, and says what is checked.

Exits with 1 on a finding.
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
    """A verb, its condition, and the way of interrupting it."""

    verb: str
    condition: str
    way: str
    again: int = 1


@attrs.frozen
class Finding:
    """A violation, and the interruption that reproduces it."""

    what: str
    interruption: str


@attrs.frozen(kw_only=True)
class Found:
    """The findings of a scene that was interrupted at every k."""

    scene: Scene
    interruptions: int
    findings: list[Finding]


def wanted(
    verbs: Sequence[str], conditions: Sequence[str], ways: Sequence[str], again: int
) -> Iterator[Scene]:
    """Yield the scenes to run.

    `again` is the most suspensions between the first cancellation and a second.
    """
    for verb, condition, way in itertools.product(verbs, conditions, ways):
        if way == "exit" and scenes.CONDITIONS[condition].receives:
            continue  # its receiver ends with the first event loop
        numbers = {"cancel twice": range(1, again + 1), "cancel often": range(2, 6)}
        for number in numbers.get(way, (1,)):
            yield Scene(verb=verb, condition=condition, way=way, again=number)


def interrupt(scene: Scene, stride: int) -> Found:
    """Interrupt a scene at every k."""
    count, findings = 0, list[Finding]()
    for interruption, outcome in cancelling.every_k(**attrs.asdict(scene), stride=stride):
        count += 1
        findings += [Finding(one, str(interruption)) for one in outcome.findings]
    return Found(scene=scene, interruptions=count, findings=findings)


def begin() -> None:
    """Prepare a process."""
    _here.enter_context(cancelling.from_here())


def main(arguments: Sequence[str] | None = None) -> int:
    """Interrupt every scene, count, and judge."""
    options = catalogs.parser(__doc__)
    options.add_argument("--verbs", nargs="+", default=[*scenes.VERBS])
    options.add_argument("--conditions", nargs="+", default=[*scenes.CONDITIONS])
    options.add_argument("--ways", nargs="+", default=[*cancelling.WAYS])
    options.add_argument("--stride", type=int, default=1, help="interrupt at every n-th k only")
    options.add_argument(
        "--again", type=int, default=3, help="cancel twice: up to so many suspensions later"
    )
    options.add_argument("--processes", type=int, default=os.cpu_count())
    given = options.parse_args(arguments)
    began, counts, findings = time.monotonic(), Counter[str](), list[Finding]()
    all_scenes = [*wanted(given.verbs, given.conditions, given.ways, given.again)]
    with ProcessPoolExecutor(given.processes, initializer=begin) as pool:
        for found in pool.map(interrupt, all_scenes, itertools.repeat(given.stride)):
            counts[found.scene.verb] += found.interruptions
            findings += found.findings
    figures: dict[str, object] = {f"{verb}, interruptions": count for verb, count in counts.items()}
    figures |= {
        "scenes": len(all_scenes),
        "interruptions": counts.total(),
        "findings": len(findings),
    }
    figures["seconds"] = time.monotonic() - began
    catalogs.show(figures, findings, as_json=given.json)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

"""Do any bytes that a coverage-guided fuzzer finds cause anything but one of our errors?

Each target of `fuzz_targets.py` and `fuzz_worlds.py` is fuzzed in a process of its own by atheris
(libFuzzer), which keeps the inputs that reach new code and changes them further. A finding is an
input that raises what is no promised error, that is read as something absurd, that takes more than
50 ms of CPU three times in a row, or more memory than its target allows. The bias: coverage is of
this package's Python alone; what happens inside json, csv and SQLite is seen by its results only.

`pip install atheris` first. Exits with 1 if anything was found.
"""

import argparse
import importlib
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

NAMES = (
    "answers",
    "retry-after",
    "callback-bodies",
    "callback-urls",
    "signatures",
    "callbacks",
    "catalogs",
    "ledger-bytes",
    "ledger-rows",
    "http",
)
_MOST_FINDINGS = 20  # kept of a target
_WORDS = (
    *("code", "msg", "data", "taskId", "task_id", "parentTaskId", "successFlag", "status"),
    *("response", "images", "createTime", "completeTime", "errorCode", "errorMessage", "sunoData"),
    *(
        "audioUrl",
        "null",
        "true",
        "NaN",
        "1e999",
        "-0.0",
        "9999999999999999",
        "[[[[[[[[",
        "\\\\ud800",
    ),
    *("2025-01-15T10:35:27.000Z", "0001-01-01", "9999-12-31T23:59:59.999999", "+23:59", "GMT"),
    *(
        "music_task_id",
        "title",
        "\\xef\\xbb\\xbf",
        "\\xff\\xfe",
        "\\x00",
        "\\x0d\\x0a",
        "\\x22\\x22",
    ),
    *("Content-Length: ", "Transfer-Encoding: chunked", "Content-Encoding: gzip", "Retry-After: "),
)


class Fuzzed:
    """One target in this process, until its time is up; what was found goes into a folder."""

    def __init__(self, target: Any, judge: Any, *, seconds: float, into: Path) -> None:
        """Begin to count."""
        self._target = target
        self._judge = judge
        self._until = time.monotonic() + seconds
        self._into = into
        self._kinds: set[str] = set()
        self.inputs = 0
        self.outcomes: Counter[str] = Counter()
        self.slowest: tuple[float, str] = (0.0, "")
        self.largest: tuple[int, str] = (0, "")
        self.findings: list[dict[str, str]] = []

    def one(self, given: bytes) -> None:
        """Judge one input; the process ends with the first after the time is up."""
        judged = self._judge(self._target, given)
        self.inputs += 1
        self.outcomes[judged.outcome] += 1
        shown = f"{given!a:.100}"
        self.slowest = max(self.slowest, (judged.seconds, shown))
        self.largest = max(self.largest, (judged.peak, shown))
        kind = re.sub(r"[0-9]+|'.*", "", judged.wrong)
        if judged.wrong and kind not in self._kinds and len(self.findings) < _MOST_FINDINGS:
            self._kinds.add(kind)
            file = self._into / f"{self._target.name}.{len(self.findings)}"
            file.write_bytes(given)
            self.findings.append({"wrong": judged.wrong, "file": str(file)})
        if time.monotonic() > self._until:
            report = {key: value for key, value in vars(self).items() if not key.startswith("_")}
            sys.stdout.write(json.dumps(report))
            sys.stdout.flush()
            os._exit(0)  # libFuzzer has no other end that leaves the exit code alone


def fuzz_here(name: str, chosen: argparse.Namespace, corpus: Path) -> None:
    """Fuzz one target; never returns."""
    atheris: Any = importlib.import_module("atheris")  # before what it instruments
    with atheris.instrument_imports(include=["suno_cover_async"]):
        from tests.proof import fuzz_judge, fuzz_worlds  # noqa: PLC0415

    with fuzz_worlds.opened() as targets:
        target = targets[name]
        for number, seed in enumerate(target.seeds()):
            (corpus / f"seed-{number}").write_bytes(seed)
        words = corpus.with_suffix(".dict")
        words.write_text("\n".join(f'"{word}"' for word in _WORDS))
        fuzzed = Fuzzed(target, fuzz_judge.judge, seconds=chosen.seconds, into=chosen.into)
        limits = (
            f"-max_len={target.longest}",
            f"-seed={chosen.seed}",
            f"-artifact_prefix={corpus}.",
        )
        atheris.Setup([sys.argv[0], str(corpus), f"-dict={words}", *limits], fuzzed.one)
        atheris.Fuzz()


def fuzz(name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Fuzz one target in a child, and return its report."""
    with tempfile.TemporaryDirectory(prefix="suno-fuzz-") as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        child = [sys.executable, "-m", "tests.proof.fuzz", "--child", str(corpus), "--target", name]
        policies = ("--seconds", str(chosen.seconds), "--seed", str(chosen.seed))
        ended = subprocess.run(  # noqa: S603 - this very script
            [*child, *policies, "--into", str(chosen.into)],
            capture_output=True,
            check=False,
        )
    log = ended.stderr.decode(errors="replace")
    covered = [int(found) for found in re.findall(r"cov: ([0-9]+)", log)]
    report: dict[str, Any]
    if ended.returncode or not ended.stdout:
        last = f"ended with {ended.returncode}: {log[-600:]}"
        report = {"inputs": 0, "findings": [{"wrong": last, "file": ""}]}
    else:
        report = json.loads(ended.stdout)
    return {"target": name, "covered": (covered or [0])[:1] + covered[-1:], **report}


def replay(file: Path, name: str) -> int:
    """Judge one input again, and say how it ends."""
    # Without atheris, that is all it takes.
    from tests.proof import fuzz_judge, fuzz_worlds  # noqa: PLC0415

    with fuzz_worlds.opened() as targets:
        judged = fuzz_judge.judge(targets[name], file.read_bytes())
    wrong = judged.wrong or "nothing is wrong"
    print(
        f"{name}: {judged.outcome}, {judged.seconds * 1000:.1f} ms, {judged.peak:,} bytes: {wrong}"
    )
    return 1 if judged.wrong else 0


def main(arguments: list[str] | None = None) -> int:
    """Fuzz, and print what came of it; 1 if there was a finding."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--target", action="append", choices=NAMES, help="which; all by default")
    parser.add_argument("--seconds", type=float, default=150, help="of each target (150)")
    parser.add_argument(
        "--seed", type=int, default=1, help="what libFuzzer's choices depend on (1)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time (2)")
    parser.add_argument("--into", type=Path, default=Path("findings"), help="findings/")
    parser.add_argument("--replay", type=Path, help="judge this file again, and nothing else")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(arguments)
    if chosen.replay:
        name = (chosen.target or [chosen.replay.name.partition(".")[0]])[0]
        return replay(chosen.replay, name)
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed here: pip install atheris (Linux, CPython to 3.13)")
    chosen.into.mkdir(parents=True, exist_ok=True)
    if chosen.child:
        fuzz_here(chosen.target[0], chosen, chosen.child)
    with ThreadPoolExecutor(chosen.jobs) as pool:
        reports = [*pool.map(lambda name: fuzz(name, chosen), chosen.target or NAMES)]
    versions = {"python": platform.python_version()} | {
        name: version(name) for name in ("suno-cover-async", "atheris", "aiohttp")
    }
    print(json.dumps(versions | {"targets": reports}) if chosen.json else _shown(versions, reports))
    return 1 if any(report["findings"] for report in reports) else 0


def _shown(versions: dict[str, str], reports: list[dict[str, Any]]) -> str:
    lines = [" · ".join(f"{name} {number}" for name, number in versions.items())]
    for report in reports:
        first, last = report["covered"]
        seconds, _ = report.get("slowest", (0, ""))
        peak, _ = report.get("largest", (0, ""))
        lines.append(
            f"{report['target']:<16} {report['inputs']:>10,} inputs, coverage {first:,} to {last:,}"
            f", slowest {seconds * 1000:.1f} ms, largest {peak / 1e6:.1f} MB, "
            f"{len(report['findings'])} findings"
        )
        lines += [f"  FINDING {one['wrong']} ({one['file']})" for one in report["findings"]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

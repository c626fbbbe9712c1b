"""The mutation score: how many small faults in the code the tests notice.

cosmic-ray makes the mutants. A seed takes a sample of them, and each is judged in a copy of the
checkout by the tests that `mutation.toml` names. Log calls and f-strings stay as they are. The
seed ranks mutants by the lines that they change, so code that only moves keeps its sample.
"""

import difflib
import hashlib
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.testing import TestOutcome, run_tests
from parso.python.tree import Keyword

CONFIG = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
EFFECT = re.compile(r"await |del |[\w.]+\(|\w+[.\[][^=(:]* = |[^=(]+ [-+|]= ")
Mutant = tuple[Path, str, str, list[str]]  # a module, its fault, the code with it, rounds of tests


class RemoveStatement:
    """Leave out a statement that has an effect and binds no name: cosmic-ray cannot."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        if node.type == "simple_stmt" and EFFECT.match(node.get_code(include_prefix=False)):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, _index: int) -> Any:
        node.children[0] = Keyword("pass", node.start_pos, node.get_first_leaf().prefix)
        return node


def mutants(folder: str) -> list[Mutant]:
    """Make all mutants of a folder, in an order that the seed gives."""
    wider = " ".join(CONFIG["folders"][folder]["wider"])
    made: list[tuple[bytes, Mutant]] = []
    for file in sorted(Path("suno_cover_async", folder).rglob("[!_]*.py")):
        module = file.relative_to("suno_cover_async").with_suffix("")
        own = f"unit/{module.parent}/test_{module.name}"
        if not Path(f"tests/{own}.py").exists():  # an interface without code of its own
            own = wider
        for line, fault, code in faults(file.read_text()):
            rank = hashlib.sha256(f"{CONFIG['seed']} {fault}".encode()).digest()
            made.append((rank, (file, f"{file}:{line} {fault}", code, [own, wider])))
    return [mutant for _, mutant in sorted(made, key=lambda ranked: ranked[0])]


def faults(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield the faults that a module could have: the line, what is changed, the whole code."""
    nodes = [*ast_nodes(get_ast(source))]
    core = [get_operator(f"core/{name}")() for name in CONFIG["operators"]]
    for operator in (*core, RemoveStatement()):
        found = [(node, at[0]) for node in nodes for at, _ in operator.mutation_positions(node)]
        for occurrence, (node, line) in enumerate(found):
            with suppress(AttributeError):  # cosmic-ray cannot replace `asyncio.TimeoutError`
                if not is_left_alone(node):
                    code = mutate_code(source, operator, occurrence)
                    pair = (source.splitlines(), code.splitlines())
                    diff = "\n".join([*difflib.unified_diff(*pair, n=0)][3:])
                    yield line, f"{type(operator).__name__} {diff}", code


def is_left_alone(node: Any) -> bool:
    """Whether a node is part of a message, or a mark among parameters that is written as `*`."""
    statement = node if node.type == "simple_stmt" else node.search_ancestor("simple_stmt")
    is_logged = statement is not None and "_log." in statement.get_code(include_prefix=False)
    is_mark = node.type == "operator" and node.parent.type in ("parameters", "param")
    return is_logged or is_mark or node.search_ancestor("fstring") is not None


def enter_copy(place: str) -> None:
    """Give this process a copy of the checkout that it may spoil."""
    copy = Path(place, str(os.getpid()))
    shutil.copytree(".", copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy)


def judge(mutant: Mutant) -> tuple[str, str]:
    """Return what became of a mutant, killed, timed out or survived, and the test that failed."""
    file, _, code, rounds = mutant
    original = file.read_text()
    file.write_text(code)
    try:
        for names in rounds:
            files = " ".join(f"tests/{name}.py" for name in names.split())
            outcome, output = run_tests(f"{CONFIG['command']} {files}", CONFIG["seconds"])
            if outcome is not TestOutcome.SURVIVED:
                failed = re.search(r"^(?:FAILED|ERROR) (.+)", output, re.MULTILINE)
                is_late = output == "timeout" or "Timeout (>" in output
                is_clear = failed or not output  # no output: it could not even be imported
                outcome = "timed out" if is_late else "killed" if is_clear else "unclear"
                return outcome, failed[1] if failed else output
    finally:
        file.write_text(original)
    return "survived", ""


def main() -> None:
    """Judge a sample of each folder's mutants; print what became of each, and the scores."""
    with (
        tempfile.TemporaryDirectory() as place,
        ProcessPoolExecutor(2, initializer=enter_copy, initargs=(place,)) as pool,
    ):
        for folder in sys.argv[1:] or CONFIG["folders"]:
            made = mutants(folder)
            sample = made[: CONFIG["sample"]]
            rounds = sorted({names for *_, rounds in sample for names in rounds})
            file = sample[0][0]
            sound = [(file, "", file.read_text(), [names]) for names in rounds]
            alone = [test for outcome, test in pool.map(judge, sound) if outcome != "survived"]
            if alone:
                raise SystemExit(f"without any fault, these fail or are late: {alone}")
            seen = Counter[str]()
            for mutant, (outcome, test) in zip(sample, pool.map(judge, sample), strict=True):
                seen[outcome] += 1
                print(f"{outcome}: {mutant[1]}", test, sep="\n", flush=True)
            counts = [seen[outcome] for outcome in ("killed", "timed out", "survived")]
            judged = sum(counts)  # without those of which pytest told nothing
            row = (folder, len(made), judged, *counts, f"{1 - counts[2] / judged:.0%}")
            print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    main()

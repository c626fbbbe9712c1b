"""A quick share of `benchmarks/hostile_callbacks.py`: the same inputs, from the same generator."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks/hostile_callbacks.py"


@pytest.fixture(scope="module")
def hostile() -> Any:
    if not SCRIPT.exists():
        pytest.skip("benchmarks/ is not here: these tests run away from the checkout")
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_hostile_callbacks_are_refused_and_valid_ones_are_read(hostile: Any) -> None:
    # Whoever traces each line, as coverage does, takes longer than an attacker may make us take.
    report = hostile.attack(20_000, seed=2026, ceiling=0.25)

    assert report.findings == []
    for target in hostile.TARGETS:
        assert report.by_target[f"{target.name}: refused"] > 3_000
        assert report.by_target[f"{target.name}: believed"] > 100


def test_a_finding_is_printed_with_what_brings_it_back(
    hostile: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    report = hostile.attack(50, seed=3, ceiling=-1)  # so strict that every input is a finding

    again = hostile.attack(1, seed=3, first=report.findings[40].index, ceiling=-1)
    assert hostile.main(["--count", "40", "--seed", "3", "--json"]) == 0

    assert [finding.index for finding in report.findings] == [*range(50)]
    assert again.findings[0].target == report.findings[40].target
    assert again.findings[0].given == report.findings[40].given
    assert json.loads(capsys.readouterr().out)["findings"] == []

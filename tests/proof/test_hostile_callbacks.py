"""A quick form of `hostile_callbacks.py`: the same inputs, from the same generator."""

import json

import pytest

from tests.proof import hostile_callbacks


def test_hostile_callbacks_are_refused_and_valid_ones_are_read() -> None:
    # Tracing each line, as coverage does, takes longer than the limit on CPU.
    report = hostile_callbacks.attack(20_000, seed=2026, ceiling=0.25)

    assert report.findings == []
    for target in hostile_callbacks.TARGETS:
        assert report.by_target[f"{target.name}: refused"] > 3_000
        assert report.by_target[f"{target.name}: believed"] > 100


def test_a_finding_is_printed_with_what_brings_it_back(capsys: pytest.CaptureFixture[str]) -> None:
    report = hostile_callbacks.attack(
        50, seed=3, ceiling=-1
    )  # so strict that every input is a finding

    again = hostile_callbacks.attack(1, seed=3, first=report.findings[40].index, ceiling=-1)
    assert hostile_callbacks.main(["--count", "40", "--seed", "3", "--json"]) == 0

    assert [finding.index for finding in report.findings] == [*range(50)]
    assert again.findings[0].target == report.findings[40].target
    assert again.findings[0].given == report.findings[40].given
    assert json.loads(capsys.readouterr().out)["findings"] == []

"""The throughput of the last five minutes."""

import pytest

from suno_cover_async.cli.output.throughput import Throughput


def test_nothing_is_foretold_before_there_is_a_rate() -> None:
    throughput = Throughput()
    unknown = throughput.per_minute(5.0)
    throughput.note(5.0, 1)
    throughput.note(10.0, 6)
    early = throughput.per_minute(14.0)

    assert (unknown, early) == (None, None)
    assert throughput.per_minute(15.0) == pytest.approx(30.0)


def test_the_rate_is_that_of_the_last_five_minutes() -> None:
    throughput = Throughput()
    for second in range(1_000):
        throughput.note(float(second), 5 * second)
    for second in range(1_000, 2_000):
        throughput.note(float(second), 4_000 + second)

    assert throughput.per_minute(2_000.0) == pytest.approx(60.0, rel=0.01)


def test_there_is_no_rate_while_nothing_ends() -> None:
    throughput = Throughput()
    for second in range(0, 600, 5):
        throughput.note(float(second), 40)

    assert throughput.per_minute(600.0) is None


def test_a_rate_falls_as_time_passes_without_an_end() -> None:
    throughput = Throughput()
    throughput.note(0.0, 0)
    throughput.note(60.0, 60)

    assert throughput.per_minute(60.0) == pytest.approx(60.0)
    assert throughput.per_minute(120.0) == pytest.approx(30.0)


def test_ends_within_one_second_are_all_counted() -> None:
    throughput = Throughput()
    throughput.note(0.0, 0)
    for number in range(1, 101):
        throughput.note(30 + number / 1_000, number)

    assert throughput.per_minute(60.0) == pytest.approx(100.0)


def test_memory_stays_small_however_often_something_ends() -> None:
    throughput = Throughput()
    for number in range(20_000):
        throughput.note(number / 10, number)

    assert len(throughput._samples) <= 302


def test_a_shared_ledger_has_no_rate_before_a_minute() -> None:
    throughput = Throughput(60.0)
    throughput.note(5.0, 1)
    throughput.note(40.0, 31)

    assert throughput.per_minute(64.0) is None
    assert throughput.per_minute(65.0) == pytest.approx(30.0)

"""Processes with one limit, over real sockets: a strict server refuses none of their requests."""

from pathlib import Path

import pytest

from tests.support.limit_processes import CALLS, run
from tests.support.permit_tables import make_tables

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

SECONDS = 0.5


@pytest.fixture(params=["file", "database"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The path of a file, or the URL of a database."""
    if request.param == "file":
        return str(tmp_path / "limit.db")
    url: str = request.getfixturevalue("database_url")
    make_tables(url)
    return url


@pytest.mark.parametrize("loads", [(25, 25, 25, 25), (97, 1, 1, 1)])
async def test_four_processes_at_once_are_never_refused(where: str, loads: tuple[int, ...]) -> None:
    seen = await run(where, loads, seconds=SECONDS)

    assert len(seen.arrived) == sum(loads)
    assert seen.refused == 0


async def test_short_runs_after_each_other_are_never_refused(where: str) -> None:
    seen = await run(where, [CALLS] * 3, seconds=3.0, in_turn=True)

    assert len(seen.arrived) == 3 * CALLS
    assert seen.refused == 0
    assert seen.arrived[-1] - seen.arrived[0] >= 6.0


async def test_the_death_of_a_process_causes_no_refusal_and_holds_nothing_up_for_ever(
    where: str,
) -> None:
    loads = (1000, 30, 30, 30)
    seen = await run(where, loads, seconds=SECONDS, delay=(0.0, 0.2), kill_after=35)

    assert len(seen.arrived) >= sum(loads[1:])
    assert seen.refused == 0

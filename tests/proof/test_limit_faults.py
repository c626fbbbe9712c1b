"""Processes with one limit in a database, through kills, stops, drops, restarts and crashes."""

import random

import pytest

from tests.proof.limit_faults import FAULTS, suffer
from tests.support.postgres import Server

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_no_window_ever_has_more_than_the_limit_whatever_fails(
    own_postgres: Server,
) -> None:
    result = await suffer(FAULTS, 0.5, random.Random(3), own_postgres, down=1)

    assert result.refused == 0
    assert result.fullest <= 20

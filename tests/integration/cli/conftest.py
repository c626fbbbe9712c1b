"""Fixtures that the tests of this folder share."""

from collections.abc import AsyncIterator

import pytest

from suno_cover_async.sandbox import Sandbox
from tests.support.batch_commands import QUICK
from tests.support.commands import (
    sandbox_with,
)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandbox_with(QUICK) as sandbox:
        yield sandbox

"""Fixtures that the tests of this folder share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.raw_sandbox import Mailbox, a_mailbox


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with a_mailbox() as box:
        yield box

"""A bot with what it calls: a stand-in of its chat platform, and a sandbox."""

import importlib.util
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import attrs
import pytest

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.canary import API_KEY
from tests.support.chat_platforms.bots import Bot, Chat, bot_of
from tests.support.chat_platforms.discord_platform import discord
from tests.support.chat_platforms.slack_platform import slack
from tests.support.chat_platforms.telegram_platform import telegram
from tests.support.waiting import until

PLATFORMS: dict[str, Callable[[], AbstractAsyncContextManager[Chat]]] = {
    "discord": discord,
    "aiogram": telegram,
    "slack_bolt": slack,
}
"""By the library that the bot uses."""

QUICK = Scenario(image_size=16, polls=4, rate_limit=None)
UNFINISHED = Scenario(image_size=16, null_polls=1_000_000, rate_limit=None)


@attrs.frozen
class Place:
    """A chat platform, the API and the bot between them."""

    chat: Chat
    sandbox: Sandbox
    bot: Bot

    @property
    def ends(self) -> list[str]:
        """The last text of each message that says how it ended."""
        last = [texts[-1] for texts in self.chat.messages]
        return [text for text in last if not text.endswith("…")]

    async def ended(self, covers: int = 1) -> None:
        """Return once so many messages say how they ended."""
        await until(lambda: len(self.ends) >= covers, every=0.02)


@asynccontextmanager
async def place(
    library: str, folder: Path, scenario: Scenario = QUICK, **changes: str
) -> AsyncGenerator[Place, None]:
    """Run a platform and a sandbox, and prepare a bot; skip the test without its library.

    Args:
        library: The library that the bot uses.
        folder: Where the bot runs.
        scenario: How the API behaves.
        changes: Constants of the example with other values.
    """
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    async with PLATFORMS[library]() as chat, Sandbox(scenario, api_key=API_KEY) as sandbox:
        yield Place(chat, sandbox, bot_of(chat, folder, sandbox, **changes))

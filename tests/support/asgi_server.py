"""An ASGI server in memory, as far as one conversation goes."""

import asyncio
from typing import Any

from suno_cover_async.callbacks.asgi import Application


class Server:
    """Hands out messages, and keeps what is sent.

    After the last message it `hangs`, or asking for one more is an error.
    """

    def __init__(self, *messages: dict[str, Any], deaf: bool = False, hangs: bool = False) -> None:
        self.messages, self.deaf, self.hangs = list(messages), deaf, hangs
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if self.hangs and not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        if self.deaf:
            raise OSError("the caller left")
        self.sent.append(message)

    async def run(self, app: Application, **scope: Any) -> list[Any]:
        await app(scope, self.receive, self.send)
        return self.sent

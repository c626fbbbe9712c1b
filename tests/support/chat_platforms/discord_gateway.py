"""Discord's gateway on loopback: a web socket that greets a bot and tells it of commands."""

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.support.chat_platforms.stand_in import STARTED

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, HELLO, HEARTBEAT_ACK = 0, 1, 2, 6, 10, 11


class Gateway:
    """The web sockets of bots: one at a time.

    Attributes:
        tokens: The token of each bot that identified itself.
    """

    def __init__(self, *greetings: tuple[str, dict[str, Any]]) -> None:
        """Dispatch these events to each bot that identifies itself."""
        self.tokens: list[str] = []
        self._greetings = greetings
        self._socket: web.WebSocketResponse | None = None
        self._is_greeted = asyncio.Event()
        self._sequence = 0

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Speak with one bot until it leaves. Events are sent as text, uncompressed."""
        self._socket = socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": HELLO, "d": {"heartbeat_interval": 41_250}})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._heard(socket, json.loads(message.data))
        self._is_greeted.clear()
        return socket

    async def _heard(self, socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        if said["op"] == HEARTBEAT:
            await socket.send_json({"op": HEARTBEAT_ACK})
        elif said["op"] == IDENTIFY:
            self.tokens.append(said["d"]["token"])
            for name, data in self._greetings:
                await self._send(socket, name, data)
            self._is_greeted.set()

    async def dispatch(self, name: str, data: dict[str, Any]) -> None:
        """Tell the bot of an event, once there is one."""
        async with asyncio.timeout(STARTED):
            await self._is_greeted.wait()
        assert self._socket is not None
        await self._send(self._socket, name, data)

    async def _send(self, socket: web.WebSocketResponse, name: str, data: dict[str, Any]) -> None:
        self._sequence += 1
        await socket.send_json({"op": DISPATCH, "t": name, "s": self._sequence, "d": data})

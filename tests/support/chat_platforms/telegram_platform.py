"""Telegram's Bot API on loopback, as aiogram calls it: long polls, messages, albums."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.support.chat_platforms.stand_in import STARTED, Call, Refusal, StandIn, in_json
from tests.support.waiting import until

TOKEN = "1234567:Canary-of-Telegram-Kingfisher-77"
BOT = {"id": 1234567, "is_bot": True, "first_name": "Covers", "username": "covers_bot"}
CHAT = {"id": -100200300, "type": "group", "title": "Songs"}
USERS = {"ada": 11, "bob": 12, "eve": 66}
CHANNEL = {"id": -100200301, "type": "channel", "title": "News of songs"}
SHARED: dict[str, tuple[int, dict[str, Any]]] = {
    "group": (1087968824, CHAT),
    "channel": (136817688, CHANNEL),
}
"""The user id that Telegram gives to all who write as their group or as a channel, and as what."""


class Telegram:
    """A group with a bot; see `Chat`."""

    program = "telegram_bot.py"
    command = (program,)
    secrets = (TOKEN,)

    def __init__(self) -> None:
        self.server = StandIn(self._answer)
        self._updates: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._texts: dict[int, list[str]] = {}
        self._albums: list[list[bytes]] = []
        self._last_id = self._confirmed = 0
        self.acknowledged: list[float] = []
        self.refusals: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TELEGRAM_TOKEN": TOKEN,
            "TELEGRAM_API_URL": self.server.url,
            "TELEGRAM_USERS": "11, 12",
        }

    @property
    def messages(self) -> list[list[str]]:
        return list(self._texts.values())

    @property
    def images(self) -> list[bytes]:
        return [one for album in self._albums for one in album]

    async def ask(self, song: str, *, user: str = "ada") -> None:
        """See `Chat`; the users `group` and `channel` are those of `SHARED`."""
        number, sender = SHARED.get(user) or (USERS[user], None)
        question: dict[str, Any] = {
            "message_id": self._id(),
            "date": 1_700_000_000,
            "chat": CHAT,
            "from": {"id": number, "is_bot": sender is not None, "first_name": user},
            "text": f"/cover {song}",
            "entities": [{"type": "bot_command", "offset": 0, "length": 6}],
        }
        if sender:
            question["sender_chat"] = sender
        self._updates.append({"update_id": len(self._updates) + 1, "message": question})
        self._news.set()
        number = len(self._updates)
        await until(lambda: self._confirmed >= number, every=0.02, within=STARTED)

    def refuse(self, kind: str) -> None:
        busy = {"ok": False, "error_code": 429, "description": "Too Many Requests: retry after 1"}
        refusals = {
            "busy": Refusal(status=429, body=busy | {"parameters": {"retry_after": 1}}),
            "broken": Refusal(
                status=502, body={"ok": False, "error_code": 502, "description": "Bad Gateway"}
            ),
            "cut": Refusal(status=0),
        }
        for path in ("/editMessageText", "/sendMediaGroup"):
            self.server.refuse(path, refusals[kind])

    def _id(self) -> int:
        self._last_id += 1
        return self._last_id

    def is_harmless(self, text: str) -> bool:
        sent = [one.fields for one in self.server.of("/editMessageText")]
        return not any("parse_mode" in one for one in sent if one["text"] == text)

    def is_told_to_stop(self, log: str) -> bool:
        return "Polling stopped" in log  # as aiogram says

    def forget(self) -> None:
        for kept in (self.acknowledged, self.refusals, self._texts, self._albums):
            kept.clear()
        self.server.refuse_no_more()

    async def _answer(self, call: Call, _request: web.Request) -> web.StreamResponse:
        bot, method = call.path.strip("/").split("/")
        if bot != f"bot{TOKEN}":
            body = {"ok": False, "error_code": 401, "description": "Unauthorized"}
            return in_json(body, 401)
        return in_json({"ok": True, "result": await self._result(method, call)})

    async def _result(self, method: str, call: Call) -> object:
        match method:
            case "getMe":
                return BOT
            case "getUpdates":
                return await self._polled(
                    int(call.fields.get("offset", 0)), float(call.fields["timeout"])
                )
            case "sendMessage":
                return self._sent(call)
            case "editMessageText":
                return self._edited(call)
            case "sendMediaGroup":
                self._albums.append(list(call.files.values()))
                return [self._message(self._id()) for _ in json.loads(call.fields["media"])]
        raise AssertionError(f"no bot calls {method}")

    async def _polled(self, offset: int, seconds: float) -> list[dict[str, Any]]:
        """Return what is not confirmed yet; wait for something new if all of it is."""
        self._confirmed = max(self._confirmed, offset - 1)
        try:
            async with asyncio.timeout(seconds):
                while not (new := [one for one in self._updates if one["update_id"] >= offset]):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return []
        return new

    def _sent(self, call: Call) -> dict[str, Any]:
        number, text = self._id(), str(call.fields["text"])
        answered = json.loads(call.fields["reply_parameters"])["message_id"]
        self.acknowledged.append(call.at)
        if "requested" in text:
            self._texts[number] = [text]
        else:
            self.refusals.append(text)
        assert answered < number
        return self._message(number, text)

    def _edited(self, call: Call) -> dict[str, Any]:
        number, text = int(call.fields["message_id"]), str(call.fields["text"])
        self._texts[number].append(text)
        return self._message(number, text)

    def _message(self, number: int, text: str = "") -> dict[str, Any]:
        return {
            "message_id": number,
            "date": 1_700_000_000,
            "chat": CHAT,
            "from": BOT,
            "text": text,
        }


@asynccontextmanager
async def telegram() -> AsyncIterator[Telegram]:
    """Run the platform."""
    chat = Telegram()
    async with chat.server:
        yield chat

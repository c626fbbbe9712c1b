"""Slack on loopback: signed commands to a bot, and the methods that it calls."""

import hashlib
import hmac
import json
import socket
import time
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.chat_platforms.stand_in import STARTED, Call, Refusal, StandIn, in_json
from tests.support.commands import a_free_port
from tests.support.waiting import until

TOKEN = "xoxb-Canary-of-Slack-Oystercatcher-31"
SECRET = "Canary-signing-Dunlin-0f77a2c4e1"
CHANNEL = "C0SONGS"
USERS = {"ada": "U0ADA", "bob": "U0BOB", "eve": "U0EVE"}


class Slack:
    """A workspace with a bot; see `Chat`."""

    program = "slack_bot.py"
    command = (program,)
    secrets = (TOKEN, SECRET)

    def __init__(self) -> None:
        self.server = StandIn(self._answer)
        self.port = a_free_port()
        self.statuses: list[int] = []
        self.acknowledged: list[float] = []
        self.refusals: list[str] = []
        self._texts: dict[str, list[str]] = {}
        self._uploaded: dict[str, bytes] = {}
        self.images: list[bytes] = []

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_SIGNING_SECRET": SECRET,
            "SLACK_API_URL": f"{self.server.url}/api/",
            "SLACK_USERS": "U0ADA, U0BOB",
            "PORT": str(self.port),
        }

    @property
    def messages(self) -> list[list[str]]:
        return list(self._texts.values())

    async def ask(
        self, song: str, *, user: str = "ada", secret: str = SECRET, **headers: str
    ) -> None:
        await until(self._is_there, every=0.02, within=STARTED)
        form = {
            "command": "/cover",
            "text": song,
            "user_id": USERS[user],
            "channel_id": CHANNEL,
            "team_id": "T0TEAM",
            "trigger_id": "1.2.3",
            "response_url": f"{self.server.url}/commands/1",
            "token": "obsolete",
        }
        body, sent_at = urllib.parse.urlencode(form), str(int(time.time()))
        signature = hmac.new(secret.encode(), f"v0:{sent_at}:{body}".encode(), hashlib.sha256)
        signed = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": sent_at,
            "X-Slack-Signature": f"v0={signature.hexdigest()}",
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"http://127.0.0.1:{self.port}/slack/events", data=body, headers=signed | headers
            ) as answer,
        ):
            self.acknowledged.append(time.monotonic())
            self.statuses.append(answer.status)
            if text := await answer.text():
                self.refusals.append(text)

    def refuse(self, kind: str) -> None:
        refusals = {
            "busy": Refusal(
                status=429, body={"ok": False, "error": "ratelimited"}, headers={"Retry-After": "1"}
            ),
            "broken": Refusal(status=503, body={"ok": False, "error": "service_unavailable"}),
            "cut": Refusal(status=0),
        }
        for path in ("/chat.update", "/upload/", "/files.completeUploadExternal"):
            self.server.refuse(path, refusals[kind])

    def _is_there(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def is_harmless(self, text: str) -> bool:
        return "&lt;!channel&gt;" in text and "<" not in text

    def is_told_to_stop(self, log: str) -> bool:  # noqa: ARG002 - aiohttp logs nothing of it
        return not self._is_there()

    def forget(self) -> None:
        for kept in (self.acknowledged, self.refusals, self._texts, self.images, self.statuses):
            kept.clear()
        self.server.refuse_no_more()

    async def _answer(self, call: Call, _request: web.Request) -> web.StreamResponse:
        if call.path.startswith("/upload/"):
            (self._uploaded[call.path.rpartition("/")[2]],) = call.files.values()
            return web.Response(text="OK")
        if call.path.startswith("/commands/"):
            self.refusals.append(call.fields["text"])
            return web.Response(text="ok")
        if call.token != f"Bearer {TOKEN}":
            return in_json({"ok": False, "error": "invalid_auth"})
        if call.path.endswith("chat.postMessage"):
            # A bot that acknowledges later than it posts waits here for ever. One that does not
            # requests a cover after this answer, so the two moments compare on a busy machine too.
            await until(lambda: bool(self.acknowledged), every=0.01)
        return in_json({"ok": True} | self._result(call))

    def _result(self, call: Call) -> dict[str, Any]:
        match call.path.rpartition("/")[2]:
            case "auth.test":
                return {"user_id": "U0BOT", "bot_id": "B0BOT", "team_id": "T0TEAM", "url": "x"}
            case "chat.postMessage":
                ts = f"{1_700_000_000 + len(self._texts)}.000100"
                self._texts[ts] = [call.fields["text"]]
                return {"channel": call.fields["channel"], "ts": ts}
            case "chat.update":
                self._texts[call.fields["ts"]].append(call.fields["text"])
                return {"channel": call.fields["channel"], "ts": call.fields["ts"]}
            case "files.getUploadURLExternal":
                name = f"F{len(self.server.of('getUploadURL'))}"
                return {"file_id": name, "upload_url": f"{self.server.url}/upload/{name}"}
            case "files.completeUploadExternal":
                return {"files": self._completed(call)}
        raise AssertionError(f"no bot calls {call.path}")

    def _completed(self, call: Call) -> list[dict[str, str]]:
        """Show what was uploaded in the thread of a message."""
        assert call.fields["thread_ts"] in self._texts
        assert call.fields["channel_id"] == CHANNEL
        files = call.fields["files"]
        names = [one["id"] for one in (json.loads(files) if isinstance(files, str) else files)]
        self.images += [self._uploaded[name] for name in names]
        return [{"id": name} for name in names]


@asynccontextmanager
async def slack() -> AsyncIterator[Slack]:
    """Run the platform."""
    chat = Slack()
    async with chat.server:
        yield chat

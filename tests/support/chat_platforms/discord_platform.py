"""Discord on loopback: its REST API and gateway, as discord.py calls them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.support.chat_platforms.discord_gateway import Gateway
from tests.support.chat_platforms.stand_in import Call, Refusal, StandIn, in_json

TOKEN = "Canary.of-Discord.Turnstone-5c19ab"
BOT = {
    "id": "1001",
    "username": "covers",
    "discriminator": "0",
    "avatar": None,
    "global_name": None,
    "bot": True,
}
GUILD, CHANNEL, ROLE, OTHER_ROLE = "2001", "3001", "4001", "4002"
OTHER_GUILD = "2002"  # of somebody who invited the bot
USERS = {"ada": "11", "bob": "12", "eve": "66"}
VIEW, SEND, ATTACH = 1 << 10, 1 << 11, 1 << 15
MANAGE = 1 << 5
START = """
import runpy, sys, discord.gateway, discord.http, yarl
discord.http.Route.BASE = sys.argv[1]
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(sys.argv[2])
runpy.run_path("discord_bot.py", run_name="__main__")
"""
"""Sets the two addresses that discord.py calls, and runs the program as it is."""


def role(number: str, name: str) -> dict[str, Any]:
    colours = {"color": 0, "colors": {"primary_color": 0}}
    more = {"hoist": False, "position": 1, "permissions": "0", "managed": False}
    return {"id": number, "name": name, "mentionable": False, "flags": 0} | more | colours


def text_channel(guild: str) -> dict[str, Any]:
    return {
        "id": CHANNEL if guild == GUILD else "3002",
        "type": 0,
        "name": "songs",
        "position": 0,
        "guild_id": guild,
        "permission_overwrites": [],
    }


def guild_create(guild: str, *roles: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": guild,
        "name": "A label",
        "owner_id": "9",
        "roles": [role(guild, "@everyone"), *roles],
        "channels": [text_channel(guild)],
        "member_count": 4,
        "members": [],
        "emojis": [],
        "features": [],
        "premium_tier": 0,
        "preferred_locale": "en-US",
    }


class Discord:
    """Two guilds with a bot; see `Chat`.

    Attributes:
        may_post: Whether the bot has the permission to write in the channel.
    """

    program = "discord_bot.py"
    secrets = (TOKEN,)

    def __init__(self) -> None:
        self.server = StandIn(self._answer)
        ready = {
            "v": 10,
            "user": BOT,
            "guilds": [{"id": one, "unavailable": True} for one in (GUILD, OTHER_GUILD)],
            "session_id": "session",
            "resume_gateway_url": "ws://127.0.0.1:1",
            "application": {"id": "1001", "flags": 0},
        }
        own = guild_create(GUILD, role(ROLE, "spenders"), role(OTHER_ROLE, "listeners"))
        self.gateway = Gateway(
            ("READY", ready),
            ("GUILD_CREATE", own),
            ("GUILD_CREATE", guild_create(OTHER_GUILD)),
        )
        self.may_post = True
        self.acknowledged: list[float] = []
        self.refusals: list[str] = []
        self.images: list[bytes] = []
        self._texts: dict[str, list[str]] = {}
        self._asked = 0

    @property
    def command(self) -> tuple[str, ...]:
        gateway = f"{self.server.url.replace('http', 'ws', 1)}/socket/"
        return ("-c", START, f"{self.server.url}/api/v10", gateway)

    @property
    def environment(self) -> dict[str, str]:
        return {"DISCORD_TOKEN": TOKEN, "COVER_ROLES": f"{ROLE}, 7"}

    @property
    def messages(self) -> list[list[str]]:
        return [texts for texts in self._texts.values() if texts]

    async def ask(
        self, song: str, *, user: str = "ada", permissions: int = 0, guild: str = GUILD
    ) -> None:
        self._asked += 1
        token = f"interaction-{self._asked}"
        member = {
            "user": {"id": USERS[user], "username": user, "discriminator": "0", "avatar": None},
            "roles": [OTHER_ROLE if user == "eve" else ROLE] if guild == GUILD else [],
            "joined_at": "2026-01-01T00:00:00+00:00",
            "deaf": False,
            "mute": False,
            "flags": 0,
            "permissions": str(permissions),
        }
        said = {
            "id": str(5000 + self._asked),
            "application_id": "1001",
            "type": 2,
            "token": token,
            "version": 1,
            "guild_id": guild,
            "channel": text_channel(guild),
            "channel_id": text_channel(guild)["id"],
            "member": member,
            "app_permissions": str(VIEW | (SEND | ATTACH if self.may_post else 0)),
            "attachment_size_limit": 10 * 1024 * 1024,
            "data": {
                "id": "6001",
                "name": "cover",
                "type": 1,
                "options": [{"name": "song", "type": 3, "value": song}],
            },
        }
        await self.gateway.dispatch("INTERACTION_CREATE", said)

    def refuse(self, kind: str) -> None:
        busy = {"message": "You are being rate limited.", "retry_after": 0.2, "global": False}
        refusals = {
            "busy": Refusal(status=429, body=busy, headers={"Via": "1.1 google"}),
            "broken": Refusal(status=502),
            "cut": Refusal(status=0),
        }
        self.server.refuse("/messages/@original", refusals[kind])

    def is_harmless(self, text: str) -> bool:
        return r"\*all\*" in text and r"\[x" in text  # mentions: see `_written`

    def is_told_to_stop(self, log: str) -> bool:
        return "told to stop" in log

    def forget(self) -> None:
        for kept in (self.acknowledged, self.refusals, self._texts, self.images):
            kept.clear()
        self.server.refuse_no_more()

    async def _answer(self, call: Call, request: web.Request) -> web.StreamResponse:
        if call.path.startswith("/socket"):
            return await self.gateway.serve(request)
        path = call.path.removeprefix("/api/v10")
        if path.startswith("/interactions/"):
            return in_json(self._called_back(path.split("/")[3], call))
        if path.startswith("/webhooks/"):  # the token in the path is enough
            return in_json(self._written(path.split("/")[3], call))
        if call.token != f"Bot {TOKEN}":
            return in_json({"message": "401: Unauthorized", "code": 0}, 401)
        return in_json(self._result(path, call))

    def _called_back(self, token: str, call: Call) -> dict[str, Any]:
        """Acknowledge an interaction: by a message to one person, or by a promise to all."""
        self.acknowledged.append(call.at)
        if call.fields["type"] == 4:
            assert call.fields["data"]["flags"] == 64  # only the user reads it
            self.refusals.append(call.fields["data"]["content"])
        else:
            assert call.fields["type"] == 5
            self._texts[token] = []
        return {"interaction": {"id": "5001", "type": 2, "response_message_id": "8001"}}

    def _written(self, key: str, call: Call) -> dict[str, Any]:
        """Write a message, or edit it."""
        assert call.fields["allowed_mentions"]["parse"] == []  # nobody is mentioned
        self._texts.setdefault(key, []).append(call.fields["content"])
        self.images += call.files.values()
        return {
            "id": "8001",
            "type": 0,
            "channel_id": CHANNEL,
            "author": BOT,
            "content": call.fields["content"],
            "timestamp": "2026-01-01T00:00:00+00:00",
            "edited_timestamp": None,
            "embeds": [],
            "attachments": [],
            "mentions": [],
            "mention_roles": [],
            "mention_everyone": False,
            "pinned": False,
            "tts": False,
        }

    def _result(self, path: str, call: Call) -> object:
        match call.method, path:
            case "GET", "/users/@me":
                return BOT
            case "GET", "/oauth2/applications/@me":
                described = {"name": "covers", "description": "", "icon": None, "verify_key": "0"}
                public = {"bot_public": False, "bot_require_code_grant": False}
                return {"id": "1001", "owner": BOT, "flags": 0} | described | public
            case "PUT", "/applications/1001/commands":
                own = {"id": "6001", "application_id": "1001", "version": "1"}
                return [one | own for one in call.fields["json"]]
            case "POST", _ if path == f"/channels/{CHANNEL}/messages":
                assert self.may_post
                return self._written(f"channel {len(self._texts)}", call)
        raise AssertionError(f"no bot calls {call.method} {path} {json.dumps(call.fields)}")


@asynccontextmanager
async def discord() -> AsyncIterator[Discord]:
    """Run the platform."""
    chat = Discord()
    async with chat.server:
        yield chat

"""The tools of the server: `cover`, `status` and `credits`.

It turns calls into calls of `AgentRun` and of the client, and answers into results of the protocol.
Every error that the agent can do something about is a result that says so; no other leaves here.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from mcp import types
from mcp.server import ServerRequestContext

from suno_cover_async.agents.answers import CreditsAnswer, SongAnswer, explain, refusal
from suno_cover_async.agents.arguments import (
    Arguments,
    check_names,
    id_of,
    track_of,
    wait_seconds_of,
)
from suno_cover_async.agents.news import Asked, LimitReachedError, ServerEndingError
from suno_cover_async.agents.run import AgentRun, Heard
from suno_cover_async.agents.schemas import tools
from suno_cover_async.client import SunoCoverClient, covers_of
from suno_cover_async.errors import SunoCoverError

Result: TypeAlias = types.CallToolResult
_Context: TypeAlias = ServerRequestContext[object]
_NOT_ASKED = "no cover of this song was asked for here: call cover, which costs money"


class Tools:
    """The tools of one server."""

    def __init__(self, client: SunoCoverClient, run: AgentRun) -> None:
        """Serve this run; the client requests what no run does."""
        self._client = client
        self._run = run
        self._tools: Mapping[str, Callable[[Arguments, Heard], Awaitable[Result]]] = {
            "cover": self._cover,
            "status": self._status,
            "credits": self._credits,
        }

    async def listed(
        self, _: _Context, __: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """Answer `tools/list`."""
        return types.ListToolsResult(tools=tools())

    async def call(self, context: _Context, call: types.CallToolRequestParams) -> Result:
        """Answer `tools/call`."""
        tool = self._tools.get(call.name)
        if tool is None:
            return failed(f"there is no such tool; there are {', '.join(self._tools)}")

        async def heard(seconds: float, step: str) -> None:
            # Without a token of the client, this sends nothing.
            await context.session.report_progress(seconds, message=step)

        arguments, key = call.arguments or {}, covers_of(self._client).account.key
        try:
            for name in ("music_task_id", "cover_task_id"):
                key.check_id(name, arguments.get(name))
            return await tool(arguments, heard)
        except (SunoCoverError, LimitReachedError, ServerEndingError, ValueError) as error:
            return failed(explain(error))

    async def _cover(self, arguments: Arguments, heard: Heard) -> Result:
        check_names(arguments, ("music_task_id", "title", "wait_seconds"))
        track, patience = track_of(arguments), wait_seconds_of(arguments)
        return _song(await self._run.cover(track, patience=patience, heard=heard))

    async def _status(self, arguments: Arguments, _: Heard) -> Result:
        names = ("music_task_id", "cover_task_id")
        check_names(arguments, names)
        if sum(arguments.get(name) is not None for name in names) != 1:
            raise ValueError("give music_task_id or cover_task_id, one of them")
        if arguments.get("music_task_id") is not None:
            return _song(await self._run.status(id_of("music_task_id", arguments)))
        return await self._status_of_task(id_of("cover_task_id", arguments))

    async def _status_of_task(self, cover_task_id: str) -> Result:
        details = await self._client.details(cover_task_id)
        if details.music_task_id is not None:
            asked = await self._run.status(details.music_task_id)
            entry = asked.entry
            if entry is not None and entry.task and entry.task.cover_task_id == cover_task_id:
                return _song(asked)
        return _result(SongAnswer.of_details(details))

    async def _credits(self, arguments: Arguments, _: Heard) -> Result:
        check_names(arguments, ())
        budget = await self._run.budget()
        return _result(CreditsAnswer.of(await self._client.credits(), budget))


def failed(words: str) -> Result:
    """Return a result that is an error."""
    return Result(content=[types.TextContent(text=words)], is_error=True)


def _song(asked: Asked) -> Result:
    words = refusal(asked)
    if words is not None:
        return failed(words)
    if asked.entry is None:
        return failed(_NOT_ASKED)
    return _result(SongAnswer.of(asked.entry, asked.error))


def _result(answer: SongAnswer | CreditsAnswer) -> Result:
    """Return an answer as data, and as text for clients that read no data."""
    data = answer.to_dict()
    return Result(content=[types.TextContent(text=json.dumps(data))], structured_content=data)

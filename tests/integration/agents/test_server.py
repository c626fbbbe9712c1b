"""The server as hosts of agents start it: a real process, and the SDK's own client."""

import asyncio
import signal
import sys
from pathlib import Path

import attrs
import pytest

from suno_cover_async import Ledger, TrackState
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Fault, Scenario
from tests.support.agents import agent_of, call, host_of, refused, saved, serving
from tests.support.commands import (
    finish,
    has_billed,
    names,
    needs_posix,
    sandbox_with,
    start,
    waits_for_details,
)
from tests.support.waiting import until

QUICK = Scenario(seconds=0.01, image_size=16, rate_limit=None)
NEVER = Scenario(seconds=3_600, image_size=16, rate_limit=None)
LATE = Scenario(
    seconds=0.01, image_size=16, rate_limit=None, slow=1.0, slow_seconds=1, faults_on={"submit"}
)

PAID = {TrackState.SUBMITTED, TrackState.COVERED, TrackState.SAVED}

PRINTING = """
import logging, sys
class Careless(logging.Handler):
    def emit(self, record):
        print("a stray line", flush=True)
        sys.__stdout__.write("another one\\n"); sys.__stdout__.flush()
        import os; os.write(1, b"a third one\\n")
logging.getLogger("suno_cover_async").addHandler(Careless())
from suno_cover_async.__main__ import main
sys.exit(main())
"""


async def state_of(folder: Path, song: str) -> TrackState:
    entry = await Ledger(folder / "covers.db").find(song)
    assert entry is not None
    return entry.state


async def test_two_identical_calls_at_once_are_one_bill_and_a_later_one_costs_nothing(
    tmp_path: Path,
) -> None:
    async with sandbox_with(QUICK) as sandbox, agent_of(sandbox, tmp_path) as agent:
        (song,) = sandbox.add_music(1)
        async with asyncio.TaskGroup() as group:
            calls = [
                group.create_task(call(agent, "cover", music_task_id=song, title=title))
                for title in ("Wren", "Wren", "Lark")
            ]
        again = await call(agent, "cover", music_task_id=song)

        answers = [one.result() for one in calls]
        assert answers == [again, again, again]
        assert len(sandbox.journal.bills) == len(sandbox.journal.of("submit")) == 1
        assert again["cover_task_id"] == sandbox.journal.bills[0].cover_task_id
        assert [Path(file).name for file in again["files"]] == names(tmp_path / "covers")
        assert all(name.startswith("Wren ") for name in names(tmp_path / "covers"))


async def test_at_the_limit_a_new_song_is_refused_unsent_and_paid_ones_still_work(
    tmp_path: Path,
) -> None:
    async with sandbox_with(QUICK) as sandbox:
        first, second, third = sandbox.add_music(3)
        async with agent_of(sandbox, tmp_path, max_covers=2) as agent:
            async with asyncio.TaskGroup() as group:
                calls = [
                    group.create_task(agent.call_tool("cover", {"music_task_id": song}))
                    for song in (first, second, third)
                ]
            (left,) = [
                song
                for song, one in zip((first, second, third), calls, strict=True)
                if one.result().is_error
            ]
            words = await refused(agent, "cover", music_task_id=left)
            balance = await call(agent, "credits")
            await call(agent, "cover", music_task_id=first if left != first else second)

        assert "--max-covers" in words
        assert (balance["covers_begun"], balance["covers_left"]) == (2, 0)
        assert left not in [one.music_task_id for one in sandbox.journal.of("submit")]
        assert len(sandbox.journal.bills) == 2


async def test_a_song_that_was_refused_is_not_submitted_by_itself_once_the_limit_is_raised(
    tmp_path: Path,
) -> None:
    async with sandbox_with(QUICK) as sandbox:
        first, second, third = sandbox.add_music(3)
        async with agent_of(sandbox, tmp_path, max_covers=1) as agent:
            await call(agent, "cover", music_task_id=first)
            await refused(agent, "cover", music_task_id=second)
        async with agent_of(sandbox, tmp_path, max_covers=3) as agent:
            await call(agent, "cover", music_task_id=third)
            assert (await call(agent, "credits"))["covers_left"] == 1
            assert "no cover of this song" in await refused(agent, "status", music_task_id=second)

        assert [bill.music_task_id for bill in sandbox.journal.bills] == [first, third]


async def test_after_a_restart_a_song_is_the_same_cover_and_no_bill(tmp_path: Path) -> None:
    async with sandbox_with(NEVER) as sandbox:
        (song,) = sandbox.add_music(1)
        async with agent_of(sandbox, tmp_path) as agent:
            before = await call(agent, "cover", music_task_id=song, wait_seconds=0)
            await has_billed(sandbox)
            await waits_for_details(sandbox, 1)
        sandbox.scenario = QUICK
        (other,) = sandbox.add_music(1)
        async with agent_of(sandbox, tmp_path) as agent:
            await call(agent, "cover", music_task_id=other)

        assert not before["finished"]
        assert "call status" in before["message"]
        assert [one.music_task_id for one in sandbox.journal.of("submit")] == [song, other]
        async with agent_of(sandbox, tmp_path, max_covers=0) as agent:
            status = await call(agent, "status", music_task_id=song)
            cover = await call(agent, "cover", music_task_id=song, wait_seconds=0)
            task = await call(agent, "status", cover_task_id=status["cover_task_id"])
        assert status["state"] == cover["state"] == task["state"] == "submitted"
        assert status["cover_task_id"] == sandbox.journal.bills[0].cover_task_id
        assert len(sandbox.journal.bills) == 2


async def test_a_cancelled_call_keeps_its_cover(tmp_path: Path) -> None:
    async with sandbox_with(LATE) as sandbox, agent_of(sandbox, tmp_path) as agent:
        (song,) = sandbox.add_music(1)
        cover = asyncio.create_task(agent.call_tool("cover", {"music_task_id": song}))
        await until(lambda: sandbox.journal.of("submit"), every=0.01)
        cover.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cover

        answer = await saved(agent, song)
        assert len(answer["files"]) == 2
        assert len(sandbox.journal.bills) == len(sandbox.journal.of("submit")) == 1


async def test_a_host_that_gave_a_token_hears_of_progress(tmp_path: Path) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(
        progress: float,
        total: float | None,  # noqa: ARG001 - the SDK's own names
        message: str | None,
    ) -> None:
        heard.append((progress, message))

    async with sandbox_with(QUICK) as sandbox, agent_of(sandbox, tmp_path) as agent:
        (song,) = sandbox.add_music(1)
        await agent.call_tool("cover", {"music_task_id": song}, progress_callback=hear)

    assert heard
    assert all(words for _, words in heard)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_the_tools_say_what_costs_money_in_each_form_of_the_protocol(
    tmp_path: Path, mode: str
) -> None:
    async with sandbox_with(QUICK) as sandbox, agent_of(sandbox, tmp_path, mode=mode) as agent:
        (song,) = sandbox.add_music(1)
        tools = {tool.name: tool for tool in (await agent.list_tools()).tools}
        await call(agent, "cover", music_task_id=song)

    assert list(tools) == ["cover", "status", "credits"]
    assert "COSTS MONEY" in (tools["cover"].description or "")
    hints = {name: tool.annotations for name, tool in tools.items()}
    assert all(one is not None and one.destructive_hint is False for one in hints.values())
    assert [one and one.read_only_hint for one in hints.values()] == [False, True, True]
    assert hints["cover"] is not None
    assert hints["cover"].idempotent_hint
    fields = {name for tool in tools.values() for name in tool.input_schema["properties"]}
    assert fields == {"music_task_id", "cover_task_id", "title", "wait_seconds"}  # no path, no URL


async def test_lost_answers_are_one_bill(tmp_path: Path) -> None:
    async with sandbox_with(QUICK) as sandbox, agent_of(sandbox, tmp_path) as agent:
        (song,) = sandbox.add_music(1)
        sandbox.script("submit", Fault.LOST_ANSWER)
        sandbox.script("details", Fault.RESET)

        answer = await call(agent, "cover", music_task_id=song)

        assert answer["finished"]
        assert len(sandbox.journal.bills) == 1
        assert len(sandbox.journal.of("submit")) == 2


async def test_without_credits_nothing_is_billed_and_with_new_ones_a_further_call_is(
    tmp_path: Path,
) -> None:
    poor = Scenario(seconds=0.01, image_size=16, credits=1.0, price=1.0)
    async with sandbox_with(poor) as sandbox, agent_of(sandbox, tmp_path) as agent:
        first, second = sandbox.add_music(2)
        await call(agent, "cover", music_task_id=first)
        words = await refused(agent, "cover", music_task_id=second)
        assert "a person must add credits" in words
        assert (await call(agent, "credits"))["covers_left"] == 8  # the refused one does not count
        assert len(sandbox.journal.bills) == 1
        sandbox.scenario = attrs.evolve(poor, credits=2.0)
        assert (await call(agent, "cover", music_task_id=second))["finished"]


@pytest.mark.parametrize("title", ["../../etc/passwd", "a\x1b[31m\u202e", "C:\\Windows\\x", "..."])
async def test_a_title_leads_out_of_no_folder(tmp_path: Path, title: str) -> None:
    async with sandbox_with(QUICK) as sandbox, agent_of(sandbox, tmp_path) as agent:
        (song,) = sandbox.add_music(1)
        answer = await call(agent, "cover", music_task_id=song, title=title)

    files = [Path(file) for file in answer["files"]]
    assert {file.parent for file in files} == {tmp_path / "covers"}
    assert len(names(tmp_path / "covers")) == 2
    assert [name for name in names(tmp_path) if "." not in name] == ["covers"]


async def test_a_wrong_key_is_told_and_shown_nowhere(tmp_path: Path) -> None:
    key = "sk-wrong-19f2c47e"
    async with (
        sandbox_with(QUICK) as sandbox,
        agent_of(sandbox, tmp_path, SUNO_API_KEY=key) as agent,
    ):
        (song,) = sandbox.add_music(1)
        words = [
            await refused(agent, "cover", music_task_id=song),
            await refused(agent, "cover", music_task_id=song),
            await refused(agent, "credits"),
        ]

        assert sandbox.journal.bills == []
    assert all("a person must set the right API key" in one for one in words)
    assert key not in "".join(words) + (tmp_path / "errors.txt").read_text()


@needs_posix
async def test_sigterm_in_the_middle_of_a_submit_records_its_answer(tmp_path: Path) -> None:
    async with sandbox_with(LATE) as sandbox:
        (song,) = sandbox.add_music(1)
        async with host_of(*serving(sandbox, tmp_path)) as host:
            await host.request("tools/call", name="cover", arguments={"music_task_id": song})
            await until(lambda: sandbox.journal.of("submit"), every=0.01)
            host.process.send_signal(signal.SIGTERM)
            await host.process.wait()  # its standard input is still open
            assert host.process.returncode == ExitCode.TERMINATED

        assert await state_of(tmp_path, song) in PAID
        assert len(sandbox.journal.bills) == len(sandbox.journal.of("submit")) == 1
        async with agent_of(sandbox, tmp_path) as agent:
            assert (await saved(agent, song))["finished"]
        assert len(sandbox.journal.of("submit")) == 1


async def test_standard_input_closed_in_the_middle_of_a_submit_records_its_answer(
    tmp_path: Path,
) -> None:
    async with sandbox_with(LATE) as sandbox:
        (song,) = sandbox.add_music(1)
        async with host_of(*serving(sandbox, tmp_path)) as host:
            await host.request("tools/call", name="cover", arguments={"music_task_id": song})
            await until(lambda: sandbox.journal.of("submit"), every=0.01)
            ended = await finish(host.process)

        assert ended.code == ExitCode.DONE
        assert await state_of(tmp_path, song) in PAID
        async with agent_of(sandbox, tmp_path) as agent:
            await saved(agent, song)
        assert len(sandbox.journal.bills) == len(sandbox.journal.of("submit")) == 1


@needs_posix
async def test_killed_in_the_middle_of_a_submit_it_pays_once(tmp_path: Path) -> None:
    async with sandbox_with(LATE) as sandbox:
        (song,) = sandbox.add_music(1)
        async with host_of(*serving(sandbox, tmp_path)) as host:
            await host.request("tools/call", name="cover", arguments={"music_task_id": song})
            await until(lambda: sandbox.journal.bills, every=0.01)
            host.process.kill()
            await host.process.wait()
        async with agent_of(sandbox, tmp_path, max_covers=1) as agent:
            await saved(agent, song)

        assert len(sandbox.journal.bills) == 1


async def test_nonsense_on_standard_input_ends_nothing(tmp_path: Path) -> None:
    async with (
        sandbox_with(QUICK) as sandbox,
        host_of(*serving(sandbox, tmp_path)) as host,
    ):
        (song,) = sandbox.add_music(1)
        for line in (
            b"",
            b"{",
            b"\xff\xfe\x00",
            b"[]",
            b"null",
            b'{"jsonrpc":"2.0"}',
            b"x" * 3_000_000,
        ):
            await host.send(line)
        await host.send(b'{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":5}}')
        assert "error" in await host.answer(77)
        answer = await host.call("cover", music_task_id=song)

        assert answer["result"]["structuredContent"]["finished"]
        ended = await finish(host.process)
        assert ended.code == ExitCode.DONE
        assert len(ended.err) < 50_000


async def test_what_is_printed_by_others_never_reaches_the_host(tmp_path: Path) -> None:
    program = (sys.executable, "-c", PRINTING)
    async with (
        sandbox_with(QUICK) as sandbox,
        host_of(*serving(sandbox, tmp_path), "-vv", program=program) as host,
    ):
        (song,) = sandbox.add_music(1)
        await host.call("cover", music_task_id=song)
        ended = await finish(host.process)

    assert all(line.startswith(b"{") for line in host.traffic)
    assert all(words in ended.err for words in ("a stray line", "another one", "a third one"))


async def test_tracks_of_a_catalog_that_wait_are_dropped_and_not_submitted(tmp_path: Path) -> None:
    async with sandbox_with(QUICK) as sandbox:
        first, second = sandbox.add_music(2)
        catalog = tmp_path / "catalog.txt"
        catalog.write_text(f"{first}\n")
        words = ("batch", str(catalog), *serving(sandbox, tmp_path, max_covers=0)[1:])
        assert (await finish(await start(*words))).code == ExitCode.DONE
        async with agent_of(sandbox, tmp_path) as agent:
            await call(agent, "cover", music_task_id=second)

        assert [bill.music_task_id for bill in sandbox.journal.bills] == [second]
    assert "1 of its tracks" in (tmp_path / "errors.txt").read_text()

"""The bots of `examples/` that are killed, told to stop, started again or wrongly, or at fault."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.support.chat_platforms.bots import images_of, stopped
from tests.support.chat_platforms.places import PLATFORMS, QUICK, UNFINISHED, place
from tests.support.chat_platforms.stand_in import STARTED
from tests.support.commands import needs_posix, waits_for_details
from tests.support.waiting import until

TERM, KILL = signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)

pytestmark = [needs_posix, pytest.mark.timeout(2 * STARTED)]


@pytest.mark.parametrize(
    ("library", "signals"),
    [
        ("discord", (KILL,)),
        ("aiogram", (KILL,)),
        ("slack_bolt", (KILL,)),
        ("discord", (TERM, TERM)),
        ("slack_bolt", (TERM, TERM)),
    ],
)
async def test_a_bot_that_is_killed_and_started_again_finds_the_cover_without_a_second_bill(
    library: str, signals: tuple[signal.Signals, ...], tmp_path: Path
) -> None:
    async with place(library, tmp_path, UNFINISHED) as here:
        (song,) = here.sandbox.add_music()
        async with here.bot.running() as doomed:
            await here.chat.ask(song)
            await waits_for_details(here.sandbox, 1)
            for one in signals:
                await waits_for_details(here.sandbox, len(here.sandbox.journal.of("details")) + 3)
                doomed.send_signal(one)
            await stopped(doomed)
        here.sandbox.scenario = QUICK

        async with here.bot.running():
            await here.chat.ask(song)
            await until(lambda: len(here.chat.images) >= 2, every=0.02)

        assert set(here.chat.images) == set(await images_of(here.sandbox))
        assert len(here.sandbox.journal.bills) == 1


@pytest.mark.parametrize("library", PLATFORMS)
async def test_a_bot_that_is_told_to_stop_finishes_what_is_paid_for(
    library: str, tmp_path: Path
) -> None:
    async with place(library, tmp_path, UNFINISHED) as here:
        (song,) = here.sandbox.add_music()
        async with here.bot.running() as process:
            await here.chat.ask(song)
            await waits_for_details(here.sandbox, 1)
            process.send_signal(TERM)
            await waits_for_details(here.sandbox, len(here.sandbox.journal.of("details")) + 3)
            here.sandbox.scenario = QUICK
            code = await stopped(process)

        assert code == 0
        assert len(here.chat.images) == 2
        assert len(here.ends) == 1
        assert "Traceback" not in here.bot.log


@pytest.mark.parametrize(
    ("library", "first_call"),
    [("discord", "/callback"), ("aiogram", "/sendMessage"), ("slack_bolt", "/auth.test")],
)
async def test_a_bot_that_is_told_to_stop_while_it_acknowledges_a_command_makes_that_cover(
    library: str, first_call: str, tmp_path: Path
) -> None:
    async with place(library, tmp_path) as here:
        (song,) = here.sandbox.add_music()
        answered = here.chat.server.hold(first_call)
        async with here.bot.running() as process, asyncio.TaskGroup() as group:
            group.create_task(here.chat.ask(song))  # Slack's command waits for its answer
            await until(lambda: here.chat.server.of(first_call), every=0.02)
            process.send_signal(TERM)
            await until(lambda: here.chat.is_told_to_stop(here.bot.log), every=0.02)
            answered.set()
            code = await stopped(process)

        assert code == 0
        assert len(here.chat.images) == 2
        assert here.ends[0].startswith("The cover of")
        assert [bill.music_task_id for bill in here.sandbox.journal.bills] == [song]


@pytest.mark.parametrize("library", PLATFORMS)
async def test_a_fault_of_the_bot_itself_is_told_of_in_the_chat_and_logged(
    library: str, tmp_path: Path
) -> None:
    async with place(library, tmp_path, PATIENCE="-1") as here, here.bot.running():
        (song,) = here.sandbox.add_music()  # no wait takes less than no time

        await here.chat.ask(song)
        await here.ended()

        assert "the bot's owner finds the reason in its log" in here.ends[0]
        assert "Traceback" in here.bot.log
        assert "ValueError: timeout" in here.bot.log


@pytest.mark.parametrize("library", PLATFORMS)
async def test_a_bot_without_its_key_says_so_in_one_line(library: str, tmp_path: Path) -> None:
    async with place(library, tmp_path) as here:
        without = here.bot.with_variables(SUNO_API_KEY="")
        async with without.running() as process:
            code = await stopped(process)

    assert code == 1
    assert without.log.splitlines() == ["Set SUNO_API_KEY; the first lines of this file say how."]


@pytest.mark.parametrize(
    ("library", "variable"), [("discord", "DISCORD_TOKEN"), ("aiogram", "TELEGRAM_TOKEN")]
)
async def test_a_bot_whose_token_is_refused_says_so_in_one_line(
    library: str, variable: str, tmp_path: Path
) -> None:
    async with place(library, tmp_path) as here:
        wrong = here.bot.with_variables(**{variable: "wrong"})
        async with wrong.running() as process:
            code = await stopped(process)

    assert code == 1
    assert f"refuses {variable}" in wrong.log.splitlines()[-1]
    assert "Traceback" not in wrong.log

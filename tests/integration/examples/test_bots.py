"""The bots of `examples/` as their users run them, each on a stand-in of its chat platform."""



import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.canary import API_KEY, Search
from tests.support.chat_platforms.bots import Bot, Chat, bot_of, images_of, stopped
from tests.support.chat_platforms.discord_platform import discord
from tests.support.chat_platforms.slack_platform import slack
from tests.support.chat_platforms.telegram_platform import telegram
from tests.support.commands import has_billed, needs_posix, waits_for_details
from tests.support.waiting import until

PLATFORMS = {"discord": discord, "telegram": telegram, "slack": slack}
LIBRARIES = {"discord": "discord", "telegram": "aiogram", "slack": "slack_bolt"}
QUICK = Scenario(image_size=16, seconds=0.3)
UNSEEN = Scenario(image_size=16, null_polls=1_000_000)

pytestmark = needs_posix


@pytest.fixture(params=PLATFORMS)
async def chat(request: pytest.FixtureRequest) -> AsyncIterator[Chat]:
    library = LIBRARIES[request.param]
    pytest.importorskip(library, reason=f"{library} cannot be installed on this Python")
    async with PLATFORMS[request.param]() as platform:
        yield platform


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(QUICK, api_key=API_KEY) as api:
        yield api


def ended(chat: Chat) -> list[str]:
    """The last text of each message that says how it ended."""
    last = [texts[-1] for texts in chat.messages]
    return [text for text in last if "is " not in text.partition("\n")[0] or "No cover" in text]


async def covered(chat: Chat, covers: int = 1) -> None:
    """Return once so many messages say how they ended."""
    await until(lambda: len(ended(chat)) >= covers, every=0.02)


async def test_a_cover_is_acknowledged_before_it_is_requested_and_shown_in_one_message(
    chat: Chat, sandbox: Sandbox, tmp_path: Path
) -> None:
    (song,) = sandbox.add_music()
    async with bot_of(chat, tmp_path, sandbox).running():
        await chat.ask(song)
        await covered(chat)

    (texts,) = chat.messages
    assert any("generating" in text or "generated" in text for text in texts)
    assert texts[-1].startswith("The cover of ")
    assert len(texts) == len(set(texts)) <= 4
    assert chat.acknowledged[0] < sandbox.journal.arrivals[0].at
    assert sorted(chat.images) == sorted(await images_of(sandbox))
    assert len(chat.images) == 2
    assert chat.refusals == []


async def test_two_who_ask_for_one_song_get_it_for_one_bill(
    chat: Chat, sandbox: Sandbox, tmp_path: Path
) -> None:
    (song,) = sandbox.add_music()
    async with bot_of(chat, tmp_path, sandbox).running():
        await chat.ask(song)
        await chat.ask(song, user="bob")
        await covered(chat, 2)

    assert len(chat.images) == 4
    assert [bill.music_task_id for bill in sandbox.journal.bills] == [song]


async def test_who_may_not_spend_and_what_is_no_id_are_refused_and_nothing_is_sent(
    chat: Chat, sandbox: Sandbox, tmp_path: Path
) -> None:
    (song,) = sandbox.add_music()
    async with bot_of(chat, tmp_path, sandbox).running():
        await chat.ask(song, user="eve")
        await chat.ask("not an id <!channel>")
        await chat.ask("")
        await until(lambda: len(chat.refusals) == 3, every=0.02)

    assert [text for text in chat.refusals if "costs money" in text] == chat.refusals[:1]
    assert all("73d6128b3523a0079df10da9471017c8" in text for text in chat.refusals[1:])
    assert chat.messages == []
    assert sandbox.journal.arrivals == []


async def test_a_cover_that_fails_and_a_song_that_nobody_knows_are_told_of(
    chat: Chat, sandbox: Sandbox, tmp_path: Path
) -> None:
    (song,) = sandbox.add_music(fails=True)
    async with bot_of(chat, tmp_path, sandbox).running():
        await chat.ask(song)
        await chat.ask("unknown")
        await covered(chat, 2)

    failed, unknown = sorted(ended(chat), key=lambda text: "unknown" in text)
    assert song in failed
    assert "Please try again later" in failed
    assert "Original music record does not exist" in unknown
    assert chat.images == []


async def test_what_the_owner_must_do_is_in_the_log_and_not_in_the_chat(
    chat: Chat, tmp_path: Path
) -> None:
    async with Sandbox(Scenario(credits=0), api_key=API_KEY) as sandbox:
        (song,) = sandbox.add_music()
        bot = bot_of(chat, tmp_path, sandbox)
        async with bot.running():
            await chat.ask(song)
            await covered(chat)

    assert "the bot's owner finds the reason in its log" in ended(chat)[0]
    assert "credits" not in ended(chat)[0]
    assert "credits" in bot.log


@pytest.mark.parametrize("kind", ["busy", "broken", "cut"])
async def test_a_platform_that_is_busy_or_broken_gets_its_cover_all_the_same(
    chat: Chat, sandbox: Sandbox, tmp_path: Path, kind: str
) -> None:
    (song,) = sandbox.add_music()
    chat.again(kind)
    async with bot_of(chat, tmp_path, sandbox).running():
        await chat.ask(song)
        await until(lambda: len(chat.images) == 2, every=0.02)
        await covered(chat)

    assert sorted(chat.images) == sorted(await images_of(sandbox))
    assert len(sandbox.journal.bills) == 1


async def test_a_bot_that_is_killed_and_started_again_finds_the_cover_without_a_second_bill(
    chat: Chat, tmp_path: Path
) -> None:
    async with Sandbox(UNSEEN, api_key=API_KEY) as sandbox:
        (song,) = sandbox.add_music()
        bot = bot_of(chat, tmp_path, sandbox)
        async with bot.running() as doomed:
            await chat.ask(song)
            await waits_for_details(sandbox, 1)
            await stopped(doomed, signal.SIGKILL)
        sandbox.scenario = QUICK

        async with bot.running():
            await chat.ask(song)
            await until(lambda: len(chat.images) == 2, every=0.02)

        assert sorted(chat.images) == sorted(await images_of(sandbox))
        assert len(sandbox.journal.bills) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_bot_that_is_told_to_stop_finishes_what_is_paid_for(
    chat: Chat, tmp_path: Path, number: signal.Signals
) -> None:
    async with Sandbox(UNSEEN, api_key=API_KEY) as sandbox:
        (song,) = sandbox.add_music()
        bot = bot_of(chat, tmp_path, sandbox)
        async with bot.running() as process:
            await chat.ask(song)
            await waits_for_details(sandbox, 1)
            process.send_signal(number)
            await waits_for_details(sandbox, len(sandbox.journal.of("details")) + 3)
            sandbox.scenario = QUICK
            code = await process.wait()

        assert code == 0
        assert len(chat.images) == 2
        assert ended(chat)
        assert "Traceback" not in bot.log


async def test_the_second_signal_ends_a_bot_at_once_and_its_cover_is_found_later(
    chat: Chat, tmp_path: Path
) -> None:
    async with Sandbox(UNSEEN, api_key=API_KEY) as sandbox:
        (song,) = sandbox.add_music()
        bot = bot_of(chat, tmp_path, sandbox)
        async with bot.running() as process:
            await chat.ask(song)
            await waits_for_details(sandbox, 1)
            process.send_signal(signal.SIGTERM)
            await waits_for_details(sandbox, len(sandbox.journal.of("details")) + 3)
            await stopped(process, signal.SIGTERM)
        sandbox.scenario = QUICK

        async with bot.running():
            await chat.ask(song)
            await until(lambda: len(chat.images) == 2, every=0.02)

        assert len(sandbox.journal.bills) == 1


async def test_no_secret_is_in_a_message_or_a_log(
    chat: Chat, sandbox: Sandbox, tmp_path: Path
) -> None:
    songs = sandbox.add_music(2, fails=None)
    chat.again("cut")
    chat.again("broken")
    bot = bot_of(chat, tmp_path, sandbox)
    search = Search(API_KEY, *chat.secrets)
    async with bot.running() as process:
        for song in (*songs, "unknown", "not an id"):
            await chat.ask(song)
        await has_billed(sandbox, 2)
        await until(lambda: len(chat.images) == 4, every=0.02)
        await covered(chat, 3)
        search.command_lines(process.pid)
        await stopped(process, signal.SIGTERM)

    for number, call in enumerate(chat.server.calls):
        search.text(f"call {number}", repr(call.fields))
    search.folder(tmp_path)

    assert search.searched > 10
    assert search.hits == {}


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_bot_without_its_token_or_with_a_wrong_one_says_so_in_one_line(
    platform: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    pytest.importorskip(LIBRARIES[platform])
    async with PLATFORMS[platform]() as chat:
        (token,) = [name for name in chat.environment if name.endswith("TOKEN")]
        bot = bot_of(chat, tmp_path, sandbox)
        for number, environment in enumerate(({token: ""}, {"SUNO_API_KEY": ""})):
            lacking = Bot(bot.folder, bot.command, {**bot.environment, **environment})
            async with lacking.running() as process:
                assert await process.wait() == 1
            (name,) = environment
            assert lacking.log.splitlines()[number] == (
                f"Set {name}; the first lines of this file say how."
            )



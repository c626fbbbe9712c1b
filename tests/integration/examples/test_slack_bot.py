"""What is Slack's own: signatures, deliveries that are repeated, channels without the bot."""

from pathlib import Path

import pytest

from tests.support.chat_platforms.places import Place, place
from tests.support.chat_platforms.slack_platform import Slack
from tests.support.chat_platforms.stand_in import STARTED, Refusal
from tests.support.commands import needs_posix
from tests.support.waiting import until

pytestmark = [needs_posix, pytest.mark.timeout(2 * STARTED)]


def slack_of(here: Place) -> Slack:
    assert isinstance(here.chat, Slack)
    return here.chat


async def test_only_what_slack_signed_is_heard_and_a_repeated_delivery_is_no_second_bill(
    tmp_path: Path,
) -> None:
    async with place("slack_bolt", tmp_path) as here, here.bot.running():
        forged, song = here.sandbox.add_music(2)
        slack = slack_of(here)

        await slack.ask(forged, secret="guessed")
        await slack.ask(song)
        again = {"x-slack-retry-num": "1", "x-slack-retry-reason": "http_timeout"}
        await slack.ask(song, **again)
        await here.ended(2)

        assert slack.statuses == [401, 200, 200]
        assert [bill.music_task_id for bill in here.sandbox.journal.bills] == [song]


async def test_a_bot_that_cannot_write_in_a_channel_says_so_and_requests_nothing(
    tmp_path: Path,
) -> None:
    async with place("slack_bolt", tmp_path) as here, here.bot.running():
        (song,) = here.sandbox.add_music()
        outside = Refusal(status=200, body={"ok": False, "error": "not_in_channel"})
        here.chat.server.refuse("/chat.postMessage", outside)

        await here.chat.ask(song)
        await until(lambda: here.chat.refusals, every=0.02)

        assert "invite me to this channel" in here.chat.refusals[0]
        assert here.sandbox.journal.arrivals == []


async def test_images_that_slack_does_not_take_are_sent_as_links(tmp_path: Path) -> None:
    async with place("slack_bolt", tmp_path) as here, here.bot.running():
        (song,) = here.sandbox.add_music()
        missing = Refusal(status=200, body={"ok": False, "error": "missing_scope"})
        here.chat.server.refuse("/files.getUploadURLExternal", *[missing] * 3)

        await here.chat.ask(song)
        await here.ended()

        assert here.ends[0].count("\n<http://127.0.0.1") == 2
        assert f"{song}-1.png" in here.bot.log


async def test_an_id_that_is_a_mention_in_slack_mentions_nobody(tmp_path: Path) -> None:
    async with place("slack_bolt", tmp_path) as here, here.bot.running():
        await here.chat.ask("<!channel>")
        await here.ended()

        (texts,) = here.chat.messages
        assert all("&lt;!channel&gt;" in text and "<" not in text for text in texts)
        assert [one.music_task_id for one in here.sandbox.journal.of("submit")] == ["<!channel>"]

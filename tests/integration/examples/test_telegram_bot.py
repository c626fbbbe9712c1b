"""What is Telegram's own: large photos, documents that are refused, and users who may not ask."""

import json
from pathlib import Path

import pytest

from tests.support.chat_platforms.places import place
from tests.support.chat_platforms.stand_in import STARTED, Refusal
from tests.support.chat_platforms.telegram_platform import SHARED
from tests.support.commands import needs_posix

ALBUM = "/sendMediaGroup"

pytestmark = [needs_posix, pytest.mark.timeout(2 * STARTED)]


async def test_what_is_no_photo_is_sent_as_documents_and_what_is_neither_as_links(
    tmp_path: Path,
) -> None:
    async with place("aiogram", tmp_path, LIMIT="100") as here, here.bot.running():
        song, other = here.sandbox.add_music(2)
        await here.chat.ask(song)
        await here.ended()
        large = here.chat.server.of(ALBUM)[-1]
        refused = {"ok": False, "error_code": 400, "description": "Bad Request: PHOTO_INVALID"}
        here.chat.server.refuse(ALBUM, Refusal(status=400, body=refused))

        await here.chat.ask(other)
        await here.ended(2)

        kinds = [one["type"] for one in json.loads(large.fields["media"])]
        assert kinds == ["document", "document"]
        assert here.ends[0] == f"The cover of {song}"
        assert here.ends[1].startswith(f"The cover of {other}\nhttp://127.0.0.1")
        assert f"{other}-1.png" in here.bot.log


async def test_a_fault_in_sending_photos_is_logged_and_documents_are_sent(tmp_path: Path) -> None:
    async with place("aiogram", tmp_path, LIMIT="None") as here, here.bot.running():
        (song,) = here.sandbox.add_music()  # no size compares with such a limit

        await here.chat.ask(song)
        await here.ended()

        assert here.ends == [f"The cover of {song}"]
        assert len(here.chat.images) == 2
        assert "Traceback" in here.bot.log


async def test_who_may_not_ask_is_told_the_id_once_however_often_they_write(tmp_path: Path) -> None:
    async with place("aiogram", tmp_path) as here, here.bot.running():
        (song,) = here.sandbox.add_music()

        for _ in range(3):
            await here.chat.ask(song, user="eve")
        await here.chat.ask(song)
        await here.ended()

        (refusal,) = here.chat.refusals
        assert "costs money" in refusal
        assert len(here.sandbox.journal.bills) == 1


async def test_who_writes_as_a_group_or_a_channel_spends_nothing_also_if_its_id_is_among_the_users(
    tmp_path: Path,
) -> None:
    async with place("aiogram", tmp_path) as here:
        numbers = [str(number) for number, _ in SHARED.values()]
        trusting = here.bot.with_variables(TELEGRAM_USERS=",".join(["11", *numbers]))
        async with trusting.running():
            (song,) = here.sandbox.add_music()

            for user in (*SHARED, *SHARED):
                await here.chat.ask("as-" + user, user=user)
            await here.chat.ask(song)
            await here.ended()

            assert len(here.chat.refusals) == 2  # once each
            for text in here.chat.refusals:
                assert "Write as yourself" in text
                assert not any(number in text for number in numbers)
            assert [one.music_task_id for one in here.sandbox.journal.of("submit")] == [song]

"""What is Discord's own: an answer that becomes too old to be edited, permissions, sizes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from suno_cover_async import CoverDetails, CoverStatus
from suno_cover_async.protocol import codec
from suno_cover_async.sandbox import Reply, Sandbox
from tests.support.chat_platforms.bots import images_of
from tests.support.chat_platforms.discord_platform import GUILD, MANAGE, OTHER_GUILD, Discord
from tests.support.chat_platforms.places import QUICK, UNFINISHED, Place, place
from tests.support.chat_platforms.stand_in import STARTED, Refusal
from tests.support.commands import needs_posix
from tests.support.waiting import until

EDITS, POSTS = "/messages/@original", "/channels/3001/messages"

pytestmark = [needs_posix, pytest.mark.timeout(2 * STARTED)]


def discord_of(here: Place) -> Discord:
    assert isinstance(here.chat, Discord)
    return here.chat


async def late(here: Place) -> None:
    """Return once the first message says that the cover takes long."""
    await until(lambda: any("takes long" in texts[-1] for texts in here.chat.messages), every=0.02)


def cover_task_of(sandbox: Sandbox) -> str:
    return sandbox.journal.bills[0].cover_task_id


async def test_a_cover_that_takes_too_long_for_an_edit_is_posted_in_a_new_message(
    tmp_path: Path,
) -> None:
    async with place("discord", tmp_path, UNFINISHED, WAIT="0.3") as here, here.bot.running():
        (song,) = here.sandbox.add_music()
        await here.chat.ask(song)
        await late(here)
        edits = len(here.chat.server.of(EDITS))
        here.sandbox.scenario = QUICK

        await until(lambda: len(here.chat.images) == 2, every=0.02)

        first, new = here.chat.messages
        assert "I will post it in this channel" in first[-1]
        assert new == [f"<@11> The cover of `{song}`"]
        assert len(here.chat.server.of(EDITS)) == edits  # its token may be dead by now
        assert [set(call.files) for call in here.chat.server.of(POSTS)] == [
            {f"{song}-1.png", f"{song}-2.png"}
        ]
        assert sorted(here.chat.images) == sorted(await images_of(here.sandbox))


async def test_without_the_permission_to_post_the_message_tells_how_to_ask_again_before_it_ends(
    tmp_path: Path,
) -> None:
    async with place("discord", tmp_path, UNFINISHED, WAIT="0.3") as here, here.bot.running():
        discord_of(here).may_post = False
        (song,) = here.sandbox.add_music()
        await here.chat.ask(song)
        await late(here)
        ((*_, farewell),) = here.chat.messages
        here.sandbox.scenario = QUICK

        await until(lambda: "not posted; its images are" in here.bot.log, every=0.02)

        assert f"`/cover song:{song}`" in farewell
        assert cover_task_of(here.sandbox) in farewell
        assert here.chat.server.of(POSTS) == []
        assert len(list(tmp_path.glob("covers/*.png"))) == 2


async def test_who_manages_a_server_spends_nothing_without_a_role_there_or_in_a_server_of_theirs(
    tmp_path: Path,
) -> None:
    async with place("discord", tmp_path) as here, here.bot.running():
        (song,) = here.sandbox.add_music()

        for guild in (GUILD, OTHER_GUILD):
            await discord_of(here).ask(song, user="eve", permissions=MANAGE, guild=guild)
        await until(lambda: len(here.chat.acknowledged) == 2, every=0.02)

        assert ["costs money" in text for text in here.chat.refusals] == [True, True]
        assert here.sandbox.journal.of("submit") == []


@pytest.mark.parametrize(
    ("changes", "images", "links", "too_large"), [({}, 3, 0, 0), ({"LIMIT": "100"}, 0, 2, 1)]
)
async def test_a_download_that_finds_more_images_than_there_were_shows_them_all(
    changes: dict[str, str], images: int, links: int, too_large: int, tmp_path: Path
) -> None:
    """An image of an old cover is gone, and the details that are polled again name three."""
    async with place("discord", tmp_path, QUICK, **changes) as here, here.bot.running():
        song, *others = here.sandbox.add_music(3)
        for number, other in enumerate(others, 1):
            await here.chat.ask(other)
            await here.ended(number)
        here.chat.forget()
        drawn = [one.path for one in here.sandbox.journal.of("image")]
        submitted = codec.encode_answer(200, "success", codec.encode_submitted("old"))
        here.sandbox.script("submit", Reply(body=submitted, code=200))
        here.sandbox.script(
            "details", *[old(here, song, *named) for named in (["/s/gone", drawn[0]], drawn[:3])]
        )

        await here.chat.ask(song)
        await here.ended()

        assert len(list(tmp_path.glob(f"covers/{song}-*.png"))) == 3
        assert len(here.chat.images) == images
        assert here.ends[0].count("\n<http://127.0.0.1") == links
        assert here.ends[0].count(f"\n`{song}-3.png` is too large") == too_large


def old(here: Place, song: str, *paths: str) -> Reply:
    """Return the details of a cover that is as old as images are kept."""
    details = CoverDetails(
        cover_task_id="old",
        music_task_id=song,
        status=CoverStatus.SUCCESS,
        images=tuple(f"{here.sandbox.url}{path}" for path in paths),
        completed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    data = codec.encode_details(details)
    return Reply(body=codec.encode_answer(200, "success", data), code=200)


async def test_one_bot_meets_what_happens_to_a_message_and_to_a_file(tmp_path: Path) -> None:
    """Two claims for one process: gone messages, and large images."""
    async with place("discord", tmp_path, LIMIT="100") as here, here.bot.running():
        gone, *songs = here.sandbox.add_music(3)
        unknown = {"message": "Unknown interaction", "code": 10062}
        here.chat.server.refuse("/callback", Refusal(status=404, body=unknown))
        await here.chat.ask(gone)  # more than 3 s ago, as it seems
        here.chat.server.refuse(EDITS, *[Refusal(status=404, body=unknown)] * 3)
        await here.chat.ask(songs[0])

        await until(lambda: here.chat.server.of(POSTS), every=0.02)
        await here.chat.ask(songs[1])
        await here.ended(2)

        posted, edited = here.chat.messages
        assert posted[0].startswith(f"<@11> The cover of `{songs[0]}`\n<http://127.0.0.1")
        assert edited[-1].count("\n<http://127.0.0.1") == 2
        assert here.chat.images == []
        assert {bill.music_task_id for bill in here.sandbox.journal.bills} == set(songs)


async def test_a_fault_in_sending_is_logged_with_the_files_and_told_of(tmp_path: Path) -> None:
    async with place("discord", tmp_path, LIMIT="None") as here, here.bot.running():
        (song,) = here.sandbox.add_music()  # no size compares with such a limit

        await here.chat.ask(song)
        await here.ended()

        assert here.ends == [f"The cover of `{song}` cannot be sent. The bot's owner has it."]
        assert "Traceback" in here.bot.log
        assert f"{song}-1.png" in here.bot.log


def test_the_wait_ends_before_discords_fifteen_minutes_do() -> None:
    program = (Path(__file__).parents[3] / "examples" / "discord_bot.py").read_text()

    assert "\nWAIT = 800 " in program
    assert "\nLIMIT = 10 * 1024 * 1024 " in program

"""The bots of `examples/` as their users run them, each on a stand-in of its chat platform.

One process of each serves all tests of this file, since a bot takes long to start.
"""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from suno_cover_async.sandbox import Reply
from tests.support.canary import API_KEY, Search
from tests.support.chat_platforms.bots import images_of
from tests.support.chat_platforms.places import PLATFORMS, Place, place
from tests.support.chat_platforms.stand_in import STARTED
from tests.support.commands import needs_posix
from tests.support.waiting import until

NO_CREDITS = Reply(body=json.dumps({"code": 402, "msg": "Insufficient balance"}).encode(), code=402)

pytestmark = [
    needs_posix,
    pytest.mark.timeout(2 * STARTED),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(params=PLATFORMS, scope="module", loop_scope="module")
async def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    async with (
        place(request.param, tmp_path_factory.mktemp(request.param)) as here,
        here.bot.running(),
    ):
        yield here


@pytest_asyncio.fixture(loop_scope="module")
async def here(served: Place) -> Place:
    served.chat.forget()
    return served


def billed(here: Place, song: str) -> int:
    return [bill.music_task_id for bill in here.sandbox.journal.bills].count(song)


async def test_a_cover_is_acknowledged_before_it_is_requested_and_shown_in_one_message(
    here: Place,
) -> None:
    (song,) = here.sandbox.add_music()

    await here.chat.ask(song)
    await here.ended()

    (texts,) = here.chat.messages
    assert [text for text in texts if "generat" in text] == texts[-2:-1]
    assert texts[-1] in {f"The cover of {song}", f"The cover of `{song}`"}
    assert len(texts) == 3
    first = next(one for one in here.sandbox.journal.arrivals if one.music_task_id == song)
    assert here.chat.acknowledged[0] < first.at
    assert here.chat.refusals == []


async def test_both_images_arrive_as_they_are(here: Place) -> None:
    (song,) = here.sandbox.add_music()
    before = len(here.sandbox.journal.arrivals)

    await here.chat.ask(song)
    await here.ended()

    assert len(here.chat.images) == 2
    assert sorted(here.chat.images) == sorted(await images_of(here.sandbox, since=before))


async def test_two_who_ask_for_one_song_get_it_for_one_bill(here: Place) -> None:
    (song,) = here.sandbox.add_music()

    await here.chat.ask(song)
    await here.chat.ask(song, user="bob")
    await here.ended(2)

    assert len(here.chat.images) == 4
    assert billed(here, song) == 1


async def test_who_may_not_spend_and_what_is_no_id_are_refused_and_nothing_is_sent(
    here: Place,
) -> None:
    (song,) = here.sandbox.add_music()
    before = len(here.sandbox.journal.arrivals)

    await here.chat.ask(song, user="eve")
    await until(lambda: here.chat.refusals, every=0.02)
    await here.chat.ask("not an id <!channel>")
    await here.chat.ask("")
    await until(lambda: len(here.chat.refusals) == 3, every=0.02)

    assert "costs money" in here.chat.refusals[0]
    assert all("73d6128b3523a0079df10da9471017c8" in text for text in here.chat.refusals[1:])
    assert here.chat.messages == []
    assert len(here.sandbox.journal.arrivals) == before


async def test_a_cover_that_fails_and_a_song_that_nobody_knows_are_told_of(here: Place) -> None:
    (song,) = here.sandbox.add_music(fails=True)

    await here.chat.ask(song)
    await here.chat.ask("nobodys")
    await here.ended(2)

    failed, unknown = sorted(here.ends, key=lambda text: "nobodys" in text)
    assert song in failed
    assert "Please try again later" in failed
    assert "Original music record does not exist" in unknown
    assert here.chat.images == []


async def test_what_the_owner_must_do_is_in_the_log_and_not_in_the_chat(here: Place) -> None:
    (song,) = here.sandbox.add_music()
    here.sandbox.script("submit", NO_CREDITS)

    await here.chat.ask(song)
    await here.ended()

    assert "the bot's owner finds the reason in its log" in here.ends[0]
    assert "balance" not in here.ends[0]
    assert "Insufficient balance" in here.bot.log


async def test_what_the_api_says_mentions_nobody_and_formats_nothing(here: Place) -> None:
    said = {"code": 422, "msg": "*all* <!channel> @everyone [x](https://x.example)"}
    here.sandbox.script("submit", Reply(body=json.dumps(said).encode(), code=422))

    await here.chat.ask("some-song")
    await here.ended()

    (text,) = here.ends
    assert "everyone" in text
    assert here.chat.is_harmless(text)


@pytest.mark.parametrize("kind", ["busy", "broken", "cut"])
async def test_a_platform_that_is_busy_or_broken_gets_its_cover_all_the_same(
    here: Place, kind: str
) -> None:
    (song,) = here.sandbox.add_music()
    before = len(here.sandbox.journal.arrivals)
    here.chat.refuse(kind)

    await here.chat.ask(song)
    await here.ended()

    assert sorted(here.chat.images) == sorted(await images_of(here.sandbox, since=before))
    assert billed(here, song) == 1


async def test_no_secret_is_in_a_message_a_log_or_a_file(here: Place) -> None:
    search = Search(API_KEY, *here.chat.secrets)
    for kind in ("cut", "broken"):
        here.chat.refuse(kind)
    for song in (*here.sandbox.add_music(2), "nobodys"):
        await here.chat.ask(song)
    await here.ended(3)

    for number, call in enumerate(here.chat.server.calls):
        search.text(f"call {number}", repr(call.fields))
    search.folder(here.bot.folder)

    assert search.searched > 10
    assert search.hits == {}

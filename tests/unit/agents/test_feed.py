"""The songs of one run, one at a time."""

import asyncio

from suno_cover_async import Track
from suno_cover_async.agents.feed import Feed


async def test_a_song_is_added_once_the_run_asks_for_the_next_one() -> None:
    feed = Feed()
    adding = asyncio.create_task(feed.add(Track("m1")))
    songs = aiter(feed)

    assert await anext(songs) == Track("m1")
    assert not adding.done()
    following = asyncio.create_task(anext(songs))
    assert await adding
    following.cancel()


async def test_what_a_run_did_not_take_is_returned_when_it_ends() -> None:
    feed = Feed()
    songs = aiter(feed)
    adding = [asyncio.create_task(feed.add(Track(f"m{n}"))) for n in range(3)]
    await anext(songs)  # the ledger fails on this one
    await songs.aclose()

    assert await asyncio.gather(*adding) == [False, False, False]
    assert feed.has_ended
    await feed.ended()
    assert not await feed.add(Track("m9"))


async def test_a_feed_that_no_run_began_ends_too() -> None:
    feed = Feed()
    adding = asyncio.create_task(feed.add(Track("m1")))
    await asyncio.sleep(0)
    feed.end()
    feed.end()

    assert not await adding


async def test_a_giver_that_is_cancelled_leaves_its_song_to_the_run() -> None:
    feed = Feed()
    adding = asyncio.create_task(feed.add(Track("m1")))
    await asyncio.sleep(0)
    adding.cancel()
    songs = aiter(feed)
    await anext(songs)
    following = asyncio.create_task(anext(songs))
    second = asyncio.create_task(feed.add(Track("m2")))

    assert await following == Track("m2")
    feed.end()
    assert not await second

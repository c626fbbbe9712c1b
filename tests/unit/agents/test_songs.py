"""Songs that calls asked for, until somebody tells what became of them."""

from suno_cover_async import LedgerError, Track
from suno_cover_async.agents.songs import Songs


async def test_a_song_that_is_asked_for_twice_is_one_and_told_once() -> None:
    songs = Songs()
    song = songs.add(Track("m1", title="Wren"))

    assert songs.add(Track("m1", title="Lark")) is song
    assert songs.get("m1") is song
    songs.tell("m1", None)
    songs.tell("m1", LedgerError("late"))
    assert song.told.result() is None
    assert songs.get("m1") is None


async def test_all_songs_are_told_of_an_error() -> None:
    songs, error = Songs(), LedgerError("full")
    asked = [songs.add(Track(name)) for name in ("m1", "m2")]

    songs.tell_all(error)

    assert [song.told.result() for song in asked] == [error, error]
    assert list(songs) == []

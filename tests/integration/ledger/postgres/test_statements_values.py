"""Texts, searches and changes of one track at once, as the statements have them."""

from pathlib import Path

import pytest

from suno_cover_async.ledger import steps
from suno_cover_async.ledger.entry import Plain, TrackState, read_entry
from suno_cover_async.ledger.postgres.statements import transaction
from suno_cover_async.ledger.run_steps import HeldBy
from suno_cover_async.ledger.sqlite.private import open_privately
from suno_cover_async.ledger.sqlite.statements import transaction as sqlite_transaction
from suno_cover_async.ledger.store import Work
from suno_cover_async.models import Track
from tests.support.shared_ledgers import Session, at_the_same_time, until_it_waits

WAITING, SUBMITTING, FAILED = TrackState.WAITING, TrackState.SUBMITTING, TrackState.FAILED


ODD = {
    "a NUL": "a\0b",
    "quotes": "'; DROP TABLE tracks; --",
    "a question": "Who? %s %(x)s 100%",
    "a backslash": "\\ \\u0000 \\n",
    "another script": "歌 🎵 אב",
    "combining": "e\u0301",
    "a line end": "a\r\nb\tc",
    "one half of a pair": "\ud83d",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_titles_and_columns_are_kept_and_found(one: Session, name: str) -> None:
    text = ODD[name]
    one.do(steps.take_in([Track("m1", title=text, columns={text: text})]))
    (entry,) = one.do(steps.page([], 0, 9))

    assert entry.tracks == (Track("m1", title=text, columns={text: text}),)
    one.do(steps.take_in([Track("m1", title=text, columns={"new": 1})]))
    (entry,) = one.do(steps.page([], 0, 9))
    assert entry.tracks == (Track("m1", title=text, columns={"new": 1}),)


@pytest.mark.parametrize("name", ODD)
def test_odd_reasons_are_kept_but_for_what_no_text_there_can_hold(one: Session, name: str) -> None:
    one.fill(1)
    one.hold(1)
    one.do(steps.ended(1, 0, FAILED, ValueError(ODD[name])))
    (entry,) = one.do(steps.page([], 0, 9))

    assert entry.reason == ODD[name].replace("\0", "\ufffd").replace("\ud83d", "?")


TITLES = [
    "Straße",
    "STRASSE",
    "İstanbul",
    "ΣΊΣΥΦΟΣ",
    "σίσυφος",
    "Ǆ",
    "e\u0301",
    "é",
    "a\0b",
    "%_\\",
    "?",
]
SEARCHES = ["", "ss", "SS", "ß", "i", "İ", "ς", "Σ", "ǆ", "É", "é", "%", "_", "\\", "?", "zz"]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_finds_the_titles_that_a_file_finds(one: Session, search: str) -> None:
    found: list[list[int]] = []
    private = open_privately()
    for there in (one.there, sqlite_transaction(private)):
        steps.take_in([Track(f"m{n}", title=title) for n, title in enumerate(TITLES)])(there)
        for number in range(1, len(TITLES) + 1):
            there.change(number, {"state": "saved", "cover_task_id": f"c{number}"})
        found.append([int(str(row["number"])) for row in there.pairs([], search, 0, 99)])
        (undecided,) = there.decisions(search) or [("undecided", 0, 0)]
        assert undecided[1] == len(found[-1])
    private.close()

    assert found[0] == found[1]
    assert bool(found[0]) is (search != "zz")


def test_a_new_title_is_found(one: Session) -> None:
    one.do(steps.take_in([Track("m1", title="Old")]))
    one.do(steps.take_in([Track("m1", title="New One")]))
    one.there.change(1, {"state": "saved"})

    for part, found in (("new o", 1), ("OLD", 1), ("other", 0)):
        assert len(one.there.pairs([], part, 0, 9)) == found


def test_music_tasks_are_told_apart_by_every_byte_and_kept_in_order(one: Session) -> None:
    tracks = ["b", "B", "a", "á", "a\u0301", "b"]
    known = one.there.add([(music, "{}") for music in tracks])
    again = one.there.add([(music, "{}") for music in ["x", *tracks, "x"]])

    assert known == [("b", "{}")]
    assert [music for music, _ in again] == [*tracks, "x"]
    rows = one.there.page([], 0, 9)
    assert [row["music_task_id"] for row in rows] == [*tracks[:5], "x"]
    assert [row["number"] for row in rows] == [*range(1, 7)]


def test_two_that_add_the_same_track_at_once_add_it_once_and_both_titles(
    one: Session, two: Session, watcher: Session
) -> None:
    one.execute("BEGIN")
    assert steps.take_in([Track("m1", title="A")])(one.there) == 1
    with at_the_same_time(lambda: two.do(steps.take_in([Track("m1", title="B")]))) as answer:
        until_it_waits(watcher, two)
        one.execute("COMMIT")

    assert answer == [0]
    (entry,) = one.do(steps.page([], 0, 9))
    assert {track.title for track in entry.tracks} == {"A", "B"}


def test_two_that_add_titles_to_one_track_at_once_add_both(
    one: Session, two: Session, watcher: Session
) -> None:
    one.do(steps.take_in([Track("m1", title="A")]))
    one.execute("BEGIN")
    steps.take_in([Track("m1", title="B")])(one.there)
    with at_the_same_time(lambda: two.do(steps.take_in([Track("m1", title="C")]))):
        until_it_waits(watcher, two)
        one.execute("COMMIT")

    (entry,) = one.do(steps.page([], 0, 9))
    assert {track.title for track in entry.tracks} == {"A", "B", "C"}


def test_a_cover_that_gets_a_title_while_it_is_saved_is_not_saved_yet(
    one: Session, two: Session, watcher: Session
) -> None:
    one.fill(1)
    one.cover(1)
    one.hold(1)
    (row,) = one.there.unsaved(9)
    one.execute("BEGIN")
    steps.take_in([Track("m1", title="Other")])(one.there)
    saving = steps.saved(read_entry(row), 0, [Path("a.png")])
    with at_the_same_time(lambda: two.do(saving)) as answer:
        until_it_waits(watcher, two)
        one.execute("COMMIT")

    assert answer == [None]
    assert one.track()["state"] == "covered"


def test_of_submits_at_once_as_many_are_counted_as_may_be(
    one: Session, two: Session, watcher: Session
) -> None:
    one.fill(2)
    first, second = one.begin(), two.begin()
    one.claim(first, 1)
    two.claim(second, 1)
    one.execute("BEGIN")
    assert steps.submitting(1, first, 1)(one.there)
    with at_the_same_time(lambda: two.do(steps.submitting(2, second, 1))) as answer:
        until_it_waits(watcher, two)
        one.execute("COMMIT")

    assert answer == [False]
    assert (one.there.submits(), one.track(2)["state"]) == (1, "waiting")


def test_a_run_submits_no_track_that_it_does_not_hold(one: Session) -> None:
    one.fill(1)
    first, second = one.begin(), one.begin()
    one.claim(first)

    assert not one.do(steps.submitting(1, second))
    assert one.there.holds(1, first)
    assert not one.there.holds(1, second)
    assert (one.track()["state"], one.there.submits()) == ("waiting", 0)


def test_of_two_people_who_decide_at_once_one_is_refused(
    one: Session, two: Session, watcher: Session
) -> None:
    one.fill(1)
    one.there.change(1, {"state": "saved", "cover_task_id": "c1"})

    def decide(image: int) -> Work[bool]:
        columns: dict[str, Plain] = {
            "decision": "image",
            "image": image,
            "revision": 1,
            "decided_at": 0.0,
            "decided_by": None,
        }
        return lambda there: there.decide(1, "c1", columns, revision=0)

    one.execute("BEGIN")
    assert decide(0)(one.there)
    with at_the_same_time(lambda: two.do(decide(1))) as answer:
        until_it_waits(watcher, two)
        one.execute("COMMIT")

    assert answer == [False]
    assert [row["image"] for row in one.contents("choices")["choices"]] == [0]


def test_a_run_releases_no_track_of_another_run(one: Session) -> None:
    one.fill(1)
    first, second = one.begin(), one.begin()
    one.claim(second)
    one.there.release(1, first)
    one.there.release_all("waiting", first)

    assert one.track()["holder"] == second


def test_only_waiting_tracks_of_this_run_are_released_when_it_stops(one: Session) -> None:
    one.fill(3)
    first, second = one.begin(), one.begin()
    one.claim(first, 2)
    one.claim(second)
    one.do(HeldBy(first, steps.submitting(1, first)))
    one.there.release_all("waiting", first)

    assert [row["holder"] for row in one.contents("tracks")["tracks"]] == [first, None, second]


def test_a_transaction_that_reads_locks_no_track(one: Session, two: Session) -> None:
    one.fill(1)
    one.execute("BEGIN")
    one.there.track(1)
    two.execute("SET lock_timeout = '1ms'")
    assert transaction(two.connection, writes=False).track(1)["number"] == 1
    assert transaction(two.connection, writes=False).find("m1")["number"] == 1
    one.execute("ROLLBACK")

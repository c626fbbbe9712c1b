"""Runs that share the tables: who holds which track, who is given up, and what nobody may do."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from platform import node

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.entry import TrackState, read_holder
from suno_cover_async.ledger.postgres.statements import transaction
from suno_cover_async.ledger.run_steps import HeldBy
from suno_cover_async.ledger.store import Transaction, Work
from suno_cover_async.models import Track
from tests.support.ledger_steps import TASK
from tests.support.shared_ledgers import OTHERS, OURS, Session, at_the_same_time, until_it_waits

WAITING, SUBMITTING, FAILED = TrackState.WAITING, TrackState.SUBMITTING, TrackState.FAILED


# Claims


def test_two_transactions_that_claim_at_once_get_different_tracks_and_neither_waits(
    one: Session, two: Session
) -> None:
    one.fill(50)
    first, second = one.begin(), two.begin()
    with one.transaction() as there, two.transaction() as other:
        mine = run_steps.claim([WAITING], first, 20)(there)
        its = run_steps.claim([WAITING], second, 20)(other)  # the first has not committed

    assert [entry.number for entry in mine] == [*range(1, 21)]
    assert [entry.number for entry in its] == [*range(21, 41)]
    assert {row["holder"] for row in one.contents("tracks")["tracks"][:20]} == {first}
    assert {row["holder"] for row in one.contents("tracks")["tracks"][20:40]} == {second}


def test_covers_are_claimed_by_two_at_once_the_oldest_first(one: Session, two: Session) -> None:
    one.fill(4)
    one.cover(1, 2, 3, 4)
    one.execute("UPDATE tracks SET completed_at = 10 - number")
    first, second = one.begin(), two.begin()
    with one.transaction() as there, two.transaction() as other:
        mine = run_steps.claim_unsaved(first, 2)(there)
        its = run_steps.claim_unsaved(second, 9)(other)

    assert [entry.number for entry in mine] == [4, 3]
    assert [entry.number for entry in its] == [2, 1]


def test_a_claim_that_is_undone_leaves_its_tracks_to_others(one: Session, two: Session) -> None:
    one.fill(3)
    first, second = one.begin(), two.begin()
    one.execute("BEGIN")
    run_steps.claim([WAITING], first, 9)(one.there)
    one.execute("ROLLBACK")

    assert two.claim(second) == [1, 2, 3]


def test_tracks_released_below_what_a_run_claimed_come_to_it_once_there_is_no_other(
    one: Session, two: Session
) -> None:
    one.fill(6)
    first, second = one.begin(), two.begin()
    assert one.claim(first, 2) == [1, 2]
    assert two.claim(second, 1) == [3]
    two.do(run_steps.end_run(second))
    one.execute("UPDATE tracks SET holder = NULL WHERE number = 1")

    assert one.claim(first, 1) == [3]
    assert one.claim(first, 2) == [4, 5]
    assert one.claim(first, 2) == [6]
    assert one.claim(first, 2) == [1]
    assert one.claim(first, 2) == []


def test_what_is_possibly_billed_comes_to_a_run_first_though_it_is_below_what_it_claimed(
    one: Session,
) -> None:
    one.fill(5)
    run = one.begin()
    one.execute("UPDATE tracks SET state = 'submitting' WHERE number = 3")
    one.do(run_steps.claim([SUBMITTING, WAITING], run, 9))
    assert one.claim(run, 2) == [1, 2]
    one.execute("UPDATE tracks SET state = 'submitting', holder = NULL WHERE number < 3")

    found = one.do(run_steps.claim([SUBMITTING, WAITING], run, 9))

    assert [entry.number for entry in found] == [1, 2]


def test_a_later_run_of_the_same_process_begins_with_the_first_track(one: Session) -> None:
    one.fill(3)
    first = one.begin()
    assert one.claim(first, 2) == [1, 2]
    one.do(run_steps.end_run(first))

    assert one.claim(one.begin(), 9) == [1, 2, 3]


def test_a_claim_passes_over_no_finished_tracks_though_none_are_vacuumed(one: Session) -> None:
    one.execute("ALTER TABLE tracks SET (autovacuum_enabled = false)")
    one.fill(5_000)
    one.execute("ANALYZE tracks")
    run = one.begin()
    one.claim(run, 4_900)
    one.execute("UPDATE tracks SET holder = NULL, state = 'saved' WHERE holder = %s", run)

    def blocks_of(there: Transaction) -> int:
        query = "SELECT pg_stat_get_xact_blocks_fetched('tracks_free'::regclass)"
        before = one.execute(query)[0][0]
        assert len(there.claim("waiting", run, 20)) == 20
        return int(one.execute(query)[0][0] - before)

    with one.transaction() as there:
        remembers = blocks_of(there)
    with one.transaction():
        begins_anew = blocks_of(transaction(one.connection))
    assert remembers < begins_anew / 2


def test_a_claim_returns_whole_entries_and_says_since_when(one: Session) -> None:
    one.do(steps.take_in([Track("m1", title="Söng", columns={"no": 1})]))
    run = one.begin()
    (entry,) = run_steps.claim([WAITING], run, 9)(one.there)
    track = one.track()

    assert entry.tracks == (Track("m1", title="Söng", columns={"no": 1}),)
    assert (track["holder"], track["held_since"] is None) == (run, False)
    one.do(HeldBy(run, lambda there: there.release(1, run)))
    assert (one.track()["holder"], one.track()["held_since"]) == (None, None)


def test_a_track_of_another_account_is_claimed_by_runs_of_that_account_alone(
    one: Session,
) -> None:
    one.fill(3)
    ours, theirs = one.begin(OURS), one.begin(OTHERS)
    assert one.claim(ours, 1) == [1]
    one.do(HeldBy(ours, steps.submitting(1, ours)))
    one.there.release(1, ours)

    assert one.claim(theirs, state=SUBMITTING) == []
    assert one.there.count_foreign(OTHERS) == 1
    assert one.there.count_foreign(OURS) == 0
    assert one.claim(ours, state=SUBMITTING) == [1]
    assert one.claim(theirs) == [2, 3]  # nothing was sent for these


def test_a_track_for_which_nothing_was_sent_after_all_is_any_accounts(one: Session) -> None:
    one.fill(1)
    ours, theirs = one.begin(OURS), one.begin(OTHERS)
    one.claim(ours)
    one.do(HeldBy(ours, steps.submitting(1, ours)))
    assert one.track()["account"] == OURS
    one.do(HeldBy(ours, steps.unsent(1, ours)))
    one.there.release(1, ours)

    assert one.track()["account"] is None
    assert one.claim(theirs) == [1]


def test_tracks_of_forgotten_accounts_are_any_accounts(one: Session) -> None:
    one.fill(1)
    ours = one.begin(OURS)
    one.claim(ours)
    one.do(HeldBy(ours, steps.submitting(1, ours)))
    with pytest.raises(LedgerError, match=f"run {ours} on .* is at work.*ledger release"):
        one.do(steps.forget_account)
    assert one.there.give_up(ours)
    one.do(steps.forget_account)
    theirs = one.begin(OTHERS)

    assert one.there.count_foreign(OTHERS) == 0
    assert one.claim(theirs, state=SUBMITTING) == [1]


def test_tracks_of_other_accounts_with_a_finished_cover_are_not_counted(one: Session) -> None:
    one.fill(len(TrackState))
    one.execute("UPDATE tracks SET account = %s", OURS)
    for number, state in enumerate(TrackState, 1):
        one.there.change(number, {"state": state.value})

    assert one.there.count_foreign(OTHERS) == 2  # submitting, submitted


def test_a_track_that_is_put_off_is_claimed_by_a_later_run_alone(one: Session) -> None:
    one.fill(2)
    first, second, third = one.begin(), one.begin(), one.begin()
    assert one.claim(second, 1) == [1]
    one.do(HeldBy(second, steps.put_off(1, second)))
    one.there.release(1, second)

    assert one.claim(first) == [2]
    assert one.claim(second) == []
    assert one.claim(third) == [1]


# Giving up


def test_a_run_that_is_silent_for_too_long_loses_its_tracks_to_whoever_claims_next(
    one: Session, two: Session
) -> None:
    one.fill(3)
    dead, alive = one.begin(), two.begin()
    one.claim(dead, 2)
    assert two.claim(alive) == [3]
    one.silence(dead)

    assert two.claim(alive) == [1, 2]
    assert two.run(dead)["released_at"] is not None
    assert two.run(alive)["released_at"] is None


def test_a_run_that_begins_an_intake_gives_silent_runs_up(one: Session) -> None:
    dead, alive = one.begin(), one.begin()
    one.do(run_steps.begin_intake(dead, "a", "L"))
    with pytest.raises(LedgerError, match=f"run {dead} on .* works on another catalog"):
        one.do(run_steps.begin_intake(alive, "b", "L"))
    one.silence(dead)

    assert one.do(run_steps.begin_intake(alive, "b", "L")) is not None
    assert one.run(dead)["released_at"] is not None


def test_silence_counts_by_the_servers_clock_and_from_its_start_at_the_earliest(
    one: Session,
) -> None:
    one.fill(1)
    silent, alive = one.begin(), one.begin()
    one.claim(silent)
    one.execute("UPDATE runs SET heard_at = '2001-01-01' WHERE number = %s", silent)
    after = (
        "UPDATE ledger SET dead_after = "
        "extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())"
    )
    one.execute(after + " + 3600")
    assert one.claim(alive) == []
    assert one.run(silent)["released_at"] is None
    one.execute(after + " / 2")

    assert one.claim(alive) == [1]


def test_a_run_never_gives_itself_up(one: Session) -> None:
    """Else it would hold tracks as a run that was given up, and nobody would ever get them."""
    one.fill(2)
    run = one.begin()
    one.claim(run, 1)
    one.silence(run)

    assert one.claim(run) == [2]
    one.do(run_steps.begin_intake(run, "a", "L"))
    assert one.run(run)["released_at"] is None
    one.do(run_steps.beat(run))


def test_a_run_that_missed_beats_itself_gives_nobody_up(one: Session) -> None:
    """After an outage all are silent; the first one back must not take the others' tracks."""
    one.fill(1)
    other, back = one.begin(), one.begin()
    one.claim(other)
    for run in (other, back):
        one.silence(run)

    assert one.claim(back) == []
    assert one.run(other)["released_at"] is None
    back_since = (
        "UPDATE runs SET heard_at = clock_timestamp() + interval '1 hour', "
        "returned_at = clock_timestamp() + %s::interval WHERE number = %s"
    )
    one.execute(back_since, "1 hour", back)  # the others have as long again as they had before
    assert one.claim(back) == []
    assert one.run(other)["released_at"] is None
    one.execute(back_since, "-1 hour", back)

    assert one.claim(back) == [1]


def test_a_run_whose_beats_come_has_not_been_away(one: Session) -> None:
    run = one.begin()
    one.do(run_steps.beat(run))
    assert one.run(run)["returned_at"] is None
    one.silence(run)
    one.do(run_steps.beat(run))
    assert one.run(run)["returned_at"] is not None


def test_a_beat_makes_a_run_heard(one: Session) -> None:
    run = one.begin()
    one.execute("UPDATE runs SET heard_at = '2001-01-01'")
    one.do(run_steps.beat(run))

    assert one.execute("SELECT clock_timestamp() - heard_at < '1 hour' FROM runs") == [(True,)]
    assert one.there.beat_seconds() == 10


def test_a_run_with_a_transaction_under_way_is_not_given_up_for_silence(
    one: Session, two: Session
) -> None:
    one.fill(2)
    slow, alive = one.begin(), two.begin()
    one.silence(slow)
    with one.transaction() as there:
        HeldBy(slow, lambda it: it.claim("waiting", slow, 1))(there)
        assert two.claim(alive, 1) == [2]  # it neither waits nor gives the run up
        assert two.run(slow)["released_at"] is None

    assert two.claim(alive, 1) == [1]
    assert two.run(slow)["released_at"] is not None


def test_a_claim_that_commits_while_its_run_is_given_up_leaves_no_track_that_nobody_gets(
    one: Session, two: Session, watcher: Session
) -> None:
    one.fill(3)
    slow, alive = one.begin(), two.begin()
    one.execute("BEGIN")
    HeldBy(slow, run_steps.claim([WAITING], slow, 3))(one.there)
    with at_the_same_time(lambda: two.do(lambda there: there.give_up(slow))) as answer:
        until_it_waits(watcher, two)
        one.execute("COMMIT")

    assert answer == [True]
    assert two.claim(alive) == [1, 2, 3]


def test_a_step_that_waits_while_its_run_is_given_up_changes_nothing(
    one: Session, two: Session, watcher: Session
) -> None:
    one.fill(1)
    slow = one.begin()
    one.claim(slow)
    two.execute("BEGIN")
    assert two.there.give_up(slow)
    with at_the_same_time(lambda: one.do(HeldBy(slow, steps.submitting(1, slow)))) as answer:
        until_it_waits(watcher, one)
        two.execute("COMMIT")

    (refused,) = answer
    assert isinstance(refused, LedgerError)
    assert f"run {slow} was given up for dead" in str(refused)
    assert (one.track()["state"], one.track()["holder"]) == ("waiting", None)
    assert one.there.submits() == 0


def test_a_run_is_given_up_once(one: Session) -> None:
    run = one.begin()

    assert one.there.give_up(run)
    assert not one.there.give_up(run)
    assert not one.there.give_up(99)


def test_a_run_that_was_given_up_is_not_at_work(one: Session) -> None:
    run = one.begin()
    assert one.there.is_at_work(run)
    assert not one.there.is_at_work(99)
    one.there.give_up(run)

    assert not one.there.is_at_work(run)
    with pytest.raises(LedgerError, match="was given up for dead"):
        one.do(run_steps.beat(run))


# Ends


def end(session: Session, run: int) -> None:
    session.do(run_steps.end_run(run))


def test_a_run_that_ends_releases_its_tracks_at_once(one: Session) -> None:
    one.fill(2)
    first, second = one.begin(), one.begin()
    one.claim(first)
    end(one, first)

    assert one.claim(second) == [1, 2]
    assert one.run(first)["released_at"] is not None
    assert [row["run"] for row in one.there.holders()] == [second]


def test_a_run_that_ends_keeps_a_submit_that_may_be_on_its_way_until_it_counts_as_silent(
    one: Session,
) -> None:
    one.fill(2)
    first, second = one.begin(), one.begin()
    one.claim(first)
    one.do(HeldBy(first, steps.submitting(1, first)))
    end(one, first)

    assert one.claim(second) == [2]
    assert one.claim(second, state=SUBMITTING) == []
    assert one.run(first)["released_at"] is None
    assert [row["has_ended"] for row in one.there.holders()] == [True, False]
    one.silence(first)
    assert one.claim(second, state=SUBMITTING) == [1]
    assert one.run(first)["released_at"] is not None


def test_the_answer_to_a_submit_of_a_run_that_ended_is_recorded(one: Session) -> None:
    one.fill(1)
    run = one.begin()
    one.claim(run)
    one.do(HeldBy(run, steps.submitting(1, run)))
    end(one, run)
    one.do(HeldBy(run, steps.Submitted(number=1, task=TASK, run=run, base_url="https://a")))

    assert (one.track()["state"], one.run(run)["submitted"]) == ("submitted", 1)


def test_the_end_of_a_run_counts_as_heard(one: Session) -> None:
    one.fill(1)
    run = one.begin()
    one.claim(run)
    one.do(HeldBy(run, steps.submitting(1, run)))
    one.execute("UPDATE runs SET heard_at = '2001-01-01'")
    end(one, run)

    assert one.execute("SELECT clock_timestamp() - heard_at < '1 hour' FROM runs") == [(True,)]


def test_a_run_that_was_given_up_and_ends_takes_nothing_from_others(one: Session) -> None:
    one.fill(1)
    first, second = one.begin(), one.begin()
    one.claim(first)
    one.there.give_up(first)
    released_at = one.run(first)["released_at"]
    assert one.claim(second) == [1]
    end(one, first)

    assert one.track()["holder"] == second
    assert one.run(first)["released_at"] == released_at


@pytest.mark.parametrize("ends", [run_steps.end_run, run_steps.forget_run])
def test_a_claim_that_commits_while_its_run_ends_leaves_no_track_that_nobody_gets(
    one: Session, two: Session, watcher: Session, ends: Callable[[int], Work[None]]
) -> None:
    """As a claim whose COMMIT is on its way after the connection to its run was lost."""
    one.fill(3)
    run = one.begin()
    one.execute("BEGIN")
    HeldBy(run, run_steps.claim([WAITING], run, 3))(one.there)
    with at_the_same_time(lambda: two.do(ends(run))) as answer:
        until_it_waits(watcher, two)
        one.execute("COMMIT")

    assert answer == [None]
    assert one.run(run)["released_at"] is not None
    assert {track["holder"] for track in one.contents("tracks")["tracks"]} == {None}


def test_a_run_that_holds_a_submit_is_not_forgotten(one: Session) -> None:
    one.fill(1)
    run, idle = one.begin(), one.begin()
    one.claim(run)
    one.do(HeldBy(run, steps.submitting(1, run)))

    one.do(run_steps.forget_run(run))
    one.do(run_steps.forget_run(idle))

    assert one.track()["holder"] == run
    assert [row["number"] for row in one.there.runs(9)] == [run]
    assert one.run(run)["ended_at"] is not None


# Who else is at work


def test_tracks_that_no_run_at_work_holds_come_free_for_a_run_without_other_work(
    one: Session,
) -> None:
    one.fill(1)
    ours = one.begin()
    one.execute("UPDATE tracks SET holder = 99")  # as another program may have written
    assert one.claim(ours) == []

    assert one.there.others_hold(["waiting"], ours)

    assert one.claim(ours) == [1]
    assert not one.there.others_hold(["waiting"], ours)


def test_tracks_that_no_run_at_work_holds_come_free_as_a_run_begins(one: Session) -> None:
    one.fill(1)
    one.hold(1, 99)

    assert one.claim(one.begin()) == [1]


def test_tracks_that_no_run_at_work_holds_come_free_as_a_silent_run_is_given_up(
    one: Session,
) -> None:
    one.fill(2)
    dead, alive = one.begin(), one.begin()
    one.claim(dead, 1)
    one.hold(2, 99)
    assert one.claim(alive) == []
    one.silence(dead)

    assert one.claim(alive) == [1, 2]


def test_a_run_begins_without_the_places_of_the_runs_before(one: Session) -> None:
    one.fill(1)
    one.claim(one.begin())
    assert one.places
    one.begin()

    assert one.places == {}


def test_a_run_that_has_just_begun_leaves_those_that_were_cut_off_half_of_the_time_to_return(
    one: Session,
) -> None:
    one.fill(1)
    dead, new = one.begin(), one.begin()
    one.claim(dead)
    one.silence(dead)  # for an hour, where a second is too long
    began = (
        "UPDATE runs SET began_at = extract(epoch FROM clock_timestamp()) + %s WHERE number = %s"
    )
    one.execute(began, 3600, new)  # so that half a second has not passed, however slow this is
    assert one.claim(new) == []
    assert one.run(dead)["released_at"] is None
    one.execute(began, -0.51, new)

    assert one.claim(new) == [1]
    assert one.run(dead)["released_at"] is not None


def test_others_hold_what_may_come_to_this_run(one: Session) -> None:
    one.fill(1)
    first, second = one.begin(), one.begin()
    states = ["waiting", "submitting"]
    assert not one.there.others_hold(states, first)
    one.claim(second)

    assert one.there.others_hold(states, first)
    assert not one.there.others_hold(["submitted"], first)
    assert not one.there.others_hold(states, second)
    one.do(HeldBy(second, steps.submitting(1, second)))
    assert one.there.others_hold(["submitting"], first)


def test_what_others_put_off_or_other_accounts_paid_for_does_not_come_to_this_run(
    one: Session,
) -> None:
    one.fill(2)
    first, second, theirs = one.begin(), one.begin(), one.begin(OTHERS)
    one.claim(second, 1)
    one.do(HeldBy(second, steps.put_off(1, second)))
    assert not one.there.others_hold(["waiting"], first)
    assert not one.there.others_hold(["waiting"], second)
    assert one.there.others_hold(["waiting"], theirs)  # a later run
    one.claim(theirs)
    one.do(HeldBy(theirs, steps.submitting(2, theirs)))

    assert not one.there.others_hold(["submitting"], first)
    assert one.there.others_hold(["submitting"], one.begin(OTHERS))


def test_others_are_those_at_work_with_what_they_work_on(one: Session) -> None:
    one.fill(1)
    first, second, third, fourth, fifth = (one.begin() for _ in range(5))
    one.claim(fifth)
    one.do(HeldBy(fifth, steps.submitting(1, fifth)))
    end(one, fifth)  # it keeps its track, and works on nothing
    one.there.work_on(second, "catalog")
    one.there.give_up(third)
    end(one, fourth)

    assert one.there.others(first) == [(second, node(), "catalog", False)]
    one.silence(second)
    assert one.there.others(first) == [(second, node(), "catalog", True)]


def test_two_runs_that_begin_an_intake_at_once_do_it_one_after_the_other(
    one: Session, two: Session, watcher: Session
) -> None:
    first, second = one.begin(), two.begin()
    one.execute("BEGIN")
    mine = run_steps.begin_intake(first, "a", "L")(one.there)
    with at_the_same_time(lambda: two.do(run_steps.begin_intake(second, "a", "L"))) as answer:
        until_it_waits(watcher, two)
        one.execute("COMMIT")

    assert mine is run_steps.Intake.OURS
    assert answer == [run_steps.Intake.WAIT]


def test_holders_say_who_holds_how_many_since_when(one: Session) -> None:
    one.fill(3)
    first, second = one.begin(), one.begin()
    one.claim(second, 2)
    one.there.count_submit(second, adopted=True)
    one.there.count_submit(second, adopted=False)
    (since,) = one.execute("SELECT extract(epoch FROM min(held_since))::float8 FROM tracks")[0]
    mine, its = map(read_holder, one.there.holders())

    assert (mine.run, mine.tracks, mine.holds_since, mine.submitted) == (first, 0, None, 0)
    assert (its.run, its.tracks, its.submitted) == (second, 2, 2)
    assert (its.host, its.process) == (node(), os.getpid())
    assert its.holds_since == datetime.fromtimestamp(since, UTC)
    assert its.heard_at.year >= its.began_at.year

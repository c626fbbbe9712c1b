"""The journal: arrivals by kind, and how late the ends of covers were noticed."""

from typing import Any

from suno_cover_async.sandbox import Arrival, Bill, Delivery, Fault, Journal, Kind


def arrival(at: float, kind: Kind = "details", **fields: Any) -> Arrival:
    return Arrival(at=at, method="GET", path="/", kind=kind, **fields)


def poll(at: float, cover_task_id: str = "c", finished_at: float | None = None) -> Arrival:
    return arrival(at, cover_task_id=cover_task_id, finished_at=finished_at)


def test_arrivals_are_found_by_their_kind_in_order() -> None:
    arrivals = [arrival(1, "submit"), arrival(2, "other"), arrival(3, "submit")]

    journal = Journal(arrivals=arrivals)

    assert [one.at for one in journal.of("submit")] == [1, 3]
    assert journal.of("image") == []


def test_a_delay_is_that_of_the_first_poll_that_was_told_of_the_end() -> None:
    journal = Journal(arrivals=[poll(10), poll(20, finished_at=12.5), poll(30, finished_at=12.5)])

    assert journal.delays() == {"c": 7.5}


def test_an_end_that_the_poll_itself_brought_is_noticed_at_once() -> None:
    assert Journal(arrivals=[poll(10, finished_at=10.2)]).delays() == {"c": 0.0}


def test_each_cover_task_has_its_own_delay_and_one_that_goes_on_has_none() -> None:
    journal = Journal(
        arrivals=[
            poll(5, "a", finished_at=4),
            poll(5, "going on"),
            poll(9, "b", finished_at=4),
            arrival(9, finished_at=4),
        ]
    )

    assert journal.delays() == {"a": 1.0, "b": 5.0}


def test_a_new_journal_shares_nothing_with_another() -> None:
    one, other = Journal(), Journal()

    one.arrivals.append(arrival(1))
    one.bills.append(Bill(at=1, music_task_id="m", cover_task_id="c", credits=1))
    one.callbacks.append(Delivery(at=1, cover_task_id="c", url="http://127.0.0.1/"))

    assert (other.arrivals, other.bills, other.callbacks) == ([], [], [])


def test_what_is_not_said_of_an_arrival_is_that_nothing_went_wrong() -> None:
    usual = arrival(1)

    assert (usual.admitted, usual.executed, usual.key_sent) == (True, False, False)
    assert (usual.fault, usual.status, usual.code) == (Fault.NONE, None, None)

"""The numbers that transactions leave, so that it is known whether they took effect."""

from suno_cover_async.ledger.postgres.commits import (
    forget_old_numbers,
    has_changes,
    last_number,
    leave_number,
)
from tests.support.shared_ledgers import Session


def age(one: Session, writer: str, days: int) -> None:
    one.execute(
        "UPDATE commits SET left_at = left_at - %s * interval '1 day' WHERE writer = %s",
        *(days, writer),
    )


def test_a_number_is_left_if_it_is_above_those_before(one: Session) -> None:
    there = one.connection
    assert last_number(there, "one") == 0

    assert leave_number(there, "one", 1)
    assert not leave_number(there, "one", 1)  # the transaction took effect, and is repeated
    assert leave_number(there, "one", 3)
    assert leave_number(there, "two", 1)
    assert (last_number(there, "one"), last_number(there, "two")) == (3, 1)


def test_a_transaction_that_only_reads_has_no_changes(one: Session) -> None:
    with one.transaction() as there:
        there.submits()
        assert not has_changes(one.connection)
        there.add_submits(1)
        assert has_changes(one.connection)


def test_the_number_of_a_ledger_that_is_open_for_days_without_work_is_kept(one: Session) -> None:
    """Without it, the ledger would take the database for one that has forgotten its commits."""
    there = one.connection
    leave_number(there, "idle", 7)
    leave_number(there, "gone", 7)
    age(one, "idle", 29)
    age(one, "gone", 31)

    forget_old_numbers(there)

    assert (last_number(there, "idle"), last_number(there, "gone")) == (7, 0)

"""What a batch would submit, in words and as a record."""

import json

import attrs
import pytest

from suno_cover_async import CatalogPlan, RateLimit
from suno_cover_async.cli.output.prospect import Prospect, ProspectRecord, lines_of, say_briefly
from suno_cover_async.cli.output.records import as_json
from tests.support.terminal import log, said

LIMIT = RateLimit(calls=20, seconds=10)
PLAN = CatalogPlan(
    total=3_010,
    new=2_997,
    again=0,
    possibly_billed=2,
    submitted=3,
    covered=4,
    done=12,
    failed=1,
    retry_failed=False,
    dropped=0,
    submits=21,
    max_covers=None,
    credits_used=36.0,
    credits_covers=12,
)
UNMEASURED = attrs.evolve(PLAN, credits_used=0, credits_covers=0)
NOTHING = attrs.evolve(PLAN, new=0, possibly_billed=0, submitted=0)


def lines(plan: CatalogPlan = PLAN, balance: float = 9_000.5) -> list[str]:
    return list(lines_of(Prospect(plan=plan, rate_limit=LIMIT, credits=balance)))


def briefly(plan: CatalogPlan = PLAN, balance: float = 9_000.5) -> list[str]:
    there = log()
    say_briefly(there, Prospect(plan=plan, rate_limit=LIMIT, credits=balance))
    return said(there).splitlines()


def test_each_number_is_named_and_numbers_of_nothing_are_left_out() -> None:
    assert lines() == [
        "      2,997  new",
        "          2  possibly billed: submitted again, which never pays twice",
        "          3  submitted before: paid for, their covers are waited for",
        "          4  covered before: their images are saved",
        "         12  done",
        "          1  failed before: left as they are, without --retry-failed",
        "to submit: 2,997 tracks",
        "time: about 51 min at the limit of 20 requests in 10 s, and the last cover's own time",
        "credits at hand: 9,000.50",
        (
            "cost: about 8,991 credits: 3 a cover, as measured over 12 covers of this ledger and "
            "what else the account spent then"
        ),
    ]


def test_failed_tracks_that_start_again_are_named() -> None:
    plan = attrs.evolve(PLAN, again=1, retry_failed=True, dropped=5)

    found = lines(plan)

    assert (
        "          1  with a cover that failed: submitted again, which may be billed again" in found
    )
    assert "          1  failed before: start again, by --retry-failed" in found
    assert (
        "          5  of another catalog that wait in the ledger: dropped, unless in this one"
        in found
    )
    assert "to submit: 2,998 tracks" in found


def test_a_limit_says_what_it_counts_and_what_waits() -> None:
    limited = attrs.evolve(PLAN, max_covers=30)

    assert lines(limited)[6] == (
        "to submit: 9 tracks, and 2,988 wait: --max-covers 30 counts the 21 submitted so far"
    )
    assert "to submit: 9 tracks, and 2,988 wait" in briefly(limited)[0]
    assert "cost: about 27 credits" in briefly(limited)[1]
    first = attrs.evolve(limited, submits=0)
    assert lines(first)[6] == "to submit: 30 tracks, and 2,967 wait: --max-covers 30"


def test_a_cost_that_is_unknown_is_called_so_and_a_trial_is_due() -> None:
    unknown = "unknown, since the price is not published and this ledger has not measured it yet"

    assert lines(UNMEASURED)[-1] == f"cost: {unknown}"
    assert Prospect(plan=UNMEASURED, rate_limit=LIMIT).needs_trial
    assert not Prospect(plan=PLAN, rate_limit=LIMIT).needs_trial
    few = attrs.evolve(UNMEASURED, new=3)
    assert not Prospect(plan=few, rate_limit=LIMIT).needs_trial


def test_where_nothing_is_new_nothing_is_paid() -> None:
    found = lines(NOTHING)

    assert found[0] == "          0  new"
    assert "to submit: 0 tracks" in found
    assert "time: none at the API's limit" in found
    assert found[-1] == "cost: none, nothing new is submitted"


def test_a_balance_that_is_unknown_has_its_reason() -> None:
    plan = Prospect(plan=PLAN, rate_limit=LIMIT, problem="no API key")

    assert "credits at hand: unknown (no API key)" in list(lines_of(plan))


def test_before_a_question_there_are_two_lines_and_a_third_where_credits_are_too_few() -> None:
    assert briefly() == [
        (
            "2,997 new, 9 resumed, 12 done; time: about 51 min at the limit of 20 requests in 10 s"
            ", and the last cover's own time"
        ),
        (
            "credits at hand: 9,000.50; cost: about 8,991 credits: 3 a cover, as measured over 12 "
            "covers of this ledger and what else the account spent then"
        ),
    ]
    assert briefly(balance=8_990.0)[2:] == ["that is more than the credits at hand"]
    assert len(briefly(UNMEASURED, balance=0.0)) == 2


@pytest.mark.parametrize(("calls", "seconds"), [(20, 3_076), (40, 1_538)])
def test_a_record_has_every_number(calls: int, seconds: int) -> None:
    limited = attrs.evolve(PLAN, max_covers=10_000)
    prospect = Prospect(
        plan=limited, rate_limit=RateLimit(calls=calls, seconds=10), credits=9_000.5
    )

    record = ProspectRecord.of(prospect, bad_lines=7)

    assert json.loads(as_json(record)) == {
        "total": 3_010,
        "new": 2_997,
        "again": 0,
        "possibly_billed": 2,
        "submitted": 3,
        "covered": 4,
        "done": 12,
        "failed": 1,
        "retry_failed": False,
        "submits": 21,
        "max_covers": 10_000,
        "to_submit": 2_997,
        "waiting": 0,
        "seconds": seconds,
        "credits": 9_000.5,
        "credits_per_cover": 3.0,
        "measured_covers": 12,
        "cost": 8_991.0,
        "bad_lines": 7,
        "other_hosts": [],
    }


def test_other_runs_at_work_are_told_with_their_hosts_and_that_all_is_counted_together() -> None:
    hosts = ("studio", "office", "office")
    shared = Prospect(plan=attrs.evolve(PLAN, other_hosts=hosts), rate_limit=LIMIT)
    what = "3 other runs are at work with this ledger, on office (2), studio"

    assert f"{what}: these numbers are what is left for all together" in lines_of(shared)
    assert json.loads(as_json(ProspectRecord.of(shared, bad_lines=0)))["other_hosts"] == [*hosts]
    there = log()
    say_briefly(there, shared)
    assert what in said(there)


def test_one_other_run_is_told_in_the_singular() -> None:
    one = Prospect(plan=attrs.evolve(PLAN, other_hosts=("studio",)), rate_limit=LIMIT)

    assert "1 other run is at work with this ledger, on studio:" in "\n".join(lines_of(one))

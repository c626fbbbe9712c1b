"""Write what a batch would submit: how many tracks, how long, and what it may cost.

It owns the words, and the fields of `--dry-run --json`. It knows plans; it makes no request.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs
from rich.console import Console

from suno_cover_async import CatalogPlan, RateLimit
from suno_cover_async.cli.output.console import say
from suno_cover_async.cli.output.progress import amount, length
from suno_cover_async.cli.output.report import are, count
from suno_cover_async.common.text import printable

TRIAL = 3
"""How many covers to try first, where no cost is known."""


@attrs.frozen(kw_only=True)
class Prospect:
    """What is known before a batch.

    Attributes:
        plan: What it would submit.
        rate_limit: The limit of the account's requests.
        credits: The account's balance; None if it is unknown.
        problem: Why the balance is unknown.
    """

    plan: CatalogPlan
    rate_limit: RateLimit
    credits: float | None = None
    problem: str = ""

    @property
    def seconds(self) -> float:
        """Return how long the batch takes at the least, by the limit of requests alone."""
        return self.plan.seconds(self.rate_limit)

    @property
    def needs_trial(self) -> bool:
        """Return whether no cost is known, and there are more tracks than a trial has."""
        return self.plan.credits_per_cover is None and self.plan.to_submit > TRIAL


@attrs.frozen(kw_only=True)
class ProspectRecord:
    """What a batch would submit, as `--dry-run --json` writes it, in tracks unless noted.

    Attributes:
        total: All tracks of the ledger, this catalog included.
        new: Not submitted yet.
        again: Failed covers that are submitted again.
        possibly_billed: Submitted without an answer; submitted again, which never pays twice.
        submitted: Paid for, and not finished.
        covered: Finished; the images are not saved.
        done: Saved.
        failed: Failed or in need of attention before.
        retry_failed: Whether those start again.
        submits: Submits that the ledger has begun so far.
        max_covers: The limit of these; None if there is none.
        to_submit: Submits that the batch would begin.
        waiting: Tracks that `max_covers` leaves waiting.
        seconds: The time that the limit of requests makes it take.
        credits: The account's balance; None if unknown.
        credits_per_cover: As earlier runs of the ledger measured it; None if unknown.
        measured_covers: The covers that this was measured over.
        cost: The credits for all submits; None if unknown.
        bad_lines: The number of lines of the catalog that name no track.
        other_hosts: The hosts of other runs at work with the ledger, one for each run; all that is
            counted is left for these and this one together.
    """

    total: int
    new: int
    again: int
    possibly_billed: int
    submitted: int
    covered: int
    done: int
    failed: int
    retry_failed: bool
    submits: int
    max_covers: int | None
    to_submit: int
    waiting: int
    seconds: int
    credits: float | None
    credits_per_cover: float | None
    measured_covers: int
    cost: float | None
    bad_lines: int
    other_hosts: tuple[str, ...]

    @classmethod
    def of(cls, prospect: Prospect, *, bad_lines: int) -> "ProspectRecord":
        """Describe what is known before a batch."""
        plan = prospect.plan
        return cls(
            total=plan.total,
            new=plan.new,
            again=plan.again,
            possibly_billed=plan.possibly_billed,
            submitted=plan.submitted,
            covered=plan.covered,
            done=plan.done,
            failed=plan.failed,
            retry_failed=plan.retry_failed,
            submits=plan.submits,
            max_covers=plan.max_covers,
            to_submit=plan.to_submit,
            waiting=plan.waiting,
            seconds=round(prospect.seconds),
            credits=prospect.credits,
            credits_per_cover=plan.credits_per_cover,
            measured_covers=plan.credits_covers,
            cost=plan.cost,
            bad_lines=bad_lines,
            other_hosts=plan.other_hosts,
        )


def lines_of(prospect: Prospect) -> Iterator[str]:
    """Yield all that is known, a line each."""
    plan = prospect.plan
    for number, what in _counts(plan):
        if number or what == "new":
            yield f"{number:>11,}  {what}"
    if plan.other_hosts:
        yield _others(plan)
    yield f"to submit: {_to_submit(plan)}"
    yield f"time: {_time(prospect)}"
    yield f"credits at hand: {_credits(prospect)}"
    yield f"cost: {_cost(plan)}"


def say_briefly(console: Console, prospect: Prospect) -> None:
    """Write the same in two or three lines, before a question."""
    plan = prospect.plan
    resumed = plan.possibly_billed + plan.submitted + plan.covered
    counts = f"{plan.new + plan.again:,} new, {resumed:,} resumed, {plan.done:,} done"
    limited = "" if plan.max_covers is None else f"; to submit: {_to_submit(plan)}"
    say(console, f"{counts}{limited}; time: {_time(prospect)}")
    if plan.other_hosts:
        say(console, _others(plan), "yellow")
    say(console, f"credits at hand: {_credits(prospect)}; cost: {_cost(plan)}")
    if plan.cost is not None and prospect.credits is not None and plan.cost > prospect.credits:
        say(console, "that is more than the credits at hand", "yellow")


def _others(plan: CatalogPlan) -> str:
    """Return which other runs are at work: how many, and on which hosts."""
    runs, hosts = len(plan.other_hosts), Counter(plan.other_hosts)
    many = {host: "" if each == 1 else f" ({each})" for host, each in hosts.items()}
    where = ", ".join(f"{printable(host, 80)}{many[host]}" for host in sorted(hosts))
    what = f"{count(runs, 'other run')} {are(runs)} at work with this ledger, on {where}"
    return f"{what}: these numbers are what is left for all together"


def _counts(plan: CatalogPlan) -> Sequence[tuple[int, str]]:
    """Return each number of tracks, and what it means."""
    with_retry = "failed before: start again, by --retry-failed"
    left = "failed before: left as they are, without --retry-failed"
    return (
        (plan.new, "new"),
        (plan.again, "with a cover that failed: submitted again, which may be billed again"),
        (plan.possibly_billed, "possibly billed: submitted again, which never pays twice"),
        (plan.submitted, "submitted before: paid for, their covers are waited for"),
        (plan.covered, "covered before: their images are saved"),
        (plan.done, "done"),
        (plan.failed, with_retry if plan.retry_failed else left),
        (plan.dropped, "of another catalog that wait in the ledger: dropped, unless in this one"),
    )


def _to_submit(plan: CatalogPlan) -> str:
    words = count(plan.to_submit, "track")
    if plan.max_covers is None:
        return words
    limit = f"--max-covers {plan.max_covers}"
    if plan.submits:
        limit += f" counts the {plan.submits:,} submitted so far"
    return f"{words}, and {plan.waiting:,} wait: {limit}"


def _time(prospect: Prospect) -> str:
    if not prospect.seconds:
        return "none at the API's limit"
    limit = prospect.rate_limit
    what = f"{count(limit.calls, 'request')} in {limit.seconds:g} s"
    return f"about {length(prospect.seconds)} at the limit of {what}, and the last cover's own time"


def _credits(prospect: Prospect) -> str:
    if prospect.credits is None:
        return f"unknown ({prospect.problem})"
    return amount(prospect.credits)


def _cost(plan: CatalogPlan) -> str:
    each, cost = plan.credits_per_cover, plan.cost
    if not plan.to_submit:
        return "none, nothing new is submitted"
    if each is None or cost is None:
        return "unknown, since the price is not published and this ledger has not measured it yet"
    covers = count(plan.credits_covers, "cover")
    return (
        f"about {amount(cost)} credits: {amount(each)} a cover, as measured over {covers} of this "
        "ledger and what else the account spent then"
    )

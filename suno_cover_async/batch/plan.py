"""Find out what a run over a catalog would submit, before anything is paid for.

It owns the estimate of time and cost. It takes the same steps as a run, on a private copy of the
ledger, so that both count alike; it submits nothing and knows no client.
"""

import os
from collections.abc import Iterable
from contextlib import AsyncExitStack

import attrs

from suno_cover_async.batch.intake import fingerprint_of, replace_waiting
from suno_cover_async.common import validation
from suno_cover_async.common.records import Record
from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Track
from suno_cover_async.policies import RateLimit

_SUBMIT, _WAIT = 1.0, 1.05  # requests for a cover, as benchmarks/README.md measured them


@attrs.frozen(kw_only=True)
class CatalogPlan(Record):
    """What a run over a catalog would find and do, in music tasks unless noted.

    Attributes:
        total: All of the ledger, this catalog included.
        new: Nothing was sent for them, or nothing that was billed.
        again: Failed covers that the run would submit again, by `retry_failed`.
        possibly_billed: A submit may have been sent: it is repeated, which never pays twice.
        submitted: Paid for, and not finished when the ledger was last written.
        covered: Finished; the images are not saved.
        done: Saved; the run does nothing for them.
        failed: Failed or in need of attention before this run.
        retry_failed: Whether those start again; then they are counted above as well.
        dropped: Waiting tracks of the ledger's other catalog, which this one replaces; some may be
            in both.
        submits: Submits that the ledger has begun so far, in covers; what `max_covers` limits.
        max_covers: The limit of the run; None if there is none.
        credits_used: Credits that earlier runs of the ledger used, where both balances are known.
            They may include the account's other spending.
        credits_covers: The covers that these credits were measured over; 0 if nothing is known.
        other_hosts: The hosts of the other runs that are at work with the ledger, one for each run.
            They do a part of all that is counted here.
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
    dropped: int
    submits: int
    max_covers: int | None
    credits_used: float
    credits_covers: int
    other_hosts: tuple[str, ...] = ()

    @property
    def to_submit(self) -> int:
        """Return how many submits the run would begin: new ones, and failed ones again."""
        wanted = self.new + self.again
        if self.max_covers is None:
            return wanted
        return min(wanted, max(0, self.max_covers - self.submits))

    @property
    def waiting(self) -> int:
        """Return how many tracks `max_covers` would leave waiting."""
        return self.new + self.again - self.to_submit

    @property
    def credits_per_cover(self) -> float | None:
        """Return the credits for one cover, as earlier runs measured it; None if unknown."""
        return self.credits_used / self.credits_covers if self.credits_covers else None

    @property
    def cost(self) -> float | None:
        """Return the credits for all submits of the run, as far as known; None if unknown."""
        each = self.credits_per_cover
        return None if each is None else each * self.to_submit

    def seconds(self, rate_limit: RateLimit) -> float:
        """Return how long the run takes at the least, by the limit of requests alone."""
        submits = self.to_submit + self.possibly_billed
        requests = submits * (_SUBMIT + _WAIT) + self.submitted * _WAIT
        return requests * rate_limit.seconds / rate_limit.calls


async def plan_catalog(
    tracks: Iterable[Track | str],
    *,
    ledger: str | os.PathLike[str],
    account: str | None = None,
    retry_failed: bool = False,
    max_covers: int | None = None,
) -> CatalogPlan:
    """Return what `cover_catalog` would do with a catalog and a ledger, without doing it.

    The ledger is only read, also while a run writes to it; where there is none, none is made. A
    catalog that the ledger does not have yet is added to a private copy of it, in a temporary file
    if it is large.

    Args:
        tracks: `read_catalog(...)`, or an iterable of tracks or music task ids.
        ledger: The path of the ledger, or the URL of the database that has it.
        account: `SunoCoverClient.account`, to check that the ledger belongs to it.
        retry_failed: As for `cover_catalog`.
        max_covers: As for `cover_catalog`.

    Raises:
        ValueError: A track or `max_covers` is invalid.
        TypeError: An argument is of the wrong type.
        OSError: The catalog cannot be read.
        LedgerError: The ledger cannot be read, its folder does not exist, or it belongs to another
            account; or a run would be refused now, since others work on another catalog, or on any
            and `retry_failed` is set.
    """
    limit = None if max_covers is None else validation.count("max_covers", max_covers, least=0)
    fingerprint = await fingerprint_of(tracks)
    there = Ledger(ledger)
    hosts: tuple[str, ...] = ()
    if there.path is None:
        await there.check(fingerprint, retry_failed=retry_failed)
        hosts = (await there.at_work()).hosts
    async with Ledger.copy_of(ledger) as copy, AsyncExitStack() as stack:
        if account is not None:
            await stack.enter_async_context(copy.lease(account))
        dropped = await replace_waiting(copy, tracks, fingerprint)
        before = await copy.count()
        if retry_failed:
            await copy.retry_failed()
        found = await copy.outlook()
    totals, state = found.totals, TrackState
    return CatalogPlan(
        total=sum(totals.values()),
        new=totals[state.WAITING],
        again=found.again,
        possibly_billed=totals[state.SUBMITTING] - found.again,
        submitted=totals[state.SUBMITTED],
        covered=totals[state.COVERED],
        done=totals[state.SAVED],
        failed=before[state.FAILED] + before[state.ATTENTION],
        retry_failed=retry_failed,
        dropped=dropped,
        submits=found.submits,
        max_covers=limit,
        credits_used=found.credits_used,
        credits_covers=found.credits_covers,
        other_hosts=hosts,
    )

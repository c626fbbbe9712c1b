"""`batch --dry-run`: find out what a batch would submit, and write it; nothing is submitted.

It makes one request, for the balance, if there is a key. `question.py` asks with the same facts.
"""

import asyncio
import contextlib

import attrs

from suno_cover_async import (
    CatalogPlan,
    SunoCoverClient,
    SunoCoverError,
    plan_catalog,
)
from suno_cover_async.cli.actions.catalog_input import Intake
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.failures import explain
from suno_cover_async.cli.ledger_path import LedgerPath
from suno_cover_async.cli.output.console import copyable, result, say, stderr
from suno_cover_async.cli.output.follow_up import Command
from suno_cover_async.cli.output.prospect import TRIAL, Prospect, ProspectRecord, lines_of
from suno_cover_async.cli.output.records import as_json
from suno_cover_async.cli.shared_limit import LIMIT

_PATIENCE = 10.0  # seconds for the balance
_NO_KEY = "no API key"
_NO_ANSWER = f"no answer in {_PATIENCE:g} s"


@attrs.frozen(kw_only=True)
class Study:
    """What to find out.

    Attributes:
        intake: The catalog, checked already.
        ledger_path: The ledger, which is only read.
        client: The client that requests the balance; None if there is no key.
        retry_failed: Whether the batch would submit again what failed before.
        max_covers: The limit of covers.
    """

    intake: Intake
    ledger_path: LedgerPath
    client: SunoCoverClient | None
    retry_failed: bool
    max_covers: int | None

    async def plan(self) -> CatalogPlan:
        """Return what a batch would submit; raises as `plan_catalog` does."""
        return await plan_catalog(
            self.intake.catalog,
            ledger=self.ledger_path,
            account=None if self.client is None else self.client.account,
            retry_failed=self.retry_failed,
            max_covers=self.max_covers,
        )

    async def prospect(self, plan: CatalogPlan) -> Prospect:
        """Add the balance to a plan, where it can be had."""
        if self.client is None:
            return Prospect(plan=plan, rate_limit=LIMIT, problem=_NO_KEY)
        limit = self.client.limiter.rate_limit
        try:
            async with asyncio.timeout(_PATIENCE):
                balance = await self.client.credits()
        except (SunoCoverError, TimeoutError) as error:
            problem = explain(error) if isinstance(error, SunoCoverError) else _NO_ANSWER
            return Prospect(plan=plan, rate_limit=limit, problem=problem)
        return Prospect(plan=plan, rate_limit=limit, credits=balance)


async def report(study: Study, *, with_json: bool, command: Command) -> int:
    """Write what a batch would submit to standard output, and the next step to standard error.

    Raises:
        LedgerError: The ledger cannot be read, or belongs to another account.
        OSError: Standard output cannot be written.
    """
    async with contextlib.AsyncExitStack() as stack:
        if study.client is not None:
            await stack.enter_async_context(study.client)
        prospect = await study.prospect(await study.plan())
    if with_json:
        result(as_json(ProspectRecord.of(prospect, bad_lines=study.intake.bad)))
    else:
        for line in lines_of(prospect):
            result(line)
    say(stderr(), "a dry run: nothing was submitted, and nothing was written")
    retry = ["--retry-failed"] * study.retry_failed
    if prospect.needs_trial:
        say(stderr(), "next, make a few covers to see them and what they cost:")
        copyable(stderr(), command.again(*retry, "--max-covers", str(TRIAL), limited=False))
    elif prospect.plan.to_submit:
        say(stderr(), "next, to submit them:")
        copyable(stderr(), command.again(*retry))
    return ExitCode.DONE

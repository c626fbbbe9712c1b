"""Read and record what people decide about the images of covers.

This module owns who may change a decision: whoever saw the one that stands. `steps.py` has the
steps, and `models.py` the values.
"""

from datetime import UTC, datetime

from suno_cover_async.errors import ChoiceConflictError
from suno_cover_async.ledger import steps
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.ledger.store import SharedAccess
from suno_cover_async.models import Choice, Decision

_PAGE = 50


class Choices:
    """The decisions about the saved covers of a ledger; `Ledger.choices()` opens them.

    ::

        async with Ledger("covers.db").choices() as choices:
            for entry in await choices.page(Decision.UNDECIDED):
                await choices.choose(
                    entry.number, Decision.IMAGE, 1, revision=entry.choice.revision, by="Ann"
                )

    Only covers with saved images are here. Each call reads the ledger as it is now. Several people
    and a running catalog may use the ledger at once: a decision is one statement, which holds the
    file for well under a millisecond, and is on the disk when `choose` returns.
    """

    def __init__(self, access: SharedAccess) -> None:
        """Use this access, which `Ledger.choices()` opens and closes."""
        self._access = access

    async def page(
        self, *decisions: Decision, search: str = "", after: int = 0, limit: int = _PAGE
    ) -> list[LedgerEntry]:
        """Return saved covers, in the catalog's order.

        Args:
            decisions: The decisions to include; none means all.
            search: A part of a title, in capitals or not; the empty string means all.
            after: Only entries numbered above this.
            limit: How many at most.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return await self._access.read(steps.pairs(decisions, search, after, limit))

    async def counts(self, *, search: str = "") -> dict[Decision, int]:
        """Return the number of saved covers with each decision; raises as `page` does."""
        return await self._access.read(steps.count_decisions(search))

    async def entry(self, number: int) -> LedgerEntry:
        """Return a saved cover by its number in the ledger.

        Raises:
            LookupError: There is no saved cover of this number.
            LedgerError: The ledger cannot be read.
        """
        for entry in await self.page(after=number - 1, limit=1):
            if entry.number == number:
                return entry
        raise LookupError(f"the ledger has no saved cover of number {number}")

    async def choose(
        self,
        number: int,
        decision: Decision,
        image: int | None = None,
        *,
        revision: int,
        by: str | None = None,
    ) -> Choice:
        """Record a decision, and return it with its new revision.

        Recording the same decision of the same person twice, as after a lost answer, is one change.

        Args:
            number: The number of the entry.
            decision: What was decided; `Decision.UNDECIDED` undoes it.
            image: The number of the chosen image, from 1; only with `Decision.IMAGE`.
            revision: The revision of the choice that this one replaces.
            by: Who decided.

        Raises:
            ChoiceConflictError: The choice that stands has another revision.
            LookupError: There is no saved cover of this number.
            ValueError: The cover has no such image, or a decision without an image has one.
            LedgerError: The ledger cannot be read or written.
        """
        entry = await self.entry(number)
        images = len(entry.images)
        if decision is not Decision.IMAGE and image is not None:
            raise ValueError(f"the decision {decision.value!r} has no image, not {image!r}")
        if decision is Decision.IMAGE and (image is None or not 1 <= image <= images):
            raise ValueError(f"image must be a number from 1 to {images}, not {image!r}")
        choice = Choice(
            decision=decision,
            image=image,
            revision=revision + 1,
            decided_at=datetime.now(UTC),
            decided_by=by,
        )
        if await self._access.write(steps.decide(number, entry.details.cover_task_id, choice)):
            return choice
        found = (await self.entry(number)).choice
        if _facts(found) == _facts(choice):
            return found
        conflict = ChoiceConflictError(_who_was_first(found), music_task_id=entry.music_task_id)
        conflict.choice = found
        raise conflict


def _facts(choice: Choice) -> tuple[object, ...]:
    return choice.decision, choice.image, choice.revision, choice.decided_by


def _who_was_first(choice: Choice) -> str:
    who = choice.decided_by or "somebody"
    what = {
        Decision.IMAGE: f"chose image {choice.image}",
        Decision.NEITHER: "chose neither image",
        Decision.LATER: "put it off",
        Decision.UNDECIDED: "undid the decision",
    }[choice.decision]
    if choice.decided_at is None:
        return "nobody has decided yet; read the cover again"
    return f"{who} {what} at {choice.decided_at.astimezone():%H:%M on %Y-%m-%d}"

"""Add the tracks of a catalog to the ledger, before anything is submitted or while a run goes on.

It owns what counts as another catalog, and the checks of each track. It submits nothing.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import islice

from suno_cover_async.batch.catalog import Catalog
from suno_cover_async.common import validation
from suno_cover_async.common.disk import in_thread
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.run_steps import Intake
from suno_cover_async.log_fields import fields
from suno_cover_async.models import Track

CheckId = Callable[[str], object]
"""Raises ValueError for a music task id that must not be added."""

_log = logging.getLogger("suno_cover_async")

_PAGE = 5_000
_AGAIN_SECONDS = 1.0  # between two questions whether another run has added the catalog


def any_id(_: str) -> None:
    """Refuse nothing."""


async def add_all(
    ledger: Ledger, tracks: Iterable[Track | str], check_id: CheckId = any_id
) -> None:
    """Add a whole catalog as `replace_waiting` does, and log what was dropped for it."""
    fingerprint = await fingerprint_of(tracks, check_id)
    dropped = await replace_waiting(ledger, tracks, fingerprint, check_id)
    if dropped:
        _log.warning(
            "the ledger %s had another catalog: %d of its tracks that were not submitted are "
            "dropped, unless they are in this catalog too",
            *(ledger.name, dropped),
            extra=fields("catalog_replaced", ledger=ledger.name, dropped=dropped),
        )


async def replace_waiting(
    ledger: Ledger,
    tracks: Iterable[Track | str],
    fingerprint: str | None,
    check_id: CheckId = any_id,
) -> int:
    """Add a whole catalog in place of the tracks that wait, unless the ledger has it already.

    If another run is adding it, this waits until that is done, or does it if that run ends before.
    It also waits, for 20 s at most, until a silent run with another catalog is given up.

    Args:
        ledger: The ledger.
        tracks: The catalog.
        fingerprint: Of the catalog, by `fingerprint_of`.
        check_id: Called with each music task id, before the ledger has it.

    Returns:
        How many tracks of another catalog were dropped; some may be in this one too.

    Raises:
        ValueError: A track is invalid; then the ledger has none of them.
        TypeError: `tracks` yields something other than tracks and ids.
        LedgerError: The ledger cannot be written, or other runs work on another catalog.
    """
    # No event tells when another process has added it.
    while (what := await ledger.begin_intake(fingerprint)) is Intake.WAIT:  # noqa: ASYNC110
        await asyncio.sleep(_AGAIN_SECONDS)
    if what is Intake.NONE:
        return 0
    dropped = await ledger.forget_waiting()
    try:
        # Each page is read while the one before it is written, by the ledger's thread.
        rest, writing = map(partial(_track, check_id), tracks), list[asyncio.Future[int]]()
        while page := list(islice(rest, _PAGE)):
            await asyncio.gather(*writing)
            writing = [ledger.take_in(page)]
        await asyncio.gather(*writing)
    except BaseException:
        await ledger.forget_waiting()
        raise
    await ledger.took_in(fingerprint)
    return dropped


async def fingerprint_of(tracks: Iterable[Track | str], check_id: CheckId = any_id) -> str | None:
    """Return a digest of a whole catalog; None if it can be read only once, or not be digested.

    Raises:
        ValueError: A track is invalid.
        TypeError: `tracks` is a string, or has something other than tracks and ids.
    """
    if isinstance(tracks, str | bytes):
        raise TypeError("tracks must be an iterable; for a file, give read_catalog(path)")
    if isinstance(tracks, Catalog):
        return await in_thread(tracks.fingerprint)
    if isinstance(tracks, Sequence):
        return await in_thread(partial(_fingerprint, tracks, check_id))
    return None


async def add_each(
    ledger: Ledger,
    tracks: AsyncIterable[Track | str],
    added: Callable[[int], None],
    check_id: CheckId = any_id,
) -> None:
    """Add tracks as they arrive; call `added` after each with 1, or 0 for a known music task.

    Raises:
        Exception: The iteration over `tracks` raised it, or as `add_all`.
    """
    await ledger.follow()
    arriving = aiter(tracks)
    async with AsyncExitStack() as stack:
        if isinstance(arriving, AsyncGenerator):
            stack.push_async_callback(arriving.aclose)
        async for track in arriving:
            added(await ledger.take_in([_track(check_id, track)]))


def _fingerprint(tracks: Sequence[Track | str], check_id: CheckId = any_id) -> str | None:
    """Return a digest of a list of tracks; None if a column has no form in JSON."""
    digest = hashlib.sha256()
    try:
        for track in map(partial(_track, check_id), tracks):
            record = (track.music_task_id, track.title, dict(track.columns))
            digest.update(json.dumps(record, sort_keys=True).encode() + b"\n")
    except (TypeError, RecursionError):
        return None  # adding the track says what is wrong
    return f"list {digest.hexdigest()}"


def _track(check_id: CheckId, given: Track | str) -> Track:
    if isinstance(given, str):
        check_id(given)  # first: what else is wrong with it is said with its text
        return Track(given)
    check_id(validation.instance("track", given, Track).music_task_id)
    return given

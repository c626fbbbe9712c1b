"""Run a catalog: take its tracks into a ledger, and cover them for as long as a block lasts.

This module owns how a run begins, and how the block is left. `catalog_run.py` owns the run.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from suno_cover_async.batch.catalog_run import CatalogRun
from suno_cover_async.batch.image_saver import Folder, name_of
from suno_cover_async.batch.intake import add_all
from suno_cover_async.client import SunoCoverClient, covers_of
from suno_cover_async.common import validation
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Track


@asynccontextmanager
async def cover_catalog(
    client: SunoCoverClient,
    tracks: Iterable[Track | str] | AsyncIterable[Track | str],
    *,
    ledger: Ledger | None = None,
    into: str | os.PathLike[str] | None = None,
    retry_failed: bool = False,
    wait_out_outages: bool = True,
    file_name: Callable[[Track], str] | None = None,
    max_covers: int | None = None,
) -> AsyncGenerator[CatalogRun, None]:
    """Cover a whole catalog and iterate over the outcomes of its tracks as they arrive.

    ::

        async with Ledger("covers.db") as ledger:
            async with cover_catalog(client, tracks, ledger=ledger, into="covers") as outcomes:
                async for outcome in outcomes: ...

    A further run with the same ledger resumes the work: tracks that are paid for come first, tracks
    that ended are not submitted, and outcomes of earlier runs are not returned again. Memory does
    not grow with the catalog: at most `client.concurrency` covers are in flight, and no further
    track starts while 1,000 outcomes are unread.

    With a ledger in a database, several processes may cover the same catalog at once: each returns
    the outcomes of the tracks that it worked on itself, and ends when all tracks have ended.

    An outage fails no track. All requests pause except one probe at a time, sent after
    `RetryPolicy.probe_delay` seconds growing to `max_probe_delay`; when the host answers, the run
    continues. Other calls of this client wait too, up to their own timeouts.

    Leaving the block early stops the run: nothing more is submitted, the run waits for the answer
    to a submit that was already sent and records it, and the next run continues with the rest. A
    cancellation while the block is being left ends this wait. The answer is recorded all the same,
    and the ledger is closed after that.

    Args:
        client: The client that sends the requests.
        tracks: `read_catalog(...)`, or an iterable of tracks or music task ids. A plain iterable is
            read to its end before anything is submitted, and replaces the tracks that an earlier
            catalog left waiting. An asynchronous one is covered as it yields, in addition to those.
            A music task that appears twice is one cover, with an outcome and files for each title.
        ledger: Where to record the tracks; None records them in memory, for this run only.
        into: The folder for the images, two files a track, named by title and music task id; None
            saves no images.
        retry_failed: Start again all tracks of the ledger that failed or need attention. A cover
            that failed is submitted again. The API does not document whether that is billed again.
        wait_out_outages: Whether tracks wait until an outage ends. If not, they end with their own
            retries and timeouts, and the next run continues with them.
        file_name: Returns the stem of a track's files, for a run that names them itself. It must
            be the same in all runs of a ledger, and another one for each title: files of the same
            name are replaced. None takes title and music task id.
        max_covers: The most submits in the life of the ledger, to try a few covers first, or to
            bound what is spent; None is no limit. Songs whose covers failed and that are submitted
            again count again; a submit that was refused, or is repeated because its answer was
            lost, does not. Once it is reached, no further track is submitted: they wait for a run
            with a larger number, and all that is paid for is finished. It is checked in the
            transaction that records a submit, so it holds after a crash too. 0 submits nothing
            new.

    Raises:
        ValueError: A track or `max_covers` is invalid, a music task id is the API key, or `into` is
            no valid path; nothing was submitted. (For an asynchronous iterable, the iteration over
            outcomes raises it.)
        TypeError: An argument is of the wrong type.
        LedgerError: The ledger is not open, is in use by another catalog, belongs to another
            account, or cannot be written; or other runs work with it, on another catalog or while
            `retry_failed` is set. The iteration raises it if this run was given up for dead.
    """
    validation.instance("client", client, SunoCoverClient)
    if max_covers is not None:
        validation.count("max_covers", max_covers, least=0)
    folder = None if into is None else Folder(validation.folder("into", into), file_name or name_of)
    covers = covers_of(client)
    async with AsyncExitStack() as stack:
        if ledger is None:
            ledger = await stack.enter_async_context(Ledger(None))
        validation.instance("ledger", ledger, Ledger)
        await stack.enter_async_context(ledger.lease(client.account))
        if wait_out_outages:
            stack.enter_context(client.breakers.armed())
        feed = tracks if isinstance(tracks, AsyncIterable) else None
        if await ledger.has_answered(client.base_url):
            client.trust_base_url()
        if not isinstance(tracks, AsyncIterable):
            await add_all(ledger, tracks, covers.check_music_id)
        if retry_failed:
            await ledger.retry_failed()
        retry = covers.account.retry
        outcomes = CatalogRun(
            covers,
            ledger,
            folder,
            feed,
            retry.for_batch() if wait_out_outages else retry,
            max_covers=max_covers,
        )
        await outcomes.count()
        # From here on a separate task owns the lease and the breakers. It is cancelled once, and
        # only below, so it can wait for the answer to a submit that was already sent and record it.
        # If the caller's own task did this, a second cancellation would interrupt that wait, and a
        # paid cover task would be lost. The caller may be cancelled any number of times while it
        # waits for this task to end.
        work = asyncio.create_task(outcomes.work(stack.pop_all()))
        covers.used_by(work)
        ledger.used_by(work)
    try:
        await asyncio.sleep(0)  # a task cancelled before its first step would never close `stack`
        yield outcomes
    finally:
        work.cancel()
        await asyncio.wait([work])

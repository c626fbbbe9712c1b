"""Apply the choices in a ledger: walk over its covers, and write the chosen images.

`run_over` is the walk, for any kind of target, which gives it a `Prepare`; the target of
`apply_choices` is an `ArtworkFolder`.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import TypeAlias

from suno_cover_async.artwork.folder import ArtworkFolder
from suno_cover_async.artwork.outcomes import ApplyOutcome, NotChosen
from suno_cover_async.artwork.plan import ArtworkPlan, Default, image_of
from suno_cover_async.artwork.presets import Preset
from suno_cover_async.artwork.written_files import WrittenFiles
from suno_cover_async.common.disk import in_thread
from suno_cover_async.common.validation import instance
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger

Work: TypeAlias = Callable[[], Sequence[ApplyOutcome]]
"""Writes what is to be written for one cover; it blocks, and raises no error of a single cover."""

_Working: TypeAlias = "asyncio.Future[Sequence[ApplyOutcome]]"

Prepare: TypeAlias = Callable[[LedgerEntry, int], Work]
"""Decides what is written for a cover and the number of its image; called in the ledger's order."""


async def apply_choices(
    ledger: Ledger,
    *,
    into: str | os.PathLike[str],
    preset: Preset | str = "original",
    name: str | None = None,
    upscale: bool = False,
    sidecar: bool = False,
    default: Default | None = None,
    dry_run: bool = False,
) -> AsyncGenerator[ApplyOutcome, None]:
    """Write the chosen images of the saved covers into a folder.

    Yields one outcome for each title of a cover, in the order in which they end.

    A second run writes nothing that is there already; after another choice it replaces that song's
    own file. Files of other songs and programs are never replaced, and none is removed. Each file
    is whole or not at all, also after a kill. The ledger is only read, so a batch may run
    meanwhile. Images are converted in as many threads as there are CPUs.

    Args:
        ledger: The ledger. A file that it names by a relative path is taken from the current
            directory, else from beside the ledger.
        into: The folder to write into; it is made.
        preset: What to write: a name of `PRESETS`, or a `Preset` of your own.
        name: How to name files, such as "{artist} - {title}.{ext}". A field is a column of the
            catalog in any spelling, or title, music_task_id, cover_task_id, number (in the
            ledger), image (1 or 2) or ext; a / begins a folder. None names them like the saved
            images, without the number: title and music task id.
        upscale: Enlarge images that are smaller than the preset's side.
        sidecar: Write a JSON file beside each artwork.
        default: "first" takes the first image of covers that nobody decided about; None leaves
            them alone.
        dry_run: Write nothing, and tell what would be written.

    Raises:
        ValueError: An argument is wrong, or the name has a field that no track has; nothing was
            written.
        LedgerError: The ledger cannot be read.
        ArtworkError, OSError: The folder cannot be used.
    """
    instance("ledger", ledger, Ledger)
    if default not in {None, "first"}:
        raise ValueError(f'default must be None or "first", not {default!r:.80}')
    plan = ArtworkPlan.of(into=into, preset=preset, name=name)
    if plan.pattern is not None and plan.pattern.fields:
        columns: dict[str, None] = {}
        async for entry in ledger.entries():
            for track in entry.tracks:
                columns.update(dict.fromkeys(track.columns))
        plan.pattern.check(columns)
    await ledger.totals()  # no folder is made for a ledger that is none
    files = await in_thread(partial(WrittenFiles, plan.into, read_only=dry_run))
    target = ArtworkFolder(
        plan=plan,
        files=files,
        ledger=ledger.path,
        upscale=upscale,
        with_sidecar=sidecar,
        dry_run=dry_run,
    )
    try:
        async with aclosing(run_over(ledger, target.prepare, default=default)) as outcomes:
            async for outcome in outcomes:
                yield outcome
    finally:
        files.close()


async def run_over(
    ledger: Ledger, prepare: Prepare, *, default: Default | None
) -> AsyncGenerator[ApplyOutcome, None]:
    """Do the work for each saved cover with a chosen image, some covers at once.

    Args:
        ledger: The ledger.
        prepare: Called for one cover after the other, in a thread; its work is done in others.
        default: As for `apply_choices`.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    # Threads do as well as processes: Pillow releases the interpreter's lock while it decodes,
    # resizes and, into a file, encodes. There is work in reserve, so that a thread that is done
    # begins with the next without waiting for the event loop.
    most = os.cpu_count() or 1
    pool = ThreadPoolExecutor(most, "artwork")
    loop = asyncio.get_running_loop()
    working: set[_Working] = set()
    try:
        async with aclosing(ledger.entries(TrackState.SAVED)) as entries:
            async for entry in entries:
                image = image_of(entry, default)
                if image is None:
                    for track in entry.tracks:
                        yield NotChosen(track=track, decision=entry.choice.decision)
                    continue
                work = await in_thread(partial(prepare, entry, image))
                working.add(loop.run_in_executor(pool, work))
                if len(working) == 2 * most:
                    for outcome in await _first_ended(working):
                        yield outcome
        while working:
            for outcome in await _first_ended(working):
                yield outcome
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        if working:  # work that has begun is finished
            await asyncio.wait(working)


async def _first_ended(working: set[_Working]) -> list[ApplyOutcome]:
    """Wait until some work ends; take what has ended out of the set."""
    done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
    working -= done
    return [outcome for one in done for outcome in one.result()]

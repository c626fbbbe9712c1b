"""Ledgers with real image files, for tests of what is made of the chosen ones."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from suno_cover_async import Decision, Ledger, Track
from suno_cover_async.artwork import ApplyOutcome, apply_choices
from suno_cover_async.artwork.plan import Default
from suno_cover_async.artwork.presets import Preset
from tests.support.saved_covers import save_covers

COLOURS = ("#c02040", "#2060c0")
"""Of image 1 and image 2."""


def draw(path: Path, colour: str, size: tuple[int, int] = (64, 64)) -> Path:
    """Draw an image of one colour, in the format that the suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


async def chosen(
    folder: Path,
    tracks: Iterable[Track],
    choices: Mapping[int, Decision | int],
    *,
    size: tuple[int, int] = (64, 64),
) -> Ledger:
    """Make `covers.db` with two images for each track, beside it, and decide about some.

    `choices` has a number of an image, or a decision, by the numbers of covers.
    """
    tracks = list(tracks)
    path = folder / "covers.db"
    folder.mkdir(exist_ok=True)
    await save_covers(path, tracks)
    for track in tracks:
        for number, colour in enumerate(COLOURS, 1):
            draw(folder / f"covers/{track.title}-{number}.png", colour, size)
    ledger = Ledger(path)
    for number, what in choices.items():
        await choose(ledger, number, what)
    return ledger


async def choose(ledger: Ledger, number: int, what: Decision | int) -> None:
    """Decide about a cover: an image, or a decision without one."""
    async with ledger.choices() as choices:
        revision = (await choices.entry(number)).choice.revision
        decision = Decision.IMAGE if isinstance(what, int) else what
        image = what if isinstance(what, int) else None
        await choices.choose(number, decision, image, revision=revision, by="Ann")


async def applied(
    ledger: Ledger,
    into: Path,
    preset: Preset | str = "original",
    *,
    name: str | None = None,
    upscale: bool = False,
    sidecar: bool = False,
    default: Default | None = None,
    dry_run: bool = False,
) -> list[ApplyOutcome]:
    """Apply the choices; return the outcomes in the order of the titles."""
    outcomes = apply_choices(
        ledger,
        into=into,
        preset=preset,
        name=name,
        upscale=upscale,
        sidecar=sidecar,
        default=default,
        dry_run=dry_run,
    )
    found = [outcome async for outcome in outcomes]
    return sorted(found, key=lambda one: (one.track.title, one.track.music_task_id))


def files_in(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder, by its path, but for the record."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".suno-cover.jsonl"
    }


def unread(path: Path) -> tuple[int, int, int]:
    """Return what is another once a file was written again, and the same once it was read."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def colour_of(path: Path) -> int:
    """Return which image a file is of, by the colour at its centre: 1 or 2."""
    with Image.open(path) as image:
        red, _, blue = image.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    return 1 if red > blue else 2

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from suno_cover_async.artwork import Applied, ApplyOutcome, NotApplied, NotChosen, apply_choices
from suno_cover_async.artwork.apply import Work, run_over
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Decision, Track
from tests.support.artwork import applied, chosen, colour_of, files_in

A, B, C, D = (Track(f"{name.lower()}1", title=name) for name in "ABCD")


async def test_covers_without_a_chosen_image_are_left_alone_and_told(tmp_path: Path) -> None:
    decisions: dict[int, Decision | int] = {1: Decision.NEITHER, 2: Decision.LATER, 4: 1}
    ledger = await chosen(tmp_path, [A, B, C, D], decisions)

    *undone, done = await applied(ledger, tmp_path / "out")

    assert undone == [
        NotChosen(track=A, decision=Decision.NEITHER),
        NotChosen(track=B, decision=Decision.LATER),
        NotChosen(track=C, decision=Decision.UNDECIDED),
    ]
    assert isinstance(done, Applied)
    assert list(files_in(tmp_path / "out")) == ["D d1.png"]


async def test_by_default_first_undecided_covers_alone_get_their_first_image(
    tmp_path: Path,
) -> None:
    decisions: dict[int, Decision | int] = {1: Decision.NEITHER, 2: Decision.LATER, 4: 2}
    ledger = await chosen(tmp_path, [A, B, C, D], decisions)

    await applied(ledger, tmp_path / "out", default="first")

    assert list(files_in(tmp_path / "out")) == ["C c1.png", "D d1.png"]
    assert [colour_of(tmp_path / f"out/{name}.png") for name in ("C c1", "D d1")] == [1, 2]


async def test_each_title_of_a_song_gets_a_file(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, Track("a1", title="Again"), B], {1: 2})

    outcomes = await applied(ledger, tmp_path / "out", name="{title}.{ext}")

    assert [type(one) for one in outcomes] == [Applied, Applied, NotChosen]
    assert list(files_in(tmp_path / "out")) == ["A.png", "Again.png"]


async def test_an_unknown_field_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    tracks = [Track("a1", title="A", columns={"Artist": "Ann"}), B]
    ledger = await chosen(tmp_path, tracks, {1: 1, 2: 1})

    with pytest.raises(ValueError, match=r"no column \{album\} for a name; there are: .*Artist"):
        await applied(ledger, tmp_path / "out", name="{album}.{ext}")

    assert not (tmp_path / "out").exists()


async def test_a_track_without_a_value_is_a_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    tracks = [Track("a1", title="A", columns={"Artist": "Ann"}), B]
    ledger = await chosen(tmp_path, tracks, {1: 1, 2: 1})

    outcomes = await applied(ledger, tmp_path / "out", name="{artist} - {title}.{ext}")

    assert isinstance(outcomes[0], Applied)
    assert outcomes[1] == NotApplied(
        track=B, image=1, reason="it has no artist, which its file's name needs"
    )
    assert list(files_in(tmp_path / "out")) == ["Ann - A.png"]


async def test_a_ledger_that_is_none_is_an_error_and_no_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no ledger at all, for all its length" * 100)

    for path in (tmp_path / "text.db", tmp_path / "none.db"):
        with pytest.raises(LedgerError):
            await applied(Ledger(path), tmp_path / "out")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "given", [{"preset": "x"}, {"name": "../x"}, {"default": "last"}, {"name": ""}]
)
async def test_wrong_arguments_are_refused_before_the_ledger_is_read(
    tmp_path: Path, given: dict[str, str]
) -> None:
    outcomes = apply_choices(
        Ledger(tmp_path / "none.db"),
        into=tmp_path / "out",
        **given,  # type: ignore[arg-type]
    )

    with pytest.raises(ValueError, match=r"preset|name|default"):
        await anext(outcomes)


async def test_choices_are_applied_while_a_batch_holds_the_ledger(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A], {1: 1})

    async with Ledger(tmp_path / "covers.db") as held, held.lease("0123456789abcdef"):
        await held.take_in([B])
        outcomes = await applied(ledger, tmp_path / "out")

    assert [type(one) for one in outcomes] == [Applied]


async def test_the_ledger_is_not_changed(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [A, B], {1: 1})
    before = (tmp_path / "covers.db").read_bytes()

    await applied(ledger, tmp_path / "out", "store", default="first", sidecar=True)

    assert (tmp_path / "covers.db").read_bytes() == before


async def test_as_many_covers_as_there_are_cpus_are_worked_on_at_once_and_each_once(
    tmp_path: Path,
) -> None:
    tracks = [Track(f"s{n}", title=f"T{n}") for n in range(30)]
    ledger = await chosen(tmp_path, tracks, dict.fromkeys(range(1, 31), 1), size=(4, 4))
    most = os.cpu_count() or 1
    prepared: list[int] = []
    begun: list[int] = []
    ended: list[int] = []
    at_once: list[int] = []

    def prepare(entry: LedgerEntry, _: int) -> Work:
        prepared.append(entry.number)
        return lambda: work(entry.number)

    def work(number: int) -> Sequence[ApplyOutcome]:
        begun.append(number)
        at_once.append(len(begun) - len(ended))
        ended.append(number)
        return [NotApplied(track=A, image=number, reason="-")]

    outcomes = [one async for one in run_over(ledger, prepare, default=None)]

    assert prepared == list(range(1, 31))
    assert sorted(one.image for one in outcomes if isinstance(one, NotApplied)) == prepared
    assert max(at_once) <= most


async def test_an_iteration_that_is_left_finishes_what_it_began_and_begins_no_more(
    tmp_path: Path,
) -> None:
    tracks = [Track(f"s{n}", title=f"T{n}") for n in range(40)]
    ledger = await chosen(tmp_path, tracks, dict.fromkeys(range(1, 41), 1))

    async with contextlib.aclosing(apply_choices(ledger, into=tmp_path / "out")) as outcomes:
        first = await anext(outcomes)

    assert isinstance(first, Applied)
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(left) <= 2 * (os.cpu_count() or 1) + 2
    assert not [name for name in left if name.endswith(".part")]
    assert asyncio.all_tasks() == {asyncio.current_task()}

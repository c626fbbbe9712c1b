"""What people decide about covers: read, searched, recorded, and never overwritten unseen."""

import asyncio
import pickle
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suno_cover_async.errors import ChoiceConflictError, LedgerError
from suno_cover_async.ledger.choices import Choices
from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Choice, CoverTask, Decision, Track
from tests.support.runs import read_now
from tests.support.saved_covers import a_cover, save_covers

TITLES = ("Straße", "Søster", "STRASSE 2", "東京", 'He said "no"')
TRACKS = [Track(f"m{n}", title=title) for n, title in enumerate(TITLES, 1)]


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "covers.db"
    await save_covers(path, TRACKS)
    return path


@pytest.fixture
async def choices(path: Path) -> AsyncIterator[Choices]:
    async with Ledger(path).choices() as choices:
        yield choices


async def decide(choices: Choices, number: int, decision: Decision) -> Choice:
    choice = (await choices.entry(number)).choice
    image = 1 if decision is Decision.IMAGE else None
    return await choices.choose(number, decision, image, revision=choice.revision, by="Ann")


async def test_a_cover_that_nobody_decided_about_is_undecided_in_revision_0(
    choices: Choices,
) -> None:
    (first, *_) = await choices.page()

    assert first.choice == Choice()
    assert (first.choice.decision, first.choice.revision) == (Decision.UNDECIDED, 0)


async def test_a_decision_is_recorded_with_its_image_its_person_and_its_time(
    choices: Choices, path: Path
) -> None:
    before = datetime.now(UTC)
    choice = await choices.choose(2, Decision.IMAGE, 2, revision=0, by="Ann")

    assert (choice.decision, choice.image, choice.revision) == (Decision.IMAGE, 2, 1)
    assert choice.decided_by == "Ann"
    assert choice.decided_at is not None
    assert before <= choice.decided_at <= datetime.now(UTC)
    assert (await choices.entry(2)).choice == choice
    assert read_now(path)[1].choice == choice


@pytest.mark.parametrize("decision", Decision)
async def test_every_decision_can_follow_every_other(choices: Choices, decision: Decision) -> None:
    for number, first in enumerate(Decision, 1):
        await decide(choices, number, first)
        assert (await decide(choices, number, decision)).revision == 2
        assert (await choices.entry(number)).choice.decision is decision


async def test_a_decision_about_one_cover_is_about_no_other(choices: Choices) -> None:
    await decide(choices, 2, Decision.NEITHER)

    found = [entry.choice.decision for entry in await choices.page()]
    assert found == [Decision.UNDECIDED, Decision.NEITHER, *[Decision.UNDECIDED] * 3]


async def test_a_stale_revision_is_refused_and_tells_who_was_first(choices: Choices) -> None:
    await choices.choose(1, Decision.IMAGE, 2, revision=0, by="Ben")

    with pytest.raises(ChoiceConflictError, match=r"m1: Ben chose image 2 at \d\d:\d\d") as refused:
        await choices.choose(1, Decision.NEITHER, revision=0, by="Ann")
    assert refused.value.choice == (await choices.entry(1)).choice
    assert refused.value.choice.decision is Decision.IMAGE
    assert pickle.loads(pickle.dumps(refused.value)).choice == refused.value.choice  # noqa: S301


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (Decision.NEITHER, "Ann chose neither image"),
        (Decision.LATER, "Ann put it off"),
        (Decision.UNDECIDED, "Ann undid the decision"),
    ],
)
async def test_a_conflict_says_what_was_decided(
    choices: Choices, decision: Decision, words: str
) -> None:
    await decide(choices, 1, decision)

    with pytest.raises(ChoiceConflictError, match=words):
        await choices.choose(1, Decision.IMAGE, 1, revision=0, by="Ben")


@pytest.mark.parametrize("revision", [-1, 1, 7])
async def test_a_revision_that_never_was_is_refused(choices: Choices, revision: int) -> None:
    with pytest.raises(ChoiceConflictError, match="nobody has decided yet; read the cover again"):
        await choices.choose(1, Decision.IMAGE, 1, revision=revision, by="Ann")
    assert (await choices.entry(1)).choice == Choice()


async def test_an_undone_decision_keeps_its_revision_so_that_older_ones_stay_stale(
    choices: Choices,
) -> None:
    await choices.choose(1, Decision.IMAGE, 1, revision=0, by="Ann")
    await choices.choose(1, Decision.UNDECIDED, revision=1, by="Ann")
    await choices.choose(1, Decision.IMAGE, 2, revision=2, by="Ann")

    with pytest.raises(ChoiceConflictError):  # made by who saw the first one
        await choices.choose(1, Decision.NEITHER, revision=1, by="Ben")


async def test_a_decision_that_is_sent_twice_is_one_change(choices: Choices) -> None:
    first = await choices.choose(1, Decision.IMAGE, 2, revision=0, by="Ann")

    assert await choices.choose(1, Decision.IMAGE, 2, revision=0, by="Ann") == first
    for other in (
        choices.choose(1, Decision.IMAGE, 1, revision=0, by="Ann"),
        choices.choose(1, Decision.IMAGE, 2, revision=0, by="Ben"),
        choices.choose(1, Decision.LATER, revision=0, by="Ann"),
    ):
        with pytest.raises(ChoiceConflictError):
            await other


async def test_of_many_at_once_one_is_recorded(choices: Choices, path: Path) -> None:
    async with Ledger(path).choices() as others:
        attempts = [
            who.choose(1, Decision.IMAGE, 1, revision=0, by=f"person {n}")
            for n, who in enumerate([choices, others] * 10)
        ]
        done = await asyncio.gather(*attempts, return_exceptions=True)

    recorded = [one for one in done if isinstance(one, Choice)]
    assert len(recorded) == 1
    assert all(isinstance(one, Choice | ChoiceConflictError) for one in done)
    assert (await choices.entry(1)).choice == recorded[0]


@pytest.mark.parametrize(
    ("decision", "image"),
    [
        (Decision.IMAGE, None),
        (Decision.IMAGE, 0),
        (Decision.IMAGE, 3),
        (Decision.NEITHER, 1),
        (Decision.LATER, 2),
        (Decision.UNDECIDED, 1),
    ],
)
async def test_an_image_that_cannot_be_is_refused(
    choices: Choices, decision: Decision, image: int | None
) -> None:
    with pytest.raises(ValueError, match="image"):
        await choices.choose(1, decision, image, revision=0)
    assert (await choices.entry(1)).choice == Choice()


@pytest.mark.parametrize("number", [-1, 0, 6, 2**40])
async def test_a_cover_that_is_not_there_is_a_lookup_error(choices: Choices, number: int) -> None:
    with pytest.raises(LookupError, match="no saved cover of number"):
        await choices.choose(number, Decision.LATER, revision=0)


async def test_covers_whose_images_are_not_saved_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    async with Ledger(path) as ledger:
        await ledger.take_in(TRACKS[:1])
        (entry,) = await ledger.next_open(TrackState.WAITING, 0, 9)
        await ledger.submitted(entry, CoverTask(cover_task_id="c1", music_task_id="m1"))
        await ledger.covered(entry, a_cover(TRACKS[0]))

        async with ledger.choices() as choices:
            assert await choices.page() == []
            with pytest.raises(LookupError):
                await choices.choose(1, Decision.LATER, revision=0)
            await ledger.saved(entry, [Path("covers/1.png"), Path("covers/2.png")])
            assert len(await choices.page()) == 1


async def test_pages_are_of_the_wanted_decisions_in_the_catalogs_order(choices: Choices) -> None:
    decided = [Decision.IMAGE, Decision.LATER, Decision.UNDECIDED, Decision.NEITHER]
    for number, decision in enumerate(decided, 1):
        await decide(choices, number, decision)

    async def numbers(*wanted: Decision, after: int = 0, limit: int = 9) -> list[int]:
        found = await choices.page(*wanted, after=after, limit=limit)
        return [entry.number for entry in found]

    assert await numbers() == [1, 2, 3, 4, 5]
    assert await numbers(Decision.UNDECIDED) == [3, 5]
    assert await numbers(Decision.IMAGE, Decision.NEITHER) == [1, 4]
    assert await numbers(after=2, limit=2) == [3, 4]
    assert await choices.counts() == {
        Decision.UNDECIDED: 2,
        Decision.IMAGE: 1,
        Decision.NEITHER: 1,
        Decision.LATER: 1,
    }


@pytest.mark.parametrize(
    ("search", "numbers"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("strasse", [1, 3]),
        ("SØSTER", [2]),
        ("京", [4]),
        ('"no"', [5]),
        ("%", []),
        ("'; DROP TABLE choices; --", []),
    ],
)
async def test_a_search_finds_parts_of_titles_in_any_case(
    choices: Choices, search: str, numbers: list[int]
) -> None:
    assert [entry.number for entry in await choices.page(search=search)] == numbers
    assert sum((await choices.counts(search=search)).values()) == len(numbers)


async def test_a_search_is_in_no_column_but_the_titles(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    await save_covers(path, [Track("m1", title="Song", columns={"artist": "Ann"})])

    async with Ledger(path).choices() as choices:
        assert await choices.page(search="ann") == []
        assert await choices.page(search="artist") == []


async def test_a_choice_is_about_one_cover_task_and_ends_with_it(
    choices: Choices, path: Path
) -> None:
    await decide(choices, 1, Decision.IMAGE)
    await decide(choices, 1, Decision.NEITHER)
    async with Ledger(path) as ledger:  # the song got another cover
        (entry, *_) = await choices.page()
        await ledger.submitted(entry, CoverTask(cover_task_id="c-new", music_task_id="m1"))
        await ledger.covered(entry, a_cover(TRACKS[0]))
        await ledger.saved(entry, entry.files)

    assert (await choices.entry(1)).choice == Choice()
    assert (await decide(choices, 1, Decision.LATER)).revision == 1
    assert (await choices.entry(1)).choice.decision is Decision.LATER


async def test_the_files_of_a_title_are_those_under_that_title(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    first, second = Track("m1", title="Song"), Track("m1", title="Song (live)")
    await save_covers(path, [first, second], images=3)
    (entry,) = read_now(path)

    assert entry.files_of(first) == tuple(Path(f"covers/Song-{n}.png") for n in (1, 2, 3))
    assert entry.files_of(second) == tuple(Path(f"covers/Song (live)-{n}.png") for n in (1, 2, 3))
    with pytest.raises(ValueError, match="not in tuple"):
        entry.files_of(Track("m2"))


async def test_a_ledger_without_a_file_has_no_choices() -> None:
    async with Ledger(None) as ledger:
        with pytest.raises(LedgerError, match="no file to share"):
            async with ledger.choices():
                pass

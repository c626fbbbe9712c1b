"""Rows of a ledger: written and read back, and refused if this package never writes such values."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.entry import (
    HOLDER_COLUMNS,
    RUN_COLUMNS,
    TRACK_COLUMNS,
    LedgerEntry,
    LedgerHolder,
    LedgerRun,
    TrackRow,
    TrackState,
    credits_used,
    read_entry,
    read_holder,
    read_run,
    read_state,
    read_track,
    write_columns,
)
from suno_cover_async.models import CoverStatus, CoverTask, Track
from tests.support.ledger_steps import FILES, NOON, TASK, details

IMAGES = details().images
ROW = TrackRow(
    number=2,
    music_task_id="m1",
    names={"Song": {"album": "A", "no": 1}, "Söng 🎵": {}},
    state=TrackState.SAVED,
    cover_task_id="c1",
    adopted=True,
    images=IMAGES,
    created_at=NOON - timedelta(seconds=41.25),
    completed_at=NOON,
    files=FILES,
    saved_on="a-machine",
    error=None,
    reason=None,
    submits=3,
    retried=False,
)
RUN = LedgerRun(
    number=3,
    began_at=NOON,
    ended_at=NOON + timedelta(hours=1),
    balance_before=100.0,
    balance_after=88.5,
    submitted=2,
    adopted=1,
)


def columns_of(value: Any) -> dict[str, Any]:
    return dict(write_columns(**attrs.asdict(value, recurse=False)))


def an_entry(**fields: Any) -> LedgerEntry:
    some: dict[str, Any] = {"number": 1, "tracks": (Track("m1"),), "state": TrackState.COVERED}
    return LedgerEntry(**(some | fields))


def test_a_row_is_read_back_as_it_was_written() -> None:
    columns = columns_of(ROW)

    assert tuple(columns) == TRACK_COLUMNS
    assert all(isinstance(value, str | int | float | None) for value in columns.values())
    assert read_track(columns) == ROW


def test_a_row_is_the_entry_of_all_its_titles() -> None:
    assert read_entry(columns_of(ROW)) == LedgerEntry(
        number=2,
        tracks=(
            Track("m1", title="Song", columns={"album": "A", "no": 1}),
            Track("m1", title="Söng 🎵"),
        ),
        state=TrackState.SAVED,
        task=CoverTask(cover_task_id="c1", music_task_id="m1", adopted=True),
        images=IMAGES,
        created_at=ROW.created_at,
        completed_at=NOON,
        files=FILES,
        saved_on="a-machine",
        submits=3,
    )


def test_a_row_without_a_cover_task_is_an_entry_without_one() -> None:
    row = attrs.evolve(ROW, cover_task_id=None, error="ServerError", reason="Oh dear")
    entry = read_entry(columns_of(row))

    assert (entry.task, entry.error, entry.reason) == (None, "ServerError", "Oh dear")
    assert entry.music_task_id == "m1"


def test_columns_hold_plain_values_that_other_programs_can_read() -> None:
    assert write_columns(
        state=TrackState.ATTENTION,
        names={"Song": {"no": 1}},
        images=("https://images.example/1.png",),
        files=(Path("covers/Song.png"),),
        completed_at=datetime(1970, 1, 2, tzinfo=UTC),
        error=None,
        submits=2,
    ) == {
        "state": "attention",
        "names": '{"Song": {"no": 1}}',
        "images": '["https://images.example/1.png"]',
        "files": '["covers/Song.png"]',
        "completed_at": 86_400.0,
        "error": None,
        "submits": 2,
    }


def test_the_states_in_a_file_stay_what_they_are_from_version_to_version() -> None:
    assert [state.value for state in TrackState] == [
        *("waiting", "submitting", "submitted", "covered", "saved", "failed", "attention")
    ]


def test_what_json_cannot_hold_is_no_column() -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]

    with pytest.raises(TypeError):
        write_columns(names={"Song": {"odd": {1}}})
    with pytest.raises(RecursionError):
        write_columns(names={"Song": {"deep": deep}})


DEEP = "[" * 5_000


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("names", names) for names in ("{}", "[]", '{"Song": null}', '{"Song": 5}', "null")),
        *(("names", names) for names in (DEEP, '{"Song', '{"\\ud800": 5}', '{"Song": [1]}', None)),
        *(("images", images) for images in ("[null]", "[5]", '"ab"', "{}", DEEP, None)),
        *(("files", files) for files in ("[null]", '["\\u0000"]', '"ab"', DEEP, b"[]")),
        *(("cover_task_id", task) for task in ("a b", "\x1b[2J", "é", "x" * 129, 5)),
        *(("completed_at", seconds) for seconds in (1e300, -1e300, 1e17, -62135600000, "now")),
        *(("state", state) for state in ("unknown", "", "SAVED", 7, None)),
        ("adopted", 2),
        ("retried", 2),
        ("submits", 1.5),
        ("music_task_id", "a b"),
    ],
)
def test_an_entry_of_whatever_nonsense_is_named(column: str, value: object) -> None:
    with pytest.raises(
        LedgerError, match="the ledger's entry 2 is damaged: restore a copy"
    ) as error:
        read_entry(columns_of(ROW) | {column: value})

    assert error.value.__context__ is None


def test_a_row_without_a_column_is_damaged() -> None:
    row = columns_of(ROW)
    del row["submits"]

    with pytest.raises(LedgerError, match="entry 2 is damaged"):
        read_track(row)


def test_a_run_is_read_back_as_it_was_written() -> None:
    columns = columns_of(RUN)

    assert tuple(columns) == RUN_COLUMNS
    assert read_run(columns) == RUN
    assert read_run(columns | {"ended_at": None}).ended_at is None


@pytest.mark.parametrize("wrong", [{"began_at": None}, {"submitted": "2"}, {"ended_at": 1e300}])
def test_a_run_of_nonsense_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(LedgerError, match="the ledger's run 3 is damaged"):
        read_run(columns_of(RUN) | wrong)


HOLDER: dict[str, Any] = {
    "run": 4,
    "host": "höst-1",
    "process": 123,
    "began_at": NOON.timestamp(),
    "has_ended": 0,
    "heard_at": (NOON + timedelta(minutes=4)).timestamp(),
    "tracks": 20,
    "holds_since": None,
    "submitted": 6,
}


def test_a_run_that_shares_the_ledger_is_read_with_its_rate() -> None:
    holder = read_holder(HOLDER)

    assert tuple(HOLDER) == HOLDER_COLUMNS
    assert holder == LedgerHolder(
        run=4,
        host="höst-1",
        process=123,
        began_at=NOON,
        has_ended=False,
        heard_at=NOON + timedelta(minutes=4),
        tracks=20,
        holds_since=None,
        submitted=6,
    )
    assert holder.per_minute == pytest.approx(1.5)


@pytest.mark.parametrize("minutes", [0, -1])
def test_a_run_that_was_not_heard_of_since_it_began_has_no_rate(minutes: int) -> None:
    heard_at = (NOON + timedelta(minutes=minutes)).timestamp()

    assert read_holder(HOLDER | {"heard_at": heard_at}).per_minute == 0.0


@pytest.mark.parametrize("wrong", [{"host": None}, {"heard_at": "noon"}, {"tracks": "many"}])
def test_a_run_that_shares_the_ledger_of_nonsense_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(LedgerError, match="run 4 is damaged"):
        read_holder(HOLDER | wrong)


def test_a_state_that_nobody_knows_names_its_entry() -> None:
    assert read_state(7, "saved") is TrackState.SAVED
    with pytest.raises(LedgerError, match="entry 7 is damaged"):
        read_state(7, "unknown")


@pytest.mark.parametrize(
    ("before", "after", "used"),
    [
        (100.0, 88.5, 11.5),
        (100.0, 100.0, 0.0),
        (100.0, 100.5, None),
        (None, 88.5, None),
        (100.0, None, None),
        (0.0, 0.0, 0.0),
    ],
)
def test_credits_used_are_unknown_after_a_top_up(
    before: float | None, after: float | None, used: float | None
) -> None:
    run = attrs.evolve(RUN, balance_before=before, balance_after=after)

    assert credits_used(before, after) == used
    assert run.credits_used == used


@pytest.mark.parametrize(("minutes", "is_young"), [(-1, True), (1, False)])
def test_a_cover_is_young_for_13_of_its_14_days(*, minutes: int, is_young: bool) -> None:
    finished = datetime.now(UTC) - timedelta(days=13, minutes=minutes)

    assert an_entry(completed_at=finished).is_young is is_young


def test_what_was_never_finished_is_not_young() -> None:
    assert not an_entry().is_young


def test_an_entry_tells_the_details_of_its_cover() -> None:
    covered = an_entry(
        task=TASK, images=IMAGES, created_at=NOON - timedelta(seconds=41.25), completed_at=NOON
    )

    assert covered.details == attrs.evolve(details(), music_task_id="m1")
    assert covered.details.duration == timedelta(seconds=41.25)
    assert (an_entry().details.cover_task_id, an_entry().details.status) == (
        "",
        CoverStatus.SUCCESS,
    )

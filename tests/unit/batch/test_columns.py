"""Names of columns: their spellings, which comes first, and which was chosen."""

import pytest

from suno_cover_async.batch.columns import id_place, is_id_name, no_id_column, title_place
from suno_cover_async.models import Track
from tests.support.catalog_files import ONE, TWO, ids, judged, tracks

SPELLINGS = [
    "music_task_id",
    "MUSIC_TASK_ID",
    "musicTaskId",
    "MusicTaskID",
    "Music Task ID",
    "music-task-id",
    "\ufeff music task  id\u00a0",
    "task_id",
    "taskId",
    "Task ID",
]


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_id_has_other_spellings_in_tables_and_in_json(name: str) -> None:
    assert ids(tracks(f"a;{name};b\n1;{ONE};2\n", "csv")) == [ONE]
    assert ids(tracks(f'{{"a": 1, "{name}": "{ONE}"}}\n', "jsonl")) == [ONE]
    assert is_id_name(name)


@pytest.mark.parametrize("name", ["title", "Title", "Song Title", "track_title", "trackTitle"])
def test_the_title_has_other_spellings_in_tables_and_in_json(name: str) -> None:
    assert tracks(f"taskId,{name}\n{ONE},Love\n") == [Track(ONE, title="Love")]
    assert tracks(f'{{"taskId": "{ONE}", "{name}": "Love"}}') == [Track(ONE, title="Love")]


def test_the_full_name_comes_first() -> None:
    both = [Track(ONE, title="Love", columns={"taskId": TWO, "Track Title": "x"})]

    assert tracks(f"taskId,Track Title,Music Task ID,title\n{TWO},x,{ONE},Love\n") == both
    line = f'{{"taskId": "{TWO}", "Track Title": "x", "musicTaskId": "{ONE}", "title": "Love"}}'
    assert tracks(line) == both


@pytest.mark.parametrize(
    "name", ["id", "ID", "song", "name", "music_id", "sunoId", "cover_task_id"]
)
def test_other_names_are_no_id_and_no_title(name: str) -> None:
    assert id_place([name, "x"]) is None
    assert title_place([name, "x"]) is None


def test_id_alone_is_not_taken_and_the_error_says_how_to_take_it() -> None:
    hint = "; if Id holds the ids of the music tasks, pass --id-column Id"

    with pytest.raises(ValueError, match=f"no column music_task_id, but: Id, title{hint}$"):
        judged(f"Id,title\n{ONE},Love\n", "csv")
    assert judged(f'{{"Id": "{ONE}", "x": 1}}')[1][0].reason.endswith(f"but: Id, x{hint}")
    assert "pass" not in no_id_column(["Id"], "x")
    assert no_id_column(["i\td", "\x1b"]).isprintable()


def test_any_other_header_says_how_to_name_the_column_of_the_ids() -> None:
    hint = r"but: Song, Name; if another holds the ids of the music tasks, name it with --id-column"

    with pytest.raises(ValueError, match=hint):
        judged(f"Song,Name\n{ONE},Love\n", "csv")


@pytest.mark.parametrize("one", [ONE, "73D6128B-3523-A007-9DF1-0DA9471017C8"])
def test_ids_in_place_of_a_header_are_told_from_names(one: str) -> None:
    with pytest.raises(ValueError, match=r"missing: write music_task_id above the ids$"):
        judged(f'"{one}","Love"\n', "csv")


def test_two_columns_that_may_be_the_id_are_an_error_that_names_both() -> None:
    what = "has two columns, taskId and Task ID, may be that of the id; .*--id-column"

    with pytest.raises(ValueError, match=f"the stream {what}"):
        judged(f"taskId,x,Task ID\n{ONE},,{TWO}\n")
    found, bad = judged(f'{{"a": 1, "taskId": "{ONE}", "Task ID": "{TWO}"}}')
    assert not found
    assert "two columns, taskId and Task ID, may be that of the id" in bad[0].reason


def test_two_columns_that_may_be_the_title_are_an_error_that_names_both() -> None:
    with pytest.raises(ValueError, match="two columns, Song Title and track_title, may be that of"):
        judged(f"taskId,Song Title,track_title\n{ONE},a,b\n")


@pytest.mark.parametrize("wanted", ["Id", "id", " ID "])
def test_the_column_that_was_named_is_taken_in_any_case(wanted: str) -> None:
    text = f"Id,music_task_id,title\n{ONE},{TWO},Love\n"

    for kind in ("csv", None):
        [track] = tracks(text, kind, id_column=wanted)
        assert (track.music_task_id, track.title) == (ONE, "Love")
    assert ids(tracks(f'{{"Id": "{ONE}", "taskId": "{TWO}"}}', id_column=wanted)) == [ONE]
    assert ids(tracks(f'[{{"Id": "{ONE}", "taskId": "{TWO}"}}]', id_column=wanted)) == [ONE]


def test_a_column_named_in_its_own_case_outweighs_another_case() -> None:
    assert ids(tracks(f"ID,id\n{ONE},{TWO}\n", id_column="id")) == [TWO]
    with pytest.raises(ValueError, match="two columns, ID and id, may be that of the id"):
        judged(f"ID,id\n{ONE},{TWO}\n", id_column="Id")


@pytest.mark.parametrize("kind", ["csv", None])
def test_a_column_that_is_not_there_is_an_error_that_names_those_there_are(
    kind: str | None,
) -> None:
    with pytest.raises(ValueError, match=r"the stream has no column song, but: task_id, title$"):
        judged(f"task_id,title\n{ONE},Love\n", kind, id_column="song")
    bad = judged(f'{{"taskId": "{ONE}", "x": 1}}', id_column="song")[1]
    assert bad[0].reason.endswith("it has no column song, but: taskId, x")


def test_a_column_may_be_both_named_for_the_ids_and_called_title() -> None:
    assert tracks(f"title\n{ONE}\n", "csv", id_column="title") == [Track(ONE)]
    assert tracks(f'{{"title": "{ONE}"}}', id_column="title") == [Track(ONE)]


def test_the_name_of_the_column_below_another_header_is_a_bad_line() -> None:
    found, bad = judged(f"taskId,title\n{ONE},a\nmusic_task_id,genre\n{TWO},b\n")

    assert ids(found) == [ONE, TWO]
    assert [line.number for line in bad] == [3]
    assert "not the name of its column" in bad[0].reason

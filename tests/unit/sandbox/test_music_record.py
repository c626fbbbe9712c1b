"""The record of a music task: every documented field, of its documented type."""

import json
from datetime import UTC, datetime

import pytest

from suno_cover_async.models import MusicDetails
from suno_cover_async.protocol import codec
from suno_cover_async.sandbox import images
from suno_cover_async.sandbox.music_record import write

URLS = ("http://127.0.0.1:1/s/0a.mp3", "http://127.0.0.1:1/s/0b.mp3")
READY = MusicDetails(music_task_id="m1", status="SUCCESS", audio_urls=URLS)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
RECORD_TYPES = {
    "taskId": str,
    "parentMusicId": str,
    "param": str,
    "response": dict,
    "status": str,
    "type": str,
    "operationType": str,
    "errorCode": type(None),
    "errorMessage": type(None),
}
SONG_TYPES = {
    "id": str,
    "audioUrl": str,
    "streamAudioUrl": str,
    "imageUrl": str,
    "prompt": str,
    "modelName": str,
    "title": str,
    "tags": str,
    "createTime": str,
    "duration": float,
}


def test_a_music_record_has_every_documented_field_of_its_type() -> None:
    record = json.loads(json.dumps(write(READY, NOON)))

    assert {name: type(value) for name, value in record.items()} == RECORD_TYPES
    assert record["response"]["taskId"] == "m1"
    for song in record["response"]["sunoData"]:
        assert {name: type(value) for name, value in song.items()} == SONG_TYPES


def test_the_songs_of_a_music_task_have_ids_of_their_own_and_its_title() -> None:
    record = write(READY, NOON)

    songs = record["response"]["sunoData"]
    assert [song["id"] for song in songs] == ["0a", "0b"]
    assert [song["audioUrl"] for song in songs] == list(URLS)
    assert {song["title"] for song in songs} == {images.title_of("m1")}
    assert json.loads(record["param"])["title"] == images.title_of("m1")
    assert {song["createTime"] for song in songs} == {"2026-05-01 12:00:00"}


def test_the_client_reads_the_record_back() -> None:
    assert codec.decode_music(write(READY, NOON)) == READY


@pytest.mark.parametrize("status", ["PENDING", "GENERATING", "SENSITIVE_WORD_ERROR"])
def test_music_without_audio_has_no_songs_and_failed_music_has_an_error(status: str) -> None:
    record = write(MusicDetails(music_task_id="m1", status=status), NOON)

    assert set(record) == set(RECORD_TYPES)
    assert record["response"] is None
    failed = status == "SENSITIVE_WORD_ERROR"
    assert (record["errorCode"] == 500) is bool(record["errorMessage"]) is failed

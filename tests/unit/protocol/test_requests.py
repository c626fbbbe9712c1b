"""The calls of the API: what each asks for, and what is made of its answer."""

import json
from typing import Any

import pytest

from suno_cover_async import KIE, CoverTask
from suno_cover_async.protocol import codec, requests
from tests.support.samples import SAMPLES

PENDING = SAMPLES["details_pending"]["body"]["data"]


def test_the_status_of_music_is_a_word_that_can_be_shown() -> None:
    data = {"taskId": "m", "status": "\x1b[2J" + "x" * 100_000}
    found = requests.music("m").decode(data)

    assert found is not None
    assert found.status.isprintable()
    assert len(found.status) <= 300


@pytest.mark.parametrize("parent", ["", None])
def test_an_empty_parent_is_none(parent: str | None) -> None:
    named = {"taskId": "cover", "parentTaskId": parent}
    call = requests.submit("song", "https://example.com")

    assert codec.decode_details(PENDING | {"parentTaskId": parent}).music_task_id is None
    assert call.decode(named) == CoverTask(cover_task_id="cover", music_task_id="song")
    assert call.adopt is not None
    assert call.adopt(named) is not None


@pytest.mark.parametrize("odd", ["a b", 5, [], {}])
def test_an_answer_to_a_submit_with_a_parent_that_is_no_id_makes_no_sense(odd: object) -> None:
    call = requests.submit("song", "https://example.com")

    with pytest.raises(ValueError, match="parentTaskId is not an id"):
        call.decode({"taskId": "cover", "parentTaskId": odd})


@pytest.mark.parametrize("odd", ["", "a b", "\x1b", "x" * 129, "https://evil.example/", "://", 5])
def test_what_a_wait_would_refuse_is_no_id_of_a_submit_either(odd: object) -> None:
    submit = requests.submit("song", "https://example.com/")

    with pytest.raises((TypeError, ValueError)):
        submit.decode({"taskId": odd})


@pytest.mark.parametrize(
    ("status", "audio", "ready", "failed"),
    [
        ("PENDING", [], False, False),
        ("TEXT_SUCCESS", [], False, False),
        ("FIRST_SUCCESS", ["a"], False, False),
        ("GENERATING", [], False, False),
        ("SUCCESS", ["a", "b"], True, False),
        ("CALLBACK_EXCEPTION", ["a"], True, False),
        ("CALLBACK_EXCEPTION", [], False, False),
        ("CREATE_TASK_FAILED", [], False, True),
        ("GENERATE_AUDIO_FAILED", [], False, True),
        ("SENSITIVE_WORD_ERROR", [], False, True),
        ("FAILED", [], False, True),
        ("SOMETHING_NEW", [], False, False),
    ],
)
def test_music_is_ready_or_failed_or_neither(
    status: str, audio: list[str], *, ready: bool, failed: bool
) -> None:
    data: dict[str, Any] = {"taskId": "m", "status": status}
    data["response"] = {"sunoData": [{"audioUrl": url} for url in audio]} if audio else None

    music = requests.music("m").decode(data)

    assert music is not None
    assert (music.ready, music.failed) == (ready, failed)
    assert requests.music("m").decode(codec.encode_music(music)) == music


@pytest.mark.parametrize("data", [True, "12", None, [], float("inf"), 10**400])
def test_a_balance_is_a_finite_number(data: object) -> None:
    with pytest.raises((LookupError, TypeError, ValueError, ArithmeticError)):
        requests.credit(KIE).decode(data)


@pytest.mark.parametrize(
    ("task_id", "quoted"), [("a/b?c&d=#", "a%2Fb%3Fc%26d%3D%23"), ("a1Z", "a1Z"), ("²", "%C2%B2")]
)
def test_ids_are_quoted_into_the_request(task_id: str, quoted: str) -> None:
    assert requests.details(task_id).target.endswith(f"?taskId={quoted}")


def test_a_submit_posts_both_fields_in_the_apis_words() -> None:
    body = requests.submit("song", "https://example.com/é").body

    assert body is not None
    assert json.loads(body) == {"taskId": "song", "callBackUrl": "https://example.com/é"}
    assert codec.decode_submission(body.decode()) == codec.Submission(
        music_task_id="song", callback_url="https://example.com/é"
    )


def test_an_accepted_submit_names_its_cover_task_and_nothing_else() -> None:
    assert codec.encode_submitted("cover") == {"taskId": "cover"}


def test_a_submit_hides_its_callback_url_and_no_other_call_hides_anything() -> None:
    submit = requests.submit("song", "https://me.example/hook?token=of-mine")

    assert submit.hide is not None
    assert submit.hide("no https://me.example/hook?token=of-mine") == "no [callback URL]"
    assert requests.details("cover").hide is None

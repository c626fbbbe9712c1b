"""The records of the API: documented and recorded bodies, read and written."""

import codecs
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async import CallbackRefusedError, CoverDetails, CoverStatus, MusicDetails
from suno_cover_async.protocol import codec
from suno_cover_async.protocol.values import Times
from tests.support.samples import SAMPLES

DATA = {
    case: sample["body"]["data"] for case, sample in SAMPLES.items() if case.startswith("details_")
}
PENDING = DATA["details_pending"]


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("details_success_docs", CoverStatus.SUCCESS),
        ("details_success_live", CoverStatus.SUCCESS),
        ("details_pending", CoverStatus.PENDING),
        ("details_generating", CoverStatus.GENERATING),
        ("details_failed", CoverStatus.FAILED),
        ("details_string_status", CoverStatus.FAILED),
    ],
)
def test_every_sample_of_details_is_read(case: str, status: CoverStatus) -> None:
    found = codec.decode_details(DATA[case])

    assert found.status is status
    assert found.cover_task_id == "21aee3c3c2a01fa5e030b3799fa4dd56"
    assert len(found.images) == (2 if status is CoverStatus.SUCCESS else 0)


@pytest.mark.parametrize("case", ["details_success_docs", "details_success_live"])
def test_an_error_code_of_200_and_no_error_at_all_are_the_same(case: str) -> None:
    found = codec.decode_details(DATA[case])

    assert (found.error_code, found.error_message) == (None, None)


def test_iso_times_and_epoch_milliseconds_are_the_same_moment() -> None:
    iso = codec.decode_details(PENDING | {"createTime": "2025-10-15T07:07:15.000Z"})

    assert iso.created_at == codec.decode_details(PENDING).created_at
    assert iso.created_at == datetime(2025, 10, 15, 7, 7, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "odd", ["", "yesterday", True, [], 1.5, 10**400, -(10**17), "100000-01-01T00:00:00Z", {"a": 1}]
)
def test_an_odd_time_is_no_time_and_harms_nothing_else(odd: object) -> None:
    found = codec.decode_details(PENDING | {"createTime": odd})

    assert found.created_at is None
    assert found.status is CoverStatus.PENDING


@pytest.mark.parametrize(
    "written", ["2025-10-15T15:07:15+08:00", "2025-10-15T07:07:15", "2025-10-15T07:07:15Z"]
)
def test_every_time_is_in_utc(written: str) -> None:
    moment = codec.decode_details(PENDING | {"createTime": written}).created_at

    assert moment == datetime(2025, 10, 15, 7, 7, 15, tzinfo=UTC)
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    "never",
    [
        "0001-01-01T00:00:00+10:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-23:59",
        "1970-01-01T00:00:00Z",
        -62_135_596_800_000,
        253_402_300_799_999,
        0,
        -1,
        1_760_512_035,
    ],
)
def test_an_impossible_completion_time_is_ignored(never: object) -> None:
    """A ledger could not keep some of them, and would take covers of 1970 for expired."""
    assert codec.decode_details(PENDING | {"completeTime": never}).completed_at is None


@pytest.mark.parametrize(
    ("edge", "is_time"),
    [
        ("2000-01-01T00:00:00.000Z", False),
        ("2000-01-01T00:00:00.001Z", True),
        ("2999-12-31T23:59:59.999Z", True),
        ("3000-01-01T00:00:00.000Z", False),
    ],
)
def test_times_lie_between_2000_and_3000_in_both_forms(edge: str, *, is_time: bool) -> None:
    since = datetime.fromisoformat(edge) - datetime(1970, 1, 1, tzinfo=UTC)
    for written in (edge, since // timedelta(milliseconds=1)):
        found = codec.decode_details(PENDING | {"completeTime": written}).completed_at

        assert found == (datetime.fromisoformat(edge) if is_time else None)


@pytest.mark.parametrize(
    "flag", [4, -1, 99, "4", "1.0", "-1", " 1", "\uff11", "", True, 4.0, 1.5, [], {}]
)
def test_an_unknown_flag_is_pending(flag: object) -> None:
    assert codec.decode_details(PENDING | {"successFlag": flag}).status is CoverStatus.PENDING


@pytest.mark.parametrize("word", ["success", "SUCCESS ", True, None, ["SUCCESS"], {}, 1.0])
def test_an_unknown_word_is_pending(word: object) -> None:
    without = PENDING | {"successFlag": None, "status": word}

    assert codec.decode_details(without).status is CoverStatus.PENDING


def test_the_status_word_counts_only_where_there_is_no_flag() -> None:
    assert codec.decode_details(PENDING | {"status": "SUCCESS"}).status is CoverStatus.PENDING
    without = PENDING | {"successFlag": None, "status": "SUCCESS"}
    assert codec.decode_details(without).status is CoverStatus.SUCCESS


@pytest.mark.parametrize("images", [None, [], {}, "https://x", [None, 5, ""], 7])
def test_images_that_are_none_read_as_none(images: object) -> None:
    success = PENDING | {"successFlag": 1, "response": {"images": images}}

    assert codec.decode_details(success).images == ()


@pytest.mark.parametrize(
    "odd",
    ["https://x/\n.png", "https://x/\ud800", "\x1b[2J", "a\u202eb", "https://x/" + "y" * 8192],
)
def test_what_cannot_be_the_url_of_an_image_is_left_out(odd: str) -> None:
    success = PENDING | {"successFlag": 1, "response": {"images": ["https://x/1", odd]}}

    assert codec.decode_details(success).images == ("https://x/1",)


def test_a_url_has_at_most_8192_characters() -> None:
    longest = "https://x/" + "y" * 8182
    success = PENDING | {"successFlag": 1, "response": {"images": [longest, longest + "y"]}}

    assert codec.decode_details(success).images == (longest,)


@pytest.mark.parametrize("none", [0, 200, "0", "200", 200.0, "", "CREATE_FAILED", True, [], None])
def test_a_code_that_says_that_there_was_no_error_is_none(none: object) -> None:
    assert codec.decode_details(PENDING | {"errorCode": none}).error_code is None


def test_what_is_not_there_yet_is_written_as_null() -> None:
    pending = CoverDetails(cover_task_id="a", status=CoverStatus.PENDING)
    written = codec.encode_details(pending)

    assert written == {
        "taskId": "a",
        "parentTaskId": None,
        "successFlag": 0,
        "response": None,
        "createTime": None,
        "completeTime": None,
        "errorCode": None,
        "errorMessage": None,
    }
    music = codec.encode_music(MusicDetails(music_task_id="m", status="PENDING"))
    assert music == {"taskId": "m", "status": "PENDING", "response": None}


@pytest.mark.parametrize("odd", [5, None, [], {}, True])
def test_a_submission_whose_fields_are_no_texts_has_none(odd: object) -> None:
    found = codec.decode_submission(json.dumps({"taskId": odd, "callBackUrl": odd}))

    assert found == codec.Submission(music_task_id=None, callback_url=None)


def test_a_cover_has_no_more_images_than_anybody_could_want() -> None:
    urls = [f"https://x/{number}" for number in range(100_000)]
    success = PENDING | {"successFlag": 1, "response": {"images": urls}}

    assert codec.decode_details(success).images == tuple(urls[:64])


@pytest.mark.parametrize("odd", ["a b", "a\n", "\x1b[2J", "\ud800", "é", "x" * 129])
def test_a_parent_that_is_no_id_makes_no_sense(odd: str) -> None:
    with pytest.raises(ValueError, match="parentTaskId is not an id"):
        codec.decode_details(PENDING | {"parentTaskId": odd})


def test_unknown_fields_are_ignored_and_absent_ones_are_null() -> None:
    found = codec.decode_details({"taskId": "a", "successFlag": 2, "novelty": {"deep": []}})

    assert found == CoverDetails(cover_task_id="a", status=CoverStatus.GENERATING)


@pytest.mark.parametrize("odd", [None, 5, [], {}, True])
def test_a_task_id_is_never_made_up(odd: object) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        codec.decode_details(PENDING | {"taskId": odd})


def test_a_servers_words_cannot_drive_a_terminal() -> None:
    failed = DATA["details_failed"] | {"errorMessage": "\x1b[2J\r\nboo\u202e" + "x" * 1000}

    message = codec.decode_details(failed).error_message

    assert message is not None
    assert message.isprintable()
    assert len(message) <= 300


moments = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001 - as hypothesis wants it
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40).filter(
    lambda one: "://" not in one
)
all_details = st.builds(
    CoverDetails,
    cover_task_id=ids,
    music_task_id=st.none() | ids,
    status=st.sampled_from(CoverStatus),
    images=st.lists(ids, max_size=3).map(tuple),
    created_at=st.none() | moments,
    completed_at=st.none() | moments,
    error_code=st.none() | st.integers(201, 999),
    error_message=st.none() | ids,
)


@given(found=all_details, times=st.sampled_from(Times))
def test_details_survive_being_written_and_read(found: CoverDetails, times: Times) -> None:
    written = json.loads(codec.encode_answer(200, "success", codec.encode_details(found, times)))

    assert codec.decode_details(written["data"]) == found


@pytest.mark.parametrize(
    ("case", "times"),
    [("details_success_docs", Times.ISO), ("details_success_live", Times.EPOCH_MS)],
)
def test_what_is_written_has_the_samples_form(case: str, times: Times) -> None:
    sample = {k: v for k, v in DATA[case].items() if k != "callbackUrl"}
    sample |= {"errorCode": None, "errorMessage": None}

    assert codec.encode_details(codec.decode_details(sample), times) == sample


COVER = "21aee3c3c2a01fa5e030b3799fa4dd56"


def callback(data: str) -> bytes:
    return f'{{"code":200,"msg":"success","data":{{{data}}}}}'.encode()


@pytest.mark.parametrize("case", [case for case in SAMPLES if case.startswith("callback_")])
def test_every_sample_of_a_callback_names_its_cover_task(case: str) -> None:
    body = SAMPLES[case]["body"]

    if case == "callback_reply":  # what we answer, not what comes
        with pytest.raises(CallbackRefusedError):
            codec.decode_callback(json.dumps(body).encode())
    else:
        assert codec.decode_callback(json.dumps(body).encode()) == COVER


@given(cover_task_id=ids, code=st.integers(), message=st.text())
def test_a_callback_that_is_written_is_read(cover_task_id: str, code: int, message: str) -> None:
    written = codec.encode_callback(code, message, cover_task_id=cover_task_id, images=("a",))

    assert codec.decode_callback(written) == cover_task_id


@pytest.mark.parametrize(
    "data",
    [
        '"taskId":"a"',
        '"task_id":"a"',
        '"taskId":"a","task_id":"a"',
        '"task_id":"a","taskId":"a"',
        '"taskId":"a","task_id":null',
        '"taskId":null,"task_id":"a"',
        '"\\u0074askId":"\\u0061"',
        '"taskId":"a","images":["\\ud800", 1e999, -0, {"taskId":"b"}],"more":{"data":{"taskId":5}}',
    ],
)
def test_both_spellings_are_read_and_all_else_is_ignored(data: str) -> None:
    assert codec.decode_callback(callback(data)) == "a"
    assert codec.decode_callback(b" \r\n\t" + callback(data) + b"\n") == "a"


def test_callbacks_and_submissions_are_read_at_100_levels_and_not_at_101() -> None:
    def more(levels: int) -> str:
        return ',"more":' + "[" * levels + "]" * levels

    assert codec.decode_callback(callback('"taskId":"a"' + more(98))) == "a"
    with pytest.raises(CallbackRefusedError):
        codec.decode_callback(callback('"taskId":"a"' + more(99)))

    assert codec.decode_submission('{"taskId":"a"' + more(99) + "}").music_task_id == "a"
    assert codec.decode_submission('{"taskId":"a"' + more(100) + "}").music_task_id is None


@pytest.mark.parametrize("other", ['"b"', '"A"', '"a "', '""', "5", "true", "[]", '["a"]', "{}"])
def test_spellings_that_differ_are_refused(other: str) -> None:
    for data in (f'"taskId":"a","task_id":{other}', f'"task_id":"a","taskId":{other}'):
        with pytest.raises(CallbackRefusedError):
            codec.decode_callback(callback(data))


@pytest.mark.parametrize(
    "body",
    [
        callback('"taskId":"a","taskId":"b"'),
        callback('"taskId":"a","taskId":"a"'),
        callback('"taskId":"a","\\u0074askId":"b"'),
        callback('"taskId":"a","task_id":"a","task_id":"a"'),
        callback('"taskId":"a","images":[{"url":1,"url":1}]'),
        b'{"data":{"taskId":"a"},"data":{"taskId":"b"}}',
        b'{"data":{"taskId":"a"},"d\\u0061ta":null}',
        b'{"code":200,"code":501,"data":{"taskId":"a"}}',
    ],
)
def test_a_key_that_stands_twice_anywhere_is_refused(body: bytes) -> None:
    with pytest.raises(CallbackRefusedError):
        codec.decode_callback(body)


@pytest.mark.parametrize(
    "named",
    [
        *("", " ", "a b", "a\n", "\n", "a\x00", "\x7f", "\u00e9", "\uff11", "\ud800", "a\u200b"),
        *("x" * 129, 5, True, None, [], ["a"], {}, {"taskId": "a"}, 1.5, 10**30),
    ],
)
def test_an_id_that_is_no_id_is_refused(named: object) -> None:
    for spelling in ("taskId", "task_id"):
        with pytest.raises(CallbackRefusedError):
            codec.decode_callback(json.dumps({"data": {spelling: named}}).encode())


GOOD = callback('"taskId":"a"')


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"null", b"[]", b'"data"', b"5", b"true", b"{}", b'{"data":null}'),
        *(b'{"data":[]}', b'{"data":"taskId"}', b'{"data":[{"taskId":"a"}]}', b'{"taskId":"a"}'),
        *(b"[" + GOOD + b"]", GOOD + GOOD, GOOD + b"x", GOOD[:-1], b"x" + GOOD, GOOD + b"\x00"),
        *(GOOD.replace(b'"a"', b"'a'"), GOOD.replace(b'"a"', b'"a",'), GOOD.replace(b'"', b"")),
        *(callback(f'"taskId":"a","more":{odd}') for odd in ("NaN", "Infinity", "-Infinity")),
        *(callback(f'"taskId":"a","more":{odd}') for odd in ("01", "+1", ".5", "0x1", '"\t"', "")),
        callback('"taskId":"a","more":' + "9" * 60_000),
        callback('"taskId":"a","more":-' + "9" * 5_000),
        callback('"taskId":"a","more":' + "[" * 30_000 + "]" * 30_000),
        *(b"[" * 65_536, b'{"data":' * 8_192, b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
        *(codecs.BOM_UTF8 + GOOD, GOOD.decode().encode("utf-16"), GOOD.decode().encode("utf-32")),
        *(GOOD.decode().encode("utf-16-le"), GOOD.decode().encode("utf-16-be")),
        *(
            GOOD.replace(b"success", odd)
            for odd in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\x80")
        ),
        GOOD.replace(b"success", b"\x00"),
    ],
    ids=lambda body: f"{body!a:.40}",
)
def test_a_body_that_is_no_json_object_in_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(CallbackRefusedError) as caught:
        codec.decode_callback(body)

    assert type(caught.value) is CallbackRefusedError
    assert caught.value.__context__ is None


json_noise = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | ids,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "taskId", "task_id", "code"]), inner)
    ),
    max_leaves=9,
)
pieces = st.sampled_from(
    [b'{"data":', b'{"taskId":', b'"task_id":', b'"a"', b"{", b"}", b"[", b"]", b",", b":", b"null"]
)


@given(
    body=st.binary()
    | st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(pieces | st.binary(max_size=2)).map(b"".join)
    | json_noise.map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_name_one_cover_task_or_are_refused(body: bytes) -> None:
    try:
        named = codec.decode_callback(body)
    except CallbackRefusedError:
        return

    data = json.loads(body)["data"]
    assert named in {data.get("taskId"), data.get("task_id")}
    assert named.isascii()
    assert named.isprintable()
    assert 1 <= len(named) <= 128

"""What answers mean, by code, host and page."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async import APIBOX, KIE, SUNOAPI, CoverStatus, CoverTask, Host, errors
from suno_cover_async.hosts import BaseUrl
from suno_cover_async.protocol import requests, responses
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.protocol.responses import retry_after
from tests.support.samples import SAMPLES

MUSIC = "73d6128b3523a0079df10da9471017c8"
COVER = "21aee3c3c2a01fa5e030b3799fa4dd56"
SUBMIT = requests.submit(MUSIC, "https://example.com/cb")
DETAILS = requests.details(COVER)
MUSIC_DETAILS = requests.music(MUSIC)
CREDITS = requests.credit(SUNOAPI)

T = TypeVar("T")


def read(call: requests.Call[T], answer: Answer, host: Host, *, proven: bool = True) -> T:
    """Read an answer of a base URL where the API has answered before, or never."""
    return responses.read(call, answer, host, BaseUrl(host.base_url, has_answered=proven))


def answer(case: str) -> Answer:
    sample = SAMPLES[case]
    body = sample["body"]
    return Answer(status=sample["http"], text=body if isinstance(body, str) else json.dumps(body))


def said(code: int, message: str = "", *, status: int = 200) -> Answer:
    return Answer(status=status, text=json.dumps({"code": code, "msg": message, "data": None}))


@pytest.mark.parametrize(
    ("case", "error"),
    [
        ("unauthorized_401", errors.AuthenticationError),
        ("insufficient_credits_402", errors.InsufficientCreditsError),
        ("not_found_404", errors.NotFoundError),
        ("upstream_timeout_408", errors.ServerError),
        ("validation_422_missing_callback", errors.InvalidRequestError),
        ("validation_422_unknown_music_task", errors.InvalidRequestError),
        ("rate_429", errors.RateLimitError),
        ("subkey_limit_433", errors.InsufficientCreditsError),
        ("file_unauthorized_451", errors.InvalidRequestError),
        ("maintenance_455", errors.MaintenanceError),
        ("server_error_500", errors.ServerError),
        ("generation_failed_501", errors.ServerError),
        ("feature_disabled_505", errors.ServerError),
        ("cloudflare_block", errors.ClientBlockedError),
        ("create_duplicate_400_without_id", errors.CoverExistsError),
    ],
)
@pytest.mark.parametrize("host", [SUNOAPI, KIE, APIBOX], ids=lambda host: host.name)
def test_every_sampled_refusal_is_its_own_error(
    case: str, error: type[errors.SunoCoverError], host: Host
) -> None:
    with pytest.raises(error) as caught:
        read(SUBMIT, answer(case), host)

    assert type(caught.value) is error
    assert caught.value.http_status == SAMPLES[case]["http"]
    assert caught.value.music_task_id == MUSIC


@pytest.mark.parametrize("case", ["create_duplicate_400", "create_conflict_409"])
@pytest.mark.parametrize("status", [200, 400, 409])
def test_a_duplicate_that_names_its_cover_task_is_adopted(case: str, status: int) -> None:
    adopted = read(SUBMIT, Answer(status=status, text=answer(case).text), KIE)

    assert adopted == CoverTask(cover_task_id=COVER, music_task_id=MUSIC, adopted=True)


@pytest.mark.parametrize("task_id", [MUSIC, "", None, 5, "a b", "x" * 500])
@pytest.mark.parametrize("code", [400, 409])
def test_a_duplicate_that_names_no_other_task_is_not_adopted(code: int, task_id: object) -> None:
    body = {"code": code, "msg": "Cover already generated", "data": {"taskId": task_id}}

    with pytest.raises(errors.CoverExistsError):
        read(SUBMIT, Answer(status=200, text=json.dumps(body)), KIE)


def test_a_bad_request_is_not_taken_for_a_duplicate() -> None:
    with pytest.raises(errors.InvalidRequestError):
        read(SUBMIT, said(400, "taskId is malformed"), KIE)


@pytest.mark.parametrize("call", [DETAILS, MUSIC_DETAILS, CREDITS])
def test_only_a_submit_is_ever_adopted(call: requests.Call[object]) -> None:
    with pytest.raises(errors.InvalidRequestError):
        read(call, answer("create_duplicate_400"), SUNOAPI)


@pytest.mark.parametrize("code", [405, 430])
def test_405_and_430_are_rate_limits_where_the_host_says_so(code: int) -> None:
    with pytest.raises(errors.RateLimitError):
        read(DETAILS, said(code), SUNOAPI)
    with pytest.raises(errors.InvalidRequestError):
        read(DETAILS, said(code), KIE)


@pytest.mark.parametrize(
    ("host", "call", "message", "error"),
    [
        (SUNOAPI, SUBMIT, "Your call frequency is too high.", errors.RateLimitError),
        (SUNOAPI, SUBMIT, "", errors.RateLimitError),
        (SUNOAPI, SUBMIT, "Insufficient credits", errors.InsufficientCreditsError),
        (SUNOAPI, MUSIC_DETAILS, "Insufficient credits", errors.InsufficientCreditsError),
        (SUNOAPI, CREDITS, "No balance", errors.InsufficientCreditsError),
        (SUNOAPI, CREDITS, "Your call frequency is too high.", errors.RateLimitError),
        (KIE, SUBMIT, "Insufficient credits", errors.InsufficientCreditsError),
        (KIE, SUBMIT, "Your call frequency is too high.", errors.RateLimitError),
        (KIE, CREDITS, "", errors.RateLimitError),
    ],
)
def test_429_means_what_the_host_means_by_it_there(
    host: Host, call: requests.Call[object], message: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        read(call, said(429, message), host)


def test_an_edge_429_without_a_body_is_a_rate_limit_on_every_page() -> None:
    for call in (SUBMIT, DETAILS, MUSIC_DETAILS, CREDITS):
        with pytest.raises(errors.RateLimitError):
            read(call, Answer(status=429, text=""), SUNOAPI)


def test_the_code_in_the_body_is_the_result_whatever_the_http_status() -> None:
    assert read(SUBMIT, Answer(status=500, text=answer("create_success").text), KIE)
    with pytest.raises(errors.AuthenticationError):
        read(SUBMIT, said(401, status=200), KIE)


NO_CODES = ["true", "null", "200.5", "1e999", "[]", '"2_0"', '"+200"', '"\uff12\uff10\uff10"', '""']


@pytest.mark.parametrize("code", [*NO_CODES, '"' + "2" * 21 + '"', '"NOT_FOUND"'])
def test_a_code_that_is_no_whole_number_is_no_result(code: str) -> None:
    text = f'{{"code":{code},"data":null}}'
    for status, error in ((503, errors.ServerError), (200, errors.UnexpectedResponseError)):
        with pytest.raises(error) as caught:
            read(DETAILS, Answer(status=status, text=text), KIE)
        assert caught.value.code is None


@pytest.mark.parametrize("code", ["200", '"200"', "200.0", "2e2"])
def test_a_code_may_be_written_as_text_or_as_a_float(code: str) -> None:
    text = f'{{"code":{code},"data":null}}'

    assert read(DETAILS, Answer(status=503, text=text), KIE) is None


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize(
    ("status", "proven_error", "unproven_error"),
    [
        (200, errors.UnexpectedResponseError, errors.WrongAddressError),
        (301, errors.UnexpectedResponseError, errors.WrongAddressError),
        (307, errors.UnexpectedResponseError, errors.WrongAddressError),
        (400, errors.UnexpectedResponseError, errors.WrongAddressError),
        (403, errors.UnexpectedResponseError, errors.WrongAddressError),
        (404, errors.UnexpectedResponseError, errors.WrongAddressError),
        (421, errors.UnexpectedResponseError, errors.WrongAddressError),
        (408, errors.ServerError, errors.ServerError),
        (425, errors.ServerError, errors.ServerError),
        (429, errors.RateLimitError, errors.RateLimitError),
        (502, errors.ServerError, errors.ServerError),
        (503, errors.ServerError, errors.ServerError),
        (524, errors.ServerError, errors.ServerError),
    ],
)
def test_a_gateways_page_is_judged_by_its_status(
    status: int, proven_error: type[Exception], unproven_error: type[Exception], *, proven: bool
) -> None:
    with pytest.raises(errors.SunoCoverError) as caught:
        read(SUBMIT, Answer(status=status, text="<html>Bad gateway</html>"), KIE, proven=proven)

    assert type(caught.value) is (proven_error if proven else unproven_error)
    assert caught.value.code is None
    assert caught.value.retryable is (type(caught.value) is not errors.WrongAddressError)


@pytest.mark.parametrize(
    ("call", "data", "reason"),
    [
        (SUBMIT, None, "data is not an object"),
        (SUBMIT, {}, "'taskId' is missing"),
        (SUBMIT, {"taskId": None}, "data.taskId is not an id"),
        (SUBMIT, {"taskId": COVER, "parentTaskId": 5}, "parentTaskId is not an id"),
        (DETAILS, {"successFlag": 1}, "'taskId' is missing"),
        (DETAILS, {"taskId": None}, "a text is missing"),
        (DETAILS, {"taskId": 5}, "a text is missing"),
        (MUSIC_DETAILS, {"taskId": MUSIC}, "'status' is missing"),
        (MUSIC_DETAILS, {"taskId": MUSIC, "status": ["secret"]}, "a text is missing"),
        (CREDITS, "secret", "data is not a number of credits"),
    ],
)
def test_an_answer_that_cannot_be_read_says_what_is_wrong_with_it_in_plain_words(
    call: requests.Call[object], data: object, reason: str
) -> None:
    with pytest.raises(errors.UnexpectedResponseError) as caught:
        read(call, Answer(200, json.dumps({"code": 200, "data": data})), KIE)

    assert caught.value.message.startswith(f"the answer cannot be read: {reason}")
    assert "secret" not in str(caught.value)
    assert not caught.value.retryable


def test_details_of_another_task_are_refused() -> None:
    with pytest.raises(errors.UnexpectedResponseError, match="is about task"):
        read(requests.details("another"), answer("details_success_live"), KIE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
fields = st.sampled_from(
    ["taskId", "parentTaskId", "successFlag", "status", "response", "createTime", "errorCode"]
)
bodies = st.fixed_dictionaries(
    {"code": st.sampled_from([200, 400, 409, 500]) | json_values},
    optional={"msg": json_values, "data": json_values | st.dictionaries(fields, json_values)},
).map(json.dumps)


@given(
    text=bodies | json_values.map(json.dumps) | st.text(max_size=100),
    status=st.integers(100, 999),
    call=st.sampled_from([SUBMIT, DETAILS, MUSIC_DETAILS, CREDITS]),
    host=st.sampled_from([SUNOAPI, KIE]),
)
def test_any_answer_is_a_value_or_one_of_our_errors(
    text: str, status: int, call: requests.Call[object], host: Host
) -> None:
    try:
        read(call, Answer(status=status, text=text), host)
    except errors.SunoCoverError as error:
        assert str(error).isprintable()  # noqa: PT017 - either outcome is fine


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("1.5", 1.5),
        ("600", 600.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Thursday, 01-Jan-26 00:00:30 GMT", 30.0),
        ("0", None),
        ("-5", None),
        ("+5", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("1_000", None),
        ("\uff11\uff17\uff16", None),
        ("9" * 35, None),
        ("4294967296", None),
        ("86401", None),
        ("Thu, 01 Jan 2026 00:00:00 GMT", None),
        ("Wed, 31 Dec 2025 23:59:00 GMT", None),
        ("Fri, 01 Jan 100000 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("soon", None),
        ("", None),
        ("x" * 10_000, None),
        (None, None),
    ],
)
def test_only_a_sensible_retry_after_is_used(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, date="Thu, 01 Jan 2026 00:00:00 GMT") == seconds


def test_a_retry_after_date_is_measured_by_the_servers_own_clock() -> None:
    wait = retry_after("Thu, 01 Jan 2026 12:00:30 GMT", date="Thu, 01 Jan 2026 12:00:00 GMT")

    assert wait == 30.0


@pytest.mark.parametrize("date", [None, "", "soon"])
def test_a_retry_after_date_is_never_measured_by_our_own_clock(date: str | None) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)

    assert retry_after(in_a_minute, date=date) is None
    assert retry_after("60", date=date) == 60.0


@given(header=st.text(max_size=80), date=st.none() | st.text(max_size=40))
def test_any_retry_after_is_sane_or_none(header: str, date: str | None) -> None:
    wait = retry_after(header, date=date)

    assert wait is None or 0 < wait <= 86_400


@pytest.mark.parametrize("odd", [{"a": ["b"]}, ["b"], 5, 10**4000, True, None, "\x1b[2J" * 1_000])
def test_a_reason_that_is_no_text_is_no_reason(odd: object) -> None:
    body = json.dumps({"code": 500, "msg": odd})

    with pytest.raises(errors.ServerError) as caught:
        read(DETAILS, Answer(status=200, text=body), SUNOAPI)

    assert len(str(caught.value)) <= 400
    assert str(caught.value).isprintable()
    assert "{" not in str(caught.value)


@pytest.mark.parametrize("code", [10**4000, -(10**4000), 10**6])
def test_a_code_of_4000_digits_is_not_written_out(code: int) -> None:
    with pytest.raises(errors.UnexpectedResponseError) as caught:
        read(DETAILS, said(code), SUNOAPI)

    assert caught.value.code == code
    assert len(str(caught.value)) <= 100


def test_an_answer_is_the_apis_at_100_levels_and_a_gateways_at_101() -> None:
    text = '{"code":200,"data":{"taskId":"' + COVER + '","novelty":DEEP}}'

    found = read(DETAILS, Answer(200, text.replace("DEEP", "[" * 98 + "]" * 98)), SUNOAPI)
    with pytest.raises(errors.UnexpectedResponseError) as caught:
        read(DETAILS, Answer(200, text.replace("DEEP", "[" * 99 + "]" * 99)), SUNOAPI)

    assert found is not None
    assert found.status is CoverStatus.PENDING
    assert caught.value.code is None
    assert caught.value.retryable


DEPTHS = (*range(900, 1_100), *range(1_400, 1_600), 9_900, 9_996, 9_997, 9_998, 20_000)


@pytest.mark.parametrize(
    "form", ['{"code":200,"data":{"taskId":"%s","status":DEEP}}', '{"code":500,"msg":DEEP}']
)
def test_no_depth_raises_anything_but_our_errors(form: str) -> None:
    for depth in DEPTHS:
        text = form.replace("%s", COVER).replace("DEEP", "[" * depth + "]" * depth)
        try:
            found = read(DETAILS, Answer(status=200, text=text), SUNOAPI)
        except (errors.ServerError, errors.UnexpectedResponseError):
            continue
        assert found is not None
        assert found.status is CoverStatus.PENDING

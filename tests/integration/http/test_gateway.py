"""A gateway's answer is not the API's: it decides about no song, whatever its HTTP status.

Each answer comes over a socket from the sandbox, whose journal counts what arrived and was billed.
Waits are long here, so most scenes play in virtual time. Catalogs and commands are
`test_wrong_address.py`'s.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async import (
    KIE,
    ClientBlockedError,
    CoverDetails,
    CoverExistsError,
    CoverStatus,
    Host,
    Ledger,
    RateLimitError,
    ServerError,
    SunoCoverClient,
    SunoCoverError,
    Track,
    TrackState,
    UnexpectedResponseError,
    WrongAddressError,
)
from suno_cover_async.errors import AuthenticationError, InsufficientCreditsError
from suno_cover_async.sandbox import Kind, Reply, Sandbox
from tests.support.answering import ONCE, QUICK, Stage, page, play, reply, text
from tests.support.clients import NO_LIMIT, connect
from tests.support.gateway_answers import BLOCKED, BROKEN, KINDS, LIMITED, PASSING
from tests.support.runs import billed, covered_to_its_end

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

CASES = json.loads((Path(__file__).parents[2] / "samples/answers.json").read_text())


@pytest.mark.parametrize(
    "hostile",
    [
        page(404, "<title>\x1b[2J\u202epwned</title>"),
        text(404, "\x9b31mred\u2028forged line\x07"),
        reply(404, {"title": "\x1b]0;pwned\x07", "detail": "\u202e" * 5_000}),
        reply(404, {"error": "x" * 100_000, "message": {"a": "\x1b"}}),
    ],
)
def test_what_is_quoted_of_a_gateway_is_bounded_and_printable(hostile: Reply) -> None:
    async def scene(here: Stage) -> None:
        here.sandbox.script("credits", hostile)

        error = await here.error("credits")

        assert str(error).isprintable()
        assert not {"\u202e", "\u2028", "\x1b"} & set(str(error))
        assert len(str(error)) < 900

    play(scene, retry=ONCE)
    play(scene, retry=ONCE, proven=False)


# --- once the API has answered at this base URL ------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PASSING)
def test_among_good_answers_a_gateways_answer_costs_a_retry_and_nothing_else(
    name: str, kind: Kind
) -> None:
    odd, _ = PASSING[name]

    async def scene(here: Stage) -> None:
        here.sandbox.script(kind, odd)

        value = await here.ask(kind)

        assert value is not None
        first, second = here.moments(kind)
        assert second - first <= 2
        assert billed(here.sandbox)[here.song] == (kind == "submit")

    play(scene)


async def error_that_quotes(here: Stage, kind: Kind, name: str) -> SunoCoverError:
    """Have a passing answer of a gateway given, and return the error, which says it and no more."""
    odd, said = PASSING[name]
    here.sandbox.script(kind, odd)

    error = await here.error(kind)

    assert error.code is None
    assert error.http_status == odd.status
    assert f"HTTP {odd.status}" in str(error)
    assert said in str(error)
    assert "secret" not in str(error)
    return error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PASSING)
def test_the_error_quotes_the_gateway_and_has_no_code_of_the_api(name: str, kind: Kind) -> None:
    async def scene(here: Stage) -> None:
        error = await error_that_quotes(here, kind, name)

        assert type(error) is UnexpectedResponseError
        assert error.retryable
        assert error.possibly_billed is (kind == "submit")

    play(scene, retry=ONCE)


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_or_unreadable_is_retried_whether_or_not_the_api_has_answered(
    name: str, kind: Kind, *, proven: bool
) -> None:
    async def retried(here: Stage) -> None:
        here.sandbox.script(kind, BROKEN[name])

        value = await here.ask(kind)

        assert value is not None
        assert len(here.moments(kind)) == 2
        assert billed(here.sandbox)[here.song] == (kind == "submit")

    async def said(here: Stage) -> None:
        here.sandbox.script(kind, BROKEN[name])

        error = await here.error(kind)

        is_server = BROKEN[name].status >= 500 or BROKEN[name].status in {408, 425}
        assert type(error) is (ServerError if is_server else UnexpectedResponseError)
        assert error.code is None
        assert error.retryable

    play(retried, proven=proven)
    play(said, proven=proven, retry=ONCE)


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BLOCKED)
def test_a_block_or_a_challenge_of_cloudflare_ends_the_call_at_once_and_bills_nothing(
    name: str, kind: Kind, *, proven: bool
) -> None:
    async def scene(here: Stage) -> None:
        here.sandbox.script(kind, attrs.evolve(BLOCKED[name], executes=False))

        error = await here.error(kind)

        assert type(error) is ClientBlockedError
        assert error.code is None
        assert not error.retryable
        assert not here.client.possibly_billed
        assert len(here.moments(kind)) == 1

    play(scene, proven=proven)


NO_CREDITS_BY_429 = Host(name="sunoapi", base_url=KIE.base_url, credits_429=True)


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LIMITED)
def test_429_of_a_gateway_and_1015_pause_all_requests(
    name: str, kind: Kind, *, proven: bool
) -> None:
    async def scene(here: Stage) -> None:
        here.sandbox.script(kind, attrs.evolve(LIMITED[name], executes=False))
        earlier = len(here.sandbox.journal.arrivals)

        error = await here.error(kind)
        await here.client.credits()
        await here.client.submit(here.song)

        assert type(error) is RateLimitError
        assert error.code is None
        first, *others = here.sandbox.journal.arrivals[earlier:]
        assert len(others) == 2
        assert all(one.at >= first.at + 10 for one in others)

    play(scene, proven=proven, host=NO_CREDITS_BY_429, retry=ONCE)


@pytest.mark.parametrize("status", [429, 403])
def test_the_retry_after_of_a_gateway_is_obeyed(status: int) -> None:
    async def scene(here: Stage) -> None:
        limited = text(status, "error code: 1015", Retry_After="37")
        here.sandbox.script("credits", limited)

        await here.client.credits()

        first, second = here.moments("credits")
        assert second - first >= 37

    play(scene)


@pytest.mark.parametrize("kind", ["credits", "submit"])
def test_gateway_answers_in_a_row_open_the_breaker_as_other_trouble_does(kind: Kind) -> None:
    odd, _ = PASSING["a bare 404"]

    async def scene(here: Stage) -> None:
        breaker = {"credits": here.client.breakers.api, "submit": here.client.breakers.submit}[kind]
        here.sandbox.script(kind, *[odd] * 8)
        with breaker.armed():
            for _ in range(5):
                await here.error(kind)
            in_trouble = breaker.is_open
            for _ in range(3):
                await here.error(kind)
            await here.ask(kind)

            assert in_trouble
            assert not breaker.is_open
        probes = here.moments(kind)[4:]
        gaps = [later - sooner for sooner, later in pairwise(probes)]
        assert len(gaps) == 4
        assert all(0.9 * 2**n <= gap <= 1.1 * 2**n + 0.1 for n, gap in enumerate(gaps)), gaps

    play(scene, retry=ONCE)


# --- a submit that went out --------------------------------------------------------------------

UNSURE = {name: odd for name, (odd, _) in PASSING.items()} | BROKEN | LIMITED


@pytest.mark.parametrize("name", UNSURE)
def test_a_submit_that_a_gateway_answered_is_possibly_billed_and_found_again(name: str) -> None:
    async def scene(here: Stage) -> None:
        here.sandbox.script("submit", UNSURE[name])

        error = await here.error("submit")
        possibly_billed = here.client.possibly_billed
        task = await here.client.submit(here.song)

        assert error.possibly_billed
        assert error.retryable
        assert possibly_billed == (here.song,)
        assert task.adopted
        assert billed(here.sandbox)[here.song] == 1
        first, second = here.moments("submit")
        assert second - first >= 1
        assert not here.client.possibly_billed

    play(scene, retry=ONCE)


@pytest.mark.parametrize("name", ["a bare 404", "a redirect", "502", "cut off", "429", "1015, 503"])
def test_such_a_submit_is_repeated_at_most_three_times_not_sooner_than_1_s(name: str) -> None:
    headers = {**UNSURE[name].headers, "Retry-After": "0.1"}
    odd = attrs.evolve(UNSURE[name], headers=headers, executes=False)

    async def scene(here: Stage) -> None:
        here.sandbox.script("submit", *[odd] * 9)

        error = await here.error("submit")

        assert error.possibly_billed
        moments = here.moments("submit")
        assert len(moments) == 4
        assert all(later - sooner >= 1 for sooner, later in pairwise(moments)), moments

    play(scene)


# --- before the API has ever answered ----------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PASSING)
def test_before_the_api_has_ever_answered_the_address_is_wrong(name: str, kind: Kind) -> None:
    async def scene(here: Stage) -> None:
        error = await error_that_quotes(here, kind, name)

        assert type(error) is WrongAddressError
        assert not error.retryable
        assert here.sandbox.url in str(error)
        assert "check the base URL and the host" in str(error)
        assert len(here.moments(kind)) == 1

    play(scene, proven=False)


def test_a_submit_to_a_wrong_address_is_not_repeated_and_stays_possibly_billed() -> None:
    odd, _ = PASSING["a redirect"]

    async def scene(here: Stage) -> None:
        here.sandbox.script("submit", odd)

        error = await here.error("submit")

        assert error.possibly_billed
        assert here.client.possibly_billed == (here.song,)
        assert here.client.is_possibly_billed(here.song)
        assert len(here.moments("submit")) == 1
        assert (await here.client.submit(here.song)).adopted
        assert billed(here.sandbox)[here.song] == 1

    play(scene, proven=False)


@pytest.mark.parametrize(
    "spoken",
    [
        {"code": 200, "data": 7},
        {"code": 401, "msg": "no"},
        {"code": 404, "msg": "Not found"},
        {"code": "500", "msg": "broken"},
        {"code": 429.0, "msg": "Your call frequency is too high."},
        {"code": 200, "data": "unreadable"},
        {"code": 7},
    ],
    ids=str,
)
def test_any_answer_of_the_api_itself_shows_that_the_address_is_right(
    spoken: dict[str, object],
) -> None:
    odd, _ = PASSING["a bare 404"]

    async def scene(here: Stage) -> None:
        here.sandbox.script("credits", reply(404, spoken))
        with contextlib.suppress(SunoCoverError):
            await here.client.credits()
        here.sandbox.script("submit", odd)

        error = await here.error("submit")

        assert type(error) is UnexpectedResponseError

    play(scene, proven=False, retry=ONCE)


def test_what_is_no_answer_of_the_api_shows_nothing_of_the_address() -> None:
    async def scene(here: Stage) -> None:
        for name in ("502", "cut off", "no body", "522 in JSON"):
            here.sandbox.script("credits", BROKEN[name])
            await here.error("credits")
        here.sandbox.script("credits", PASSING["a bare 404"][0])

        assert type(await here.error("credits")) is WrongAddressError

    play(scene, proven=False, retry=ONCE)


def test_that_the_address_is_right_is_known_in_the_next_event_loop_too() -> None:
    async def one(url: str, key: str) -> SunoCoverClient:
        client = SunoCoverClient(key, base_url=url, rate_limit=NO_LIMIT, retry=ONCE)
        await client.credits()
        return client

    async def scene(sandbox: Sandbox) -> None:
        async with sandbox:
            clients.append(await one(sandbox.url, sandbox.api_key))

    async def another(sandbox: Sandbox, client: SunoCoverClient) -> None:
        async with sandbox, client:
            sandbox.script("credits", PASSING["a bare 404"][0])
            with pytest.raises(UnexpectedResponseError) as caught:
                await client.credits()
            assert caught.value.retryable

    clients: list[SunoCoverClient] = []
    sandbox = Sandbox(QUICK)
    asyncio.run(scene(sandbox))
    asyncio.run(another(sandbox, clients[0]))


# --- the cases of the samples ------------------------------------------------------------------


def kinds_of(when: str) -> tuple[Kind, ...]:
    polls: tuple[Kind, ...] = ("details",) if "poll" in when else ()
    submits: tuple[Kind, ...] = ("submit",) if "submit" in when else ()
    return (*polls, *submits) or KINDS


async def retries(here: Stage, kind: Kind, odd: Reply) -> None:
    here.sandbox.script(kind, odd)
    assert await here.ask(kind) is not None
    assert len(here.moments(kind)) == 2
    assert billed(here.sandbox)[here.song] == (kind == "submit")


async def retries_what_is_possibly_billed(here: Stage, kind: Kind, odd: Reply) -> None:
    await retries(here, kind, odd)
    first, second = here.moments(kind)
    assert second - first >= (kind == "submit")


async def retries_without_a_code(here: Stage, kind: Kind, odd: Reply) -> None:
    async with connect(here.sandbox, retry=ONCE) as client:
        client.trust_base_url()
        here.sandbox.script(kind, attrs.evolve(odd, executes=False))
        error = await attrs.evolve(here, client=client).error(kind)
    assert (error.code, error.retryable) == (None, True)


async def ends_the_run(here: Stage, kind: Kind, odd: Reply) -> None:
    here.sandbox.script(kind, *[odd] * 9)
    async with Ledger(None) as ledger:
        songs = [here.song]
        await ledger.take_in([Track(here.song)])
        if kind == "details":
            [entry] = await ledger.next_open(TrackState.WAITING, 0, 1)
            await ledger.submitted(entry, attrs.evolve(here.covered, music_task_id=here.song))
        elif kind != "submit":
            assert type(await here.error(kind)) is WrongAddressError
            return
        outcomes, reason = await covered_to_its_end(here.client, songs, ledger)
        left = +Counter(await ledger.count())
    assert type(reason) is WrongAddressError
    assert here.sandbox.url in str(reason)
    assert not outcomes
    assert set(left) <= {TrackState.SUBMITTING, TrackState.SUBMITTED}


def raises(
    kind_of_error: type[SunoCoverError], *words: str, code: int | None = None
) -> Callable[[Stage, Kind, Reply], Coroutine[Any, Any, None]]:
    async def check(here: Stage, kind: Kind, odd: Reply) -> None:
        here.sandbox.script(kind, attrs.evolve(odd, executes=False))
        error = await here.error(kind)
        assert type(error) is kind_of_error
        assert error.code == code
        assert all(word in str(error) for word in words)
        assert len(here.moments(kind)) == 1

    return check


async def pauses(here: Stage, kind: Kind, odd: Reply) -> None:
    here.sandbox.script(kind, attrs.evolve(odd, executes=False))
    earlier = len(here.sandbox.journal.arrivals)
    await here.ask(kind)
    await here.client.credits()
    first, *others = here.sandbox.journal.arrivals[earlier:]
    assert len(others) == 2
    assert all(one.at >= first.at + 10 for one in others)


async def is_pending(here: Stage, kind: Kind, odd: Reply) -> None:
    here.sandbox.script(kind, odd)
    details = await here.ask(kind)
    assert isinstance(details, CoverDetails)
    assert details.status is CoverStatus.PENDING


async def is_a_success_with_one_image(here: Stage, kind: Kind, odd: Reply) -> None:
    here.sandbox.script(kind, odd)
    details = await here.ask(kind)
    assert isinstance(details, CoverDetails)
    assert details.status is CoverStatus.SUCCESS
    assert details.images == ("https://images.example/a.png",)


EXPECTED: dict[str, Callable[[Stage, Kind, Reply], Coroutine[Any, Any, None]]] = {
    "retry; nothing else": retries,
    "retry; a submit is possibly billed": retries_what_is_possibly_billed,
    "retry; error.code is None": retries_without_a_code,
    "the run ends; the message has the URL; no track is marked": ends_the_run,
    "ClientBlockedError; error.code is None; title and detail shown": raises(
        ClientBlockedError,
        "Error 1010: Access denied",
        "The owner of this website has banned your access.",
    ),
    "rate limit: all requests pause": pauses,
    "InsufficientCreditsError": raises(InsufficientCreditsError, code=429),
    "InsufficientCreditsError that quotes the message": raises(
        InsufficientCreditsError, "Not enough credits", code=402
    ),
    "AuthenticationError": raises(AuthenticationError, "unauthorized", code=401),
    "pending": is_pending,
    "SUCCESS with one image": is_a_success_with_one_image,
    "CoverExistsError": raises(CoverExistsError, "Cover already exists for this task", code=400),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['when']}-{case['http']}")
def test_every_case_of_the_samples_is_read_as_it_says(case: dict[str, Any]) -> None:
    async def scene(here: Stage, kind: Kind) -> None:
        body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
        body = body.replace("<asked>", here.covered.cover_task_id)
        body = body.replace("<ours>", here.covered.music_task_id)
        answer = reply(case["http"], body.encode(), case["type"])
        await EXPECTED[case["expect"]](here, kind, answer)

    for kind in kinds_of(case["when"]):
        play(partial(scene, kind=kind), proven="before" not in case["when"])

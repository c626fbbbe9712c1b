"""A gateway's answer is not the API's: it decides about no song, whatever its HTTP status.

Each answer comes over a socket from the sandbox, whose journal counts what arrived and was billed.
Waits are long here, so most scenes play in virtual time.
"""

import asyncio
import contextlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from answering import ONCE, QUICK, Stage, page, play, reply, text
from conftest import NO_LIMIT, Run, billed, connect, covered_to_its_end, read_now, states
from test_cli import at, sandbox_with

from suno_cover_async import (
    KIE,
    CallbackReceiver,
    ClientBlockedError,
    CoverDetails,
    Covered,
    CoverExistsError,
    CoverStatus,
    CoverTask,
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
    cover_catalog,
)
from suno_cover_async.cli.exits import ExitCode, exit_code
from suno_cover_async.errors import AuthenticationError, InsufficientCreditsError
from suno_cover_async.exchange import MOST_BYTES
from suno_cover_async.gateway import Answer, error_of
from suno_cover_async.hosts import BaseUrl
from suno_cover_async.sandbox import Fault, Kind, Reply, Sandbox

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

CASES = json.loads((Path(__file__).parent / "samples/answers.json").read_text())
KINDS: tuple[Kind, ...] = ("submit", "details", "credits", "music")
SPRING = {"timestamp": "2026-11-01T10:00:00Z", "status": 404, "error": "Not Found", "path": "/x"}
PROBLEM = {"type": "about:blank", "title": "No such route", "status": 404, "detail": "Look again."}
PASSING = {  # and what of them people are to read
    "a bare 404": (text(404, "404 page not found\n"), "404 page not found"),
    "an HTML 400": (
        page(400, "<html><head><title>400 Bad Request</title></head><body></body></html>"),
        "400 Bad Request",
    ),
    "an HTML 421": (page(421, "<html>Misdirected Request</html>"), "Misdirected Request"),
    "a framework's 404": (reply(404, SPRING), "Not Found"),
    "problem JSON": (
        reply(404, PROBLEM, "application/problem+json"),
        "No such route: Look again.",
    ),
    "FastAPI's 404": (reply(404, {"detail": "Not Found"}), "Not Found"),
    "a nested error": (reply(404, {"error": {"code": 404}}), "404"),
    "a code that is a word": (reply(404, {"code": "no_route", "message": "None."}), "None."),
    "a list": (reply(200, [1, 2]), "[1, 2]"),
    "a login page": (page(200, "<!DOCTYPE html>\n<title>Log in</title>"), "Log in"),
    "plain text": (text(201, "created"), "created"),
    "an empty 404": (reply(404), "an empty body"),
    "a bare 401": (text(401, "Unauthorized"), "Unauthorized"),
    "a bare 402": (text(402, "Payment Required"), "Payment Required"),
    "an HTML 403": (page(403, "<h1>403 Forbidden</h1>"), "403 Forbidden"),
    "a 405": (page(405, "<title>405 Not Allowed</title>"), "405 Not Allowed"),
    "a 409": (text(409, "Conflict"), "Conflict"),
    "a redirect": (reply(302, Location="https://elsewhere.example/?secret"), "an empty body"),
    "an odd status": (text(999, "?"), "?"),
    "MySQL's 1020, 400": (text(400, "Error 1020: Record has changed"), "Error 1020"),
    "an error_code of others": (reply(404, {"error_code": 1015, "error_msg": "None."}), "None."),
    "Google's JSON": (
        reply(404, b'{\n "error": {\n  "code": 404,\n  "message": "Not here."\n }\n}', "text/json"),
        "Not here.",
    ),
    "HAProxy's page": (page(403, "<html><body><h1>403 Forbidden</h1>\nRequest"), "403 Forbidden;"),
    "a page in Latin-1": (reply(404, "<p>non trouvée".encode("latin-1"), "text/html"), "non trouv"),
}
BROKEN = {  # what is retried whether or not the API has answered before
    "502": page(502, "<title>502 Bad Gateway</title>"),
    "522 in JSON": reply(522, {"title": "Error 522", "status": 522, "error_code": 522}),
    "500 in JSON": reply(500, {"timestamp": "x", "status": 500, "error": "Internal Server Error"}),
    "530": text(530, "error code: 1016"),
    "MySQL's 1020": text(500, "SQLSTATE[HY000]: General error: 1020 Record has changed"),
    "MySQL's 1015 behind Cloudflare": page(502, "Error 1015: cannot lock. cdnjs.cloudflare.com"),
    "an error_code of others": reply(503, {"error_code": 1010, "message": "db down"}),
    "408": text(408, "Request Timeout"),
    "425": text(425, "Too Early"),
    "no body": reply(200),
    "204": reply(204),
    "blanks": reply(200, b" \r\n"),
    "cut off": reply(200, b'{"code":200,"msg":"success","da'),
    "cut off, 400": reply(400, b'{"code":400,"msg":"Cover already'),
    "garbled": reply(200, b'{"code":200;"data":{"taskId":"a"}}'),
    "random bytes": reply(200, bytes(range(128, 256)) * 4),
    "control characters": reply(200, b"\x00\x01\x02\x1b[2J"),
}
BLOCKED = {
    "text": text(403, "error code: 1010"),
    "JSON": reply(403, {"title": "Access denied", "error_code": 1020, "cloudflare_error": True}),
    "HTML of today": page(
        403,
        "<title>Access denied | a.example used Cloudflare to restrict access</title>"
        '<h1><span data-translate="error">Error</span> <span>1006</span></h1>',
    ),
    "HTML of before": page(
        403,
        '<h1> <span class="cf-error-type" data-translate="error">Error</span>\n'
        '         <span class="cf-error-code">1009</span></h1>',
    ),
    "a firewall's page": page(403, "<title>Attention Required! | Cloudflare</title>"),
    "a challenge": page(403, "<title>Just a moment...</title>", cf_mitigated="challenge"),
    "a challenge, 503": page(503, "<title>Just a moment...</title>", cf_mitigated="challenge"),
    "a challenge, 429": reply(429, b"", cf_mitigated="challenge"),
    **{f"{code}": text(403, f"error code: {code}") for code in (*range(1005, 1013), 1106)},
}
LIMITED = {
    "429": text(429, "Too Many Requests"),
    "an empty 429": reply(429),
    "429 in JSON": reply(429, {"detail": "Request was throttled."}),
    "1015 in JSON": reply(429, {"title": "Error 1015", "status": 429, "error_code": 1015}),
    "1015, 200": text(200, "error code: 1015"),
    "1015, 403": text(403, "error code: 1015"),
    "1015, 503": reply(503, {"title": "Error", "error_code": 1015, "cloudflare_error": True}),
    "1015 in HTML": page(
        403,
        "<title>Access denied | a.example used Cloudflare to restrict access</title>"
        "<span>Error</span> <span>1015</span> <h2>You are being rate limited</h2>",
    ),
}


# --- hostile pages ------------------------------------------------------------------------------

PIECES = (
    *("error ", "error code:", "error<span>", "<span ", "error" + " " * 300, "<title", "<title>"),
    *("<title " + "x" * 199, "<title>" + "x" * 400, 'cf-error-code"' + "y" * 81, "</span>", " "),
    *("error" + "<span>" * 7 + " ", "error<span" + "a" * 80, "\n", "\x85", "<", "{", "\ufffd", "x"),
)


def effort(work: Callable[[], object]) -> float:
    """Return the seconds of CPU that something takes, best of three."""

    def once() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    return min(once() for _ in range(3))


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("status", [200, 403, 404])
@pytest.mark.parametrize("piece", PIECES)
def test_no_page_takes_long_however_hostile(piece: str, status: int, *, proven: bool) -> None:
    """As a measure serves a walk over its characters, however fast or busy the machine."""
    hostile = (piece * MOST_BYTES)[:MOST_BYTES]
    answer, base_url = Answer(status, hostile), BaseUrl("https://a.example", proven)

    read = effort(lambda: error_of(answer, None, base_url))
    walked = effort(lambda: sum(character.isspace() for character in hostile))

    assert read < 3 * walked
    assert len(str(error_of(answer, None, base_url))) < 600


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
        uncertain = here.client.possibly_billed
        task = await here.client.submit(here.song)

        assert error.possibly_billed
        assert error.retryable
        assert uncertain == (here.song,)
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


def test_a_wrong_address_is_told_at_once_and_no_callback_is_waited_for() -> None:
    odd, _ = PASSING["a redirect"]
    receiver = CallbackReceiver(public_url="http://127.0.0.1:9/suno", secret="s" * 32)

    async def scene(here: Stage) -> None:
        here.sandbox.script("submit", odd)
        clock = asyncio.get_running_loop().time
        began = clock()

        error = await here.error("submit")

        assert type(error) is WrongAddressError
        assert clock() - began < 1

    play(scene, proven=False, receiver=receiver)


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


# --- catalogs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["submit", "details"])
@pytest.mark.parametrize("name", PASSING)
def test_a_catalog_takes_a_gateways_answer_among_good_ones_for_no_songs_outcome(
    name: str, kind: Kind, tmp_path: Path
) -> None:
    odd, _ = PASSING[name]

    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(6)
        await here.client.credits()
        here.sandbox.script(kind, Fault.NONE, odd, Fault.NONE, odd)
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes, reason = await covered_to_its_end(here.client, songs, ledger)

            assert reason is None
            assert [type(outcome) for outcome in outcomes] == [Covered] * 6
            assert states(ledger) == {TrackState.COVERED: 6}
        assert {song: billed(here.sandbox)[song] for song in songs} == dict.fromkeys(songs, 1)

    play(scene, proven=False)


@pytest.mark.parametrize("name", PASSING)
def test_a_wrong_address_ends_the_run_and_marks_no_track(name: str, tmp_path: Path) -> None:
    odd, _ = PASSING[name]

    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(20)
        here.sandbox.script("submit", *[odd] * 20)
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes, reason = await covered_to_its_end(here.client, songs, ledger)
            sent = len(here.moments("submit"))
            left = states(ledger)
            here.sandbox._scripts.clear()
            async with connect(here.sandbox) as client_of_tomorrow:
                again, end = await covered_to_its_end(client_of_tomorrow, songs, ledger)

        assert type(reason) is WrongAddressError
        assert here.sandbox.url in str(reason)
        assert not outcomes
        assert 1 <= sent <= 3
        assert left == {TrackState.SUBMITTING: sent, TrackState.WAITING: 20 - sent}
        assert end is None
        assert [type(outcome) for outcome in again] == [Covered] * 20
        assert {song: billed(here.sandbox)[song] for song in songs} == dict.fromkeys(songs, 1)

    play(scene, proven=False, concurrency=3)


def test_a_ledger_with_a_submitted_track_of_this_base_url_shows_that_the_address_is_right(
    tmp_path: Path,
) -> None:
    odd, _ = PASSING["a bare 404"]

    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered_to_its_end(here.client, songs[:1], ledger)
        here.sandbox.script("submit", odd)
        async with (
            connect(here.sandbox) as another_process,
            Ledger(tmp_path / "covers.db") as ledger,
        ):
            outcomes, reason = await covered_to_its_end(another_process, songs, ledger)

        assert reason is None
        assert [type(outcome) for outcome in outcomes] == [Covered] * 2

    play(scene, proven=False)


def test_the_same_ledger_shows_nothing_of_another_base_url(tmp_path: Path) -> None:
    odd, _ = PASSING["a bare 404"]

    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered_to_its_end(here.client, songs[:1], ledger)
        here.sandbox.script("submit", *[odd] * 9)
        elsewhere = here.sandbox.url.replace("127.0.0.1", "localhost")
        async with (
            connect(here.sandbox, base_url=elsewhere) as moved,
            Ledger(tmp_path / "covers.db") as ledger,
        ):
            _, reason = await covered_to_its_end(moved, songs, ledger)

        assert type(reason) is WrongAddressError
        assert elsewhere in str(reason)

    play(scene, proven=False)


@pytest.mark.parametrize("name", ["a bare 404", "a redirect", "a login page"])
def test_a_run_that_goes_on_at_a_wrong_address_leaves_what_was_paid_for_as_it_was(
    name: str, tmp_path: Path
) -> None:
    odd, _ = PASSING[name]

    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(5)
        here.sandbox.scenario = attrs.evolve(QUICK, looks=None, seconds=1_000)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(here.client, songs, ledger=ledger):
                while len(here.sandbox.journal.bills) < 6:  # noqa: ASYNC110 - a list, no event
                    await asyncio.sleep(0.01)
            before = states(ledger)
            here.sandbox.script("details", *[odd] * 50)
            elsewhere = here.sandbox.url.replace("127.0.0.1", "localhost")
            async with connect(here.sandbox, base_url=elsewhere) as moved:
                outcomes, reason = await covered_to_its_end(moved, songs, ledger)

            assert before == {TrackState.SUBMITTED: 5}
            assert states(ledger) == before
        assert type(reason) is WrongAddressError
        assert not outcomes

    play(scene)


SCHEMA_OF_BEFORE = """
    PRAGMA application_id = 1396920150;
    PRAGMA user_version = 1;
    CREATE TABLE runs (number INTEGER NOT NULL, catalog TEXT) STRICT;
    INSERT INTO runs VALUES (3, NULL);
    CREATE TABLE tracks (
        number INTEGER PRIMARY KEY,
        music_task_id TEXT NOT NULL UNIQUE,
        names TEXT NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        cover_task_id TEXT,
        adopted INTEGER NOT NULL DEFAULT 0,
        images TEXT,
        created_at REAL,
        completed_at REAL,
        files TEXT,
        error TEXT,
        reason TEXT,
        put_off INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX tracks_by_state ON tracks (state, number);
    CREATE INDEX tracks_by_age ON tracks (completed_at) WHERE state = 3;
    INSERT INTO tracks (music_task_id, names) VALUES ('old-song', '{"": {}}');
"""


def test_a_ledger_of_before_is_read_as_it_is_and_learns_base_urls_when_it_is_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "covers.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA_OF_BEFORE)
    was = path.read_bytes()

    async def scene(here: Stage) -> None:
        here.sandbox.add_music(["old-song"])
        read = [entry.music_task_id for entry in read_now(Ledger(path))]
        unchanged = path.read_bytes() == was
        async with Ledger(path) as ledger:
            knew = await ledger.has_answered(here.sandbox.url)
            outcomes, _ = await covered_to_its_end(here.client, ["old-song"], ledger)
            knows = await ledger.has_answered(here.sandbox.url)

        assert read == ["old-song"]
        assert unchanged
        assert (knew, knows) == (False, True)
        assert [type(outcome) for outcome in outcomes] == [Covered]

    play(scene)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)
        assert len(database.execute("SELECT * FROM base_urls").fetchall()) == 1


async def test_a_base_url_is_noted_with_the_track_that_it_accepted_or_not_at_all(
    tmp_path: Path,
) -> None:
    path = tmp_path / "covers.db"
    async with Ledger(path) as ledger:
        await ledger.take_in([Track("a-song")])
        [entry] = await ledger.next_open(TrackState.WAITING, 0, 1)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute(
                "CREATE TRIGGER full BEFORE INSERT ON base_urls "
                "BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )
        task = CoverTask(cover_task_id="its-cover", music_task_id="a-song")
        with pytest.raises(sqlite3.IntegrityError, match="no room"):
            await ledger.submitted(entry, task, base_url="https://api.example.com")
        [after] = read_now(ledger)

    assert after.state is TrackState.WAITING


# --- the command line --------------------------------------------------------------------------

WRONG = [PASSING["a bare 404"][0]] * 50
COMMANDS: dict[str, tuple[tuple[str, ...], Kind]] = {
    "generate": (("generate", "one", "two"), "submit"),
    "details": (("details", "a-cover"), "details"),
    "details --wait": (("details", "a-cover", "--wait"), "details"),
    "credits": (("credits",), "credits"),
    "batch": (("batch", "songs.txt", "--ledger", "covers.db"), "submit"),
}


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_command_at_a_wrong_address_ends_with_2_and_says_which(
    name: str, run: Run, tmp_path: Path
) -> None:
    command, kind = COMMANDS[name]
    (tmp_path / "songs.txt").write_text("one\ntwo\n")
    async with sandbox_with(QUICK) as sandbox:
        sandbox.add_music(["one", "two"])
        for one in {kind, "credits"}:
            sandbox.script(one, *WRONG)

        ended = await run(*command, *at(sandbox))

        assert ended.code == ExitCode.USAGE
        assert f"{sandbox.url} does not answer as the Cover API does" in ended.err
        assert "404 page not found" in ended.err
        assert "next: check --base-url or --host" in ended.err
        if name == "batch":
            left = states(Ledger(tmp_path / "covers.db"))
            assert set(left) <= {TrackState.WAITING, TrackState.SUBMITTING}
            assert left.total() == 2


async def test_generate_stops_at_a_block_and_does_not_try_every_song(run: Run) -> None:
    songs = [f"song-{number}" for number in range(60)]
    async with sandbox_with(QUICK) as sandbox:
        sandbox.add_music(songs)
        sandbox.script("submit", *[BLOCKED["text"]] * len(songs))

        ended = await run("generate", *songs, *at(sandbox))

        assert ended.code == ExitCode.FAILED
        assert len(sandbox.journal.of("submit")) <= 20  # as many as are submitted at once


def test_a_wrong_address_weighs_more_than_all_but_a_bad_key_and_no_credits() -> None:
    wrong, other = WrongAddressError("x"), ServerError("x")

    assert exit_code([other, wrong]) == ExitCode.USAGE
    assert exit_code([other, wrong, InsufficientCreditsError("x")]) == ExitCode.CREDITS
    assert exit_code([wrong, AuthenticationError("x")]) == ExitCode.KEY


# --- a base URL that ends in /api/v1 -----------------------------------------------------------

DOUBLED = {
    "https://api.example.com/api/v1": "https://api.example.com",
    "https://api.example.com/api/v1/": "https://api.example.com",
    "https://api.example.com/API/V1//": "https://api.example.com",
    "https://api.example.com:8443/proxy/api/v1": "https://api.example.com:8443/proxy",
    "https://api.example.com/api/v1/api/v1": "https://api.example.com",
    "http://127.0.0.1:8480//api/v1": "http://127.0.0.1:8480",
}


@pytest.mark.parametrize("url", DOUBLED)
async def test_a_base_url_that_ends_in_api_v1_is_refused_with_the_right_one(
    url: str, run: Run
) -> None:
    for make in (
        lambda: SunoCoverClient("key", base_url=url),
        lambda: Host(name="mine", base_url=url),
    ):
        with pytest.raises(ValueError, match="without /api/v1") as caught:
            make()
        assert str(caught.value).endswith(f"; give {DOUBLED[url]}")

    ended = await run("credits", "--base-url", url)

    assert ended.code == ExitCode.USAGE
    assert DOUBLED[url] in ended.err.split()


@pytest.mark.parametrize(
    "url", ["https://api/v1", "https://a.example/v1", "https://a.example/api/v10", KIE.base_url]
)
def test_a_base_url_that_only_looks_so_is_taken(url: str) -> None:
    assert SunoCoverClient("key", base_url=f"{url}/").base_url == url


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

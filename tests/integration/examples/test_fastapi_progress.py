"""The page of progress on FastAPI, by its own command, in a process: HTTP as a browser sends it."""

import asyncio
import json
import re
import shlex
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support.canary import API_KEY, Search
from tests.support.canary_calls import word
from tests.support.commands import MODULE, a_free_port
from tests.support.job_engines import ROOT, printed_commands
from tests.support.waiting import until
from tests.support.web_examples import (
    FINISHED,
    UNSEEN,
    Browser,
    Example,
    browser,
    prepared,
    socket_to,
    states,
)

HOW_TO = ROOT / "docs" / "how-to" / "progress-page.md"
STEPS = attrs.evolve(FINISHED, polls=3)  # it is seen to be generated, then finished


def progress(folder: Path, sandbox: Sandbox) -> Example:
    return prepared("fastapi_progress.py", "uvicorn", folder, sandbox)


@asynccontextmanager
async def serving(
    folder: Path, scenario: Scenario, key: str = "sandbox-key", **constants: object
) -> AsyncGenerator[tuple[Sandbox, Example, Browser], None]:
    """Run the application; constants in capitals are of `progress_jobs.py` or the application."""
    async with Sandbox(scenario, api_key=key) as sandbox:
        example = progress(folder, sandbox)
        for constant, value in constants.items():
            of_jobs = constant in {"MOST_JOBS", "LAST_SECONDS"}
            example.set(
                "progress_jobs.py" if of_jobs else "fastapi_progress.py", **{constant: value}
            )
        async with example.running(), browser(example) as one:
            yield sandbox, example, one


def billed(sandbox: Sandbox) -> list[str]:
    return [bill.music_task_id for bill in sandbox.journal.bills]


async def test_a_cover_is_asked_for_watched_and_shown(tmp_path: Path) -> None:
    async with serving(tmp_path, STEPS) as (sandbox, example, one):
        (song,) = sandbox.add_music()

        cover = await one.ask(song)
        events = await one.watched(cover)
        images = [await one.get(f"{cover}/images/{number}") for number in (1, 2)]

        assert states(events) == ["queued", "submitted", "generating", "finished"]
        seconds = [event.data["seconds"] for event in events]
        assert seconds == sorted(seconds)
        assert events[-1].data["images"] == 2
        for (status, body, headers), file in zip(images, example.saved, strict=True):
            assert (status, headers["Content-Type"]) == (200, "image/png")
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert body == file.read_bytes()
        assert billed(sandbox) == [song]
        assert example.unfinished == []


async def test_the_page_and_its_files_name_no_other_host_and_its_policy_allows_none(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, FINISHED) as (_, _, one):
        status, body, headers = await one.get("/")
        files = [await one.get(f"/page/{name}") for name in ("page.js", "page.css", "icon.svg")]
        docs = [(await one.get(path))[0] for path in ("/docs", "/redoc", "/openapi.json")]

    assert status == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert [status for status, _, _ in files] == [200, 200, 200]
    for text in (body, *(text for _, text, _ in files)):
        assert b"//" not in text.replace(b"// ", b"").replace(b"http://www.w3.org/2000/svg", b"")
    assert docs == [404, 404, 404]


async def test_two_clicks_and_another_person_are_one_submit_and_one_bill(tmp_path: Path) -> None:
    async with serving(tmp_path, STEPS) as (sandbox, example, one):
        (song,) = sandbox.add_music()

        covers = await asyncio.gather(*(one.ask(song) for _ in range(5)))
        async with browser(example) as other:
            covers.append(await other.ask(song))
            seen = await asyncio.gather(one.watched(covers[0]), other.watched(covers[-1]))
        again = await one.watched(await one.ask(song))

        assert set(covers) == {covers[0]}
        assert seen[0] == seen[1] == again  # their ids too: it is one job
        assert billed(sandbox) == [song]
        assert len(sandbox.journal.of("submit")) == 1


async def test_browsers_that_leave_again_and_again_during_a_submit_cancel_nothing(
    tmp_path: Path,
) -> None:
    slow = attrs.evolve(FINISHED, slow=1, slow_seconds=1, faults_on={"submit"})
    async with serving(tmp_path, slow) as (sandbox, example, one):
        (song,) = sandbox.add_music()
        cover = await one.ask(song)
        await until(lambda: sandbox.journal.of("submit"), every=0.01)

        for _ in range(20):
            async with browser(example) as leaving, leaving.stream(cover) as events:
                assert (await anext(events)).data["state"] == "queued"

        assert states(await one.watched(cover))[-1] == "finished"
        assert billed(sandbox) == [song]
        assert len(sandbox.journal.of("submit")) == 1


async def test_a_browser_that_reconnects_gets_only_what_it_has_not_seen(tmp_path: Path) -> None:
    async with serving(tmp_path, UNSEEN) as (sandbox, _, one):
        cover = await one.ask(*sandbox.add_music())
        async with one.stream(cover) as events:
            seen = [await anext(events), await anext(events)]
        sandbox.scenario = FINISHED

        rest = await one.watched(cover, after=seen[-1])
        other = await one.watched(cover, after=attrs.evolve(seen[-1], id="of-an-earlier-server"))
        status, _, _ = await one.get(f"{cover}/events", headers={"Last-Event-ID": rest[-1].id})

        assert states(seen) == ["queued", "submitted"]
        assert states(rest)[-1] == "finished"
        assert "submitted" not in states(rest)
        assert other == [*seen, *rest]
        assert status == 204  # a browser reconnects no more


async def test_a_silent_stream_has_comments_so_that_no_proxy_cuts_it(tmp_path: Path) -> None:
    async with serving(tmp_path, UNSEEN, HEARTBEAT=0.05) as (sandbox, _, one):
        cover = await one.ask(*sandbox.add_music())

        async with one.stream(cover) as events:
            seen = [await anext(events) for _ in range(6)]

    assert [event.id for event in seen[2:]] == ["", "", "", ""]


async def test_a_lost_answer_is_one_bill(tmp_path: Path) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, _, one):
        (song,) = sandbox.add_music()
        sandbox.script("submit", Fault.LOST_ANSWER)

        events = await one.watched(await one.ask(song))

        assert states(events)[-1] == "finished"
        assert billed(sandbox) == [song]
        assert len(sandbox.journal.of("submit")) == 2


@pytest.mark.parametrize("moment", ["submit", "details"])
async def test_a_server_that_is_killed_goes_on_when_it_is_started_again_and_pays_once(
    moment: str, tmp_path: Path
) -> None:
    async with Sandbox(UNSEEN) as sandbox:
        example = progress(tmp_path, sandbox)
        (song,) = sandbox.add_music()
        if moment == "submit":
            sandbox.scenario = attrs.evolve(UNSEEN, slow_seconds=1_000)
            sandbox.script("submit", Fault.SLOW)
        async with example.running(), browser(example) as one:
            cover = await one.ask(song)
            await until(lambda: sandbox.journal.bills and sandbox.journal.of("submit"), every=0.01)
            if moment == "details":
                await until(lambda: sandbox.journal.of("details"), every=0.01)
            await example.stop(signal.SIGKILL)
        assert example.unfinished == [song]
        sandbox.scenario = FINISHED

        async with example.running(), browser(example) as one:
            await until(lambda: len(example.saved) == 2 and not example.unfinished, every=0.02)
            events = await one.watched(cover)

        assert states(events)[-1] == "finished"
        assert billed(sandbox) == [song]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_that_is_stopped_finishes_what_is_paid_for_although_a_page_is_open(
    number: signal.Signals, tmp_path: Path
) -> None:
    async with serving(tmp_path, UNSEEN) as (sandbox, example, one):
        (song,) = sandbox.add_music()
        cover = await one.ask(song)
        await until(lambda: sandbox.journal.of("details"), every=0.01)
        async with one.stream(cover) as events:
            assert (await anext(events)).data["state"] == "queued"
            ending = asyncio.create_task(example.stop(number))
            await until(lambda: "Waiting for application shutdown" in example.log, every=0.01)
            sandbox.scenario = FINISHED
            code = await ending

        assert code in {0, -number}
        assert len(example.saved) == 2
        assert example.unfinished == []
        assert billed(sandbox) == [song]
        # Of a stream that it cuts, uvicorn itself writes a traceback.
        assert "Application shutdown complete" in example.log
        assert "never retrieved" not in example.log


async def test_a_cover_that_takes_too_long_for_the_end_is_finished_by_the_next_server(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, UNSEEN, LAST_SECONDS=0.1) as (sandbox, example, one):
        songs = sandbox.add_music(2)
        sandbox.script("submit", Fault.NONE, Fault.LOST_ANSWER)
        for song in songs:
            await one.ask(song)
        await until(lambda: len(sandbox.journal.bills) == 2, every=0.01)
        await example.stop()
        kept = example.unfinished
        sandbox.scenario = FINISHED

        async with example.running():
            await until(lambda: len(example.saved) == 4 and not example.unfinished, every=0.02)

        assert sorted(kept) == sorted(songs)
        assert sorted(billed(sandbox)) == sorted(songs)


async def test_a_cover_that_failed_is_submitted_again_only_by_choice_also_after_a_kill(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, example, one):
        (song,) = sandbox.add_music(fails=True)

        cover = await one.ask(song)
        first = await one.watched(cover)
        again = await one.watched(await one.ask(song))
        await example.stop(signal.SIGKILL)
        async with example.running(), browser(example) as other:
            forgotten, _, _ = await other.get(cover)
            later = await other.watched(await other.ask(song))
            submits = len(sandbox.journal.of("submit"))
            kept, failed = example.unfinished, example.failed
            chosen = await other.watched(await other.ask(song, again=True))

        assert first == again  # their ids too: it is one job
        for events in (first, later, chosen):
            assert states(events)[-1] == "failed"
            assert song in events[-1].data["message"]
            assert events[-1].data["needs_choice"] is True
        assert forgotten == 404
        assert (submits, kept, failed) == (1, [], [song])
        assert len(sandbox.journal.of("submit")) == 2


async def test_a_cover_that_fails_while_the_server_is_down_is_told_and_not_submitted_again(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, UNSEEN) as (sandbox, example, one):
        (song,) = sandbox.add_music(fails=True)
        cover = await one.ask(song)
        await until(lambda: sandbox.journal.of("details"), every=0.01)
        await example.stop(signal.SIGKILL)
        sandbox.scenario = FINISHED

        async with example.running(), browser(example) as other:
            events = await other.watched(cover)

        assert states(events)[-1] == "failed"
        assert len(sandbox.journal.of("submit")) == 1


async def test_a_cover_that_fails_after_an_error_that_passes_is_not_submitted_again(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, UNSEEN) as (sandbox, _, one):
        (song,) = sandbox.add_music(fails=True)
        sandbox.script("details", word(401))
        first = await one.watched(await one.ask(song))
        sandbox.scenario = FINISHED

        again = await one.watched(await one.ask(song))

        assert len(sandbox.journal.of("submit")) == 1
        assert [events[-1].data["needs_choice"] for events in (first, again)] == [False, True]


async def test_images_that_were_deleted_are_fetched_again_when_the_song_is_asked_for(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, example, one):
        (song,) = sandbox.add_music()
        cover = await one.ask(song)
        await one.watched(cover)
        example.saved[1].unlink()
        gone, _, _ = await one.get(f"{cover}/images/2")

        events = await one.watched(await one.ask(song))
        found, _, _ = await one.get(f"{cover}/images/2")

        assert (gone, states(events)[-1], found) == (404, "finished", 200)
        assert billed(sandbox) == [song]


async def test_an_error_that_passes_is_told_and_the_next_try_finds_the_cover(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, example, one):
        (song,) = sandbox.add_music()
        sandbox.expire_images()
        sandbox.scenario = attrs.evolve(FINISHED, html=1, faults_on={"image"})
        failing = await one.ask(song)
        # Images fail until the client gives them up, so the answer is awaited and not assumed.
        first = await one.watched(failing)
        kept = example.unfinished
        sandbox.scenario = FINISHED

        again = await one.watched(await one.ask(song))

        assert (states(first)[-1], states(again)[-1]) == ("failed", "finished")
        assert kept == [song]
        assert example.unfinished == []
        assert billed(sandbox) == [song]


@pytest.mark.parametrize(
    ("scenario", "song", "word"),
    [
        (FINISHED, "unknown", "unknown"),
        (FINISHED, "../../etc/passwd", "../../etc/passwd"),
        (FINISHED, "<img/src=x>", "<img/src=x>"),
        (attrs.evolve(FINISHED, credits=0), "poor", "credits"),
    ],
)
async def test_what_the_api_refuses_is_an_event_with_the_reason_and_nothing_is_kept(
    scenario: Scenario, song: str, word: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, scenario) as (sandbox, example, one):
        if scenario.credits == 0:
            sandbox.add_music([song])

        events = await one.watched(await one.ask(song))

        assert states(events) == ["queued", "failed"]
        assert word in events[-1].data["message"]
        assert sandbox.journal.bills == []
        assert example.unfinished == []
        assert not list(tmp_path.rglob("passwd*"))


HOSTILE = {
    "empty": (b"", 422),
    "no JSON": (b"song=x", 422),
    "no song": (b"{}", 422),
    "a choice alone": (b'{"again": true}', 422),
    "a list": (b'["x"]', 422),
    "nested": (b"[" * 499, 422),
    "not UTF-8": (b'{"song": "\xff"}', 422),
    "a number": (b'{"song": 1}', 422),
    "null": (b'{"song": null}', 422),
    "an empty id": (b'{"song": ""}', 422),
    "spaces": (b'{"song": "a b"}', 422),
    "a URL": (b'{"song": "https://suno.com/song/x"}', 422),
    "control characters": (b'{"song": "a\\u001b[31m\\u0000\\r\\nid: 1"}', 422),
    "half a character": (b'{"song": "\\ud800"}', 422),
    "letters of others": ('{"song": "\u202e\u0455ong"}'.encode(), 422),
    "a long id": (json.dumps({"song": "x" * 129}).encode(), 422),
    "a huge id": (json.dumps({"song": "x" * 900_000}).encode(), 413),
}


async def test_hostile_bodies_are_refused_with_a_sentence_and_nothing_is_sent(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, example, one):
        answers = {name: await one.post("/covers", body) for name, (body, _) in HOSTILE.items()}
        again = await one.get("/")

        assert {name: status for name, (status, _) in answers.items()} == {
            name: status for name, (_, status) in HOSTILE.items()
        }
        for _, said in answers.values():
            assert isinstance(said["detail"], str)
            assert said["detail"].isprintable()
        assert again[0] == 200
        assert sandbox.journal.arrivals == []
        assert example.unfinished == []
        assert "Traceback" not in example.log


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
async def test_what_a_form_of_another_site_can_send_is_refused(kind: str, tmp_path: Path) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, _, one):
        (song,) = sandbox.add_music()

        status, _ = await one.post("/covers", {"song": song}, headers={"Content-Type": kind})
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        async with one.session.options(f"{one.url}/covers", headers=preflight) as it:
            allowed = it.headers.get("Access-Control-Allow-Origin")
        other, _ = await one.post(
            "/covers",
            {"song": song},
            headers={"Content-Type": "application/json", "Host": "evil.example"},
        )

        assert (status, allowed, other) == (415, None, 400)
        assert sandbox.journal.arrivals == []


async def test_no_url_leads_out_of_the_folder_and_no_number_to_another_file(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, _, one):
        cover = await one.ask(*sandbox.add_music())
        await one.watched(cover)
        out = ("..", "%2e%2e", "..%2f..", "%2e%2e%5c", "%00", "....//", "%252e%252e")
        paths = [f"/page/{up}/progress_jobs.py" for up in out]
        paths += [f"{cover}/images/{up}/progress_jobs.py" for up in out]
        paths += [f"{cover}/images/{number}" for number in ("0", "-1", "3", "1e1", "9" * 5_000)]
        paths += [f"/covers/{up}/images/1" for up in out] + ["/covers//events", "/covers/x/events"]

        found = [(path, await raw_status(one, path)) for path in paths]

        assert [(path, status) for path, status in found if status not in {404, 422}] == []


async def raw_status(one: Browser, path: str) -> int:
    """Return the status for a path that is sent as it is: clients shorten `..`."""

    def ask() -> int:
        with socket_to(int(one.url.rpartition(":")[2])) as connection:
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            return int(connection.makefile("rb").readline().split()[1])

    return await asyncio.to_thread(ask)


async def test_streams_are_limited_and_one_that_is_left_makes_space(tmp_path: Path) -> None:
    async with serving(tmp_path, UNSEEN, MOST_STREAMS=1) as (sandbox, _, one):
        cover = await one.ask(*sandbox.add_music())
        async with one.stream(cover) as events:
            await anext(events)
            refused, _, _ = await one.get(f"{cover}/events")
        sandbox.scenario = FINISHED

        async with asyncio.timeout(100):
            while (answer := await one.get(f"{cover}/events"))[0] == 503:
                pass

        assert refused == 503
        assert answer[0] == 200


async def test_jobs_are_limited_and_one_that_was_forgotten_finds_its_cover_again(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, UNSEEN, MOST_JOBS=1) as (sandbox, _, one):
        first, second = sandbox.add_music(2)
        cover = await one.ask(first)
        refused, said = await one.post("/covers", {"song": second})
        sandbox.scenario = FINISHED
        await one.watched(cover)
        await one.watched(await one.ask(second))
        forgotten, _, _ = await one.get(f"{cover}/events")

        again = await one.watched(await one.ask(first))

        assert (refused, forgotten) == (503, 404)
        assert "again" in said["detail"]
        assert states(again)[-1] == "finished"
        assert billed(sandbox) == [first, second]


async def test_the_key_is_in_no_answer_no_stream_no_log_and_no_file(tmp_path: Path) -> None:
    search = Search(API_KEY)
    async with serving(tmp_path, STEPS, API_KEY) as (sandbox, example, one):
        fine, refused = sandbox.add_music(2)
        sandbox.script("submit", Fault.NONE, word(422))  # a host that shows the key
        streams = [await one.watched(await one.ask(song)) for song in (fine, refused)]
        answers = [
            await one.post("/covers", {"song": f"{API_KEY} "}, headers={"Host": API_KEY[:2]})
        ]
        pages = [await one.get(path) for path in ("/", "/page/page.js", "/covers/x/events")]
        await example.stop()

        search.text("streams", repr(streams))
        search.text("answers", repr((answers, pages)))
        search.text("log", example.log)
        search.folder(tmp_path / "covers")
        assert [states(events)[-1] for events in streams] == ["finished", "failed"]
        assert "[key]" in streams[1][-1].data["message"]
        assert "POST /covers" in example.log
        assert not search.hits


async def test_the_commands_of_the_page_on_it_run_it_on_the_sandbox(tmp_path: Path) -> None:
    page = HOW_TO.read_text()
    lines = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)).splitlines()
    install, box, run = [shlex.split(line) for line in lines]
    (song,) = re.findall(r"`([0-9a-f]{32})`", page)
    key, base_url = [variable.partition("=")[2] for variable in run[:2]]
    async with Sandbox() as unused:
        served = progress(tmp_path, unused)
    port = a_free_port()
    served.key, served.base_url = key, base_url.replace("8480", str(port))
    box[box.index("20")] = "0"
    sandbox = Example(tmp_path, key, "", [*MODULE, *box[1:], "--port", str(port)], port)
    async with sandbox.running(), served.running(), browser(served) as one:
        status, _, _ = await one.get("/")
        events = await one.watched(await one.ask(song))

    assert install == ["pip", "install", ".[cli]", "fastapi", "uvicorn"]
    assert run[2:] == printed_commands("fastapi_progress.py", "uvicorn")[0]
    assert (status, states(events)[-1]) == (200, "finished")
    assert len(served.saved) == 2

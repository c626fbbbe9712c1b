"""The web application on aiohttp, by its own command, in a process."""

import asyncio
import shlex
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support.canary import API_KEY, Search
from tests.support.canary_calls import word
from tests.support.commands import finish, start
from tests.support.job_engines import printed_commands
from tests.support.waiting import until
from tests.support.web_examples import FINISHED, UNSEEN, Browser, Example, browser, prepared

JSON = {"Content-Type": "application/json"}


def application(folder: Path, sandbox: Sandbox) -> Example:
    return prepared("aiohttp_app.py", "python", folder, sandbox)


@asynccontextmanager
async def serving(
    folder: Path, scenario: Scenario, key: str = "sandbox-key", **constants: object
) -> AsyncGenerator[tuple[Sandbox, Example, Browser], None]:
    async with Sandbox(scenario, api_key=key) as sandbox:
        example = application(folder, sandbox)
        example.set("aiohttp_app.py", **constants)
        async with example.running(), browser(example) as one:
            yield sandbox, example, one


def path_of(song: str) -> str:
    return f"/songs/{song}/cover"


async def ended(one: Browser, song: str) -> dict[str, Any]:
    """Ask how far a cover is until it has ended."""
    async with asyncio.timeout(100):
        while (said := await status_of(one, song))["state"] == "making":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
        return said


async def status_of(one: Browser, song: str) -> dict[str, Any]:
    async with one.session.get(one.url + path_of(song)) as it:
        assert it.status == 200
        said: dict[str, Any] = await it.json()
        return said


async def test_a_cover_is_made_by_the_printed_commands(tmp_path: Path) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, example, one):
        song = "73d6128b3523a0079df10da9471017c8"
        sandbox.add_music([song])
        address = f"{one.url}{path_of(song)}"
        begin, ask, save, _ = printed_commands("aiohttp_app.py", "curl")

        async def run(words: list[str]) -> str:
            line = [word.replace("$song", address) for word in words]
            done = await finish(await start(program=tuple(line), cwd=tmp_path))
            assert done.code == 0, done
            return done.out

        first = await run([*begin, "--silent"])
        said = await ended(one, song)
        last = await run([*ask, "--silent"])
        await run([*save, "--silent"])

        assert first == '{"state": "making"}'
        assert said == {"state": "finished", "images": 2}
        assert "finished" in last
        assert (tmp_path / "cover.png").read_bytes() == example.saved[0].read_bytes()
        assert [bill.music_task_id for bill in sandbox.journal.bills] == [song]
        assert shlex.split(f"song={address}".replace(str(example.port), "8080")) in (
            printed_commands("aiohttp_app.py", "song=")
        )


async def test_two_who_ask_at_once_and_one_after_a_lost_answer_are_one_bill(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, _, one):
        (song,) = sandbox.add_music()
        sandbox.script("submit", Fault.LOST_ANSWER)

        asked = await asyncio.gather(*(one.post(path_of(song), {}) for _ in range(5)))
        said = await ended(one, song)
        again = await one.post(path_of(song), {})

        assert {status for status, _ in asked} == {202}
        assert (again, said["state"]) == ((202, said), "finished")
        assert len(sandbox.journal.bills) == 1
        assert len(sandbox.journal.of("submit")) == 2


async def test_a_server_that_is_killed_and_started_again_finds_the_cover_when_it_is_asked(
    tmp_path: Path,
) -> None:
    async with Sandbox(UNSEEN) as sandbox:
        example = application(tmp_path, sandbox)
        (song,) = sandbox.add_music()
        async with example.running(), browser(example) as one:
            await one.post(path_of(song), {})
            await until(lambda: sandbox.journal.of("details"), every=0.01)
            await example.stop(signal.SIGKILL)
        sandbox.scenario = FINISHED

        async with example.running(), browser(example) as one:
            forgotten, _, _ = await one.get(path_of(song))
            await one.post(path_of(song), {})
            said = await ended(one, song)

        assert (forgotten, said["state"]) == (404, "finished")
        assert len(sandbox.journal.bills) == 1


async def test_a_server_that_is_stopped_finishes_what_it_makes(tmp_path: Path) -> None:
    async with serving(tmp_path, UNSEEN) as (sandbox, example, one):
        (song,) = sandbox.add_music()
        await one.post(path_of(song), {})
        await until(lambda: sandbox.journal.of("details"), every=0.01)
        ending = asyncio.create_task(example.stop())
        await until(lambda: not example.is_listening(), every=0.01)
        sandbox.scenario = FINISHED

        assert await ending == 0
        assert len(example.saved) == 2
        assert "Traceback" not in example.log


async def test_a_server_ends_soon_although_a_cover_is_not_finished(tmp_path: Path) -> None:
    async with serving(tmp_path, UNSEEN, LAST_SECONDS=0.1) as (sandbox, example, one):
        await one.post(path_of(*sandbox.add_music()), {})
        await until(lambda: sandbox.journal.of("details"), every=0.01)

        assert await example.stop() == 0
        assert "Traceback" not in example.log


async def test_a_failure_says_why_and_the_next_post_begins_anew(tmp_path: Path) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, _, one):
        await one.post(path_of("unknown"), {})
        said = await ended(one, "unknown")
        sandbox.add_music(["unknown"])

        await one.post(path_of("unknown"), {})

        assert said["state"] == "failed"
        assert "unknown" in said["message"]
        assert (await ended(one, "unknown"))["state"] == "finished"


async def test_a_failed_cover_is_told_and_submitted_again_only_by_choice(tmp_path: Path) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, _, one):
        (song,) = sandbox.add_music(fails=True)
        await one.post(path_of(song), {})
        said = await ended(one, song)
        again = await one.post(path_of(song), {})
        submits = len(sandbox.journal.of("submit"))
        choose = printed_commands("aiohttp_app.py", "curl")[-1]

        line = [word.replace("$song", one.url + path_of(song)) for word in choose]
        done = await finish(await start(program=(*line, "--silent"), cwd=tmp_path))

        assert (said["type"], again) == ("CoverFailedError", (202, said))
        assert (submits, done.out) == (1, '{"state": "making"}')
        assert (await ended(one, song))["state"] == "failed"
        assert len(sandbox.journal.of("submit")) == 2


async def test_images_that_were_deleted_are_fetched_again_when_the_song_is_asked_for(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, example, one):
        (song,) = sandbox.add_music()
        await one.post(path_of(song), {})
        await ended(one, song)
        example.saved[1].unlink()
        gone, _, _ = await one.get(f"{path_of(song)}/2")

        await one.post(path_of(song), {})
        said = await ended(one, song)
        found, _, _ = await one.get(f"{path_of(song)}/2")

        assert (gone, said["state"], found) == (404, "finished", 200)
        assert len(sandbox.journal.bills) == 1


async def test_what_is_malformed_or_comes_from_another_site_is_refused_and_nothing_is_sent(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, example, one):
        (song,) = sandbox.add_music()
        bad = [await one.post(path_of(it), {}) for it in ("a%20b", "%1b%5b31m", "x" * 129)]
        form = [
            await one.post(path_of(song), {}, headers={"Content-Type": kind})
            for kind in ("text/plain", "application/x-www-form-urlencoded", "")
        ]
        named = await one.post(path_of(song), {}, headers=JSON | {"Host": "evil.example"})

        assert [status for status, _ in bad] == [422] * 3
        assert all(said.isprintable() for _, said in bad)
        assert [status for status, _ in form] == [415] * 3
        assert named[0] == 400
        assert sandbox.journal.arrivals == []
        assert "Traceback" not in example.log


async def test_no_number_or_path_leads_to_another_file(tmp_path: Path) -> None:
    async with serving(tmp_path, FINISHED) as (sandbox, _, one):
        (song,) = sandbox.add_music()
        await one.post(path_of(song), {})
        await ended(one, song)
        ends = ("0", "3", "-1", "9" * 5_000, "1/../../x", "%2e%2e%2fserver.log", "..%5c", "%00")

        found = [(await one.get(f"{path_of(song)}/{end}"))[0] for end in ends]

        assert found == [404] * len(ends)


async def test_covers_in_memory_are_limited(tmp_path: Path) -> None:
    async with serving(tmp_path, UNSEEN, MOST_COVERS=1) as (sandbox, _, one):
        first, second = sandbox.add_music(2)
        await one.post(path_of(first), {})
        refused, _ = await one.post(path_of(second), {})
        sandbox.scenario = FINISHED
        await ended(one, first)

        accepted, _ = await one.post(path_of(second), {})

        assert (refused, accepted) == (503, 202)
        assert (await one.get(path_of(first)))[0] == 404


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_the_key_is_in_no_answer_no_log_and_no_file(
    end: signal.Signals, tmp_path: Path
) -> None:
    search = Search(API_KEY)
    scenario = attrs.evolve(FINISHED)
    async with serving(tmp_path, scenario, API_KEY) as (sandbox, example, one):
        fine, refused = sandbox.add_music(2)
        sandbox.script("submit", Fault.NONE, word(422))  # a host that shows the key
        answers = []
        for song in (fine, refused):
            answers.append(await one.post(path_of(song), {}))
            answers.append((0, await ended(one, song)))
        await example.stop(end)

        search.text("answers", repr(answers))
        search.text("log", example.log)
        search.folder(tmp_path / "covers")
        assert "[key]" in answers[-1][1]["message"]
        assert not search.hits

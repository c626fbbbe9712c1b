"""`batch` in several processes that share a ledger in a database, with one bill for each song."""

import asyncio
import contextlib
import json
import os
import platform
import signal
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from suno_cover_async import RateLimit
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.batch_commands import batch, catalog
from tests.support.commands import (
    KEY,
    finish,
    has_billed,
    line_with,
    names,
    sandbox_with,
    start,
)
from tests.support.cut_proxy import cut_proxy
from tests.support.database_commands import Database, make_ledger, without_password
from tests.support.postgres import PASSWORD, Server
from tests.support.runs import billed

QUICK = Scenario(seconds=0.02, image_size=16, rate_limit=None)
UNSEEN = Scenario(seconds=0.02, image_size=16, rate_limit=None, null_polls=1_000_000)
"""Covers that no poll shows, until the sandbox has another scenario."""

HANGING_SUBMITS = Scenario(
    seconds=0.02, image_size=16, rate_limit=None, slow=1.0, slow_seconds=600, faults_on={"submit"}
)


def shared(sandbox: Sandbox, database: Database, *more: str) -> tuple[str, ...]:
    """Return a command without the limit, which would take a minute here; one test has it."""
    own = ("--poll", "1", "--no-shared-limit")
    return batch(sandbox, "--ledger", database.url, *own, *more)


def number_after(words: str, text: str) -> int:
    return int(text.partition(words)[2].split()[0].strip(","))


async def test_the_same_command_in_three_processes_shares_one_catalog(
    database: Database, tmp_path: Path
) -> None:
    async with sandbox_with(UNSEEN) as sandbox:
        songs = sandbox.add_music(41)  # of which each run holds 20
        catalog(tmp_path, songs)
        command = shared(sandbox, database, "--concurrency", "15", "--poll", "3", "--out")
        three = [await start(*command, f"out{n}", cwd=tmp_path) for n in range(3)]
        await has_billed(sandbox, 31)  # which takes all three, since no cover ends
        sandbox.scenario = QUICK

        ended = await asyncio.gather(*map(finish, three))

        assert [one.code for one in ended] == [ExitCode.DONE] * 3, ended
        assert billed(sandbox) == Counter(songs)
        assert database.states() == {"saved": 41}
        assert sum(len(one.lines) for one in ended) == 82  # each image is one run's
        assert len({path.name for path in tmp_path.glob("out*/*.png")}) == 82
        # Each summary counts the whole ledger, and what its own run was billed for.
        bills = [number_after("billed ", one.err) for one in ended]
        assert (sum(bills), min(bills) > 0) == (41, True)
        for number, one in enumerate(ended):
            assert f"saved 41 of 41 tracks; the images of this run are in out{number}" in one.err
            assert "failed 0, left 0" in one.err
            assert "credits used" not in one.err  # the balance has what the others used


async def test_three_processes_share_the_accounts_limit_and_none_is_refused(
    database: Database, tmp_path: Path
) -> None:
    strict = Scenario(seconds=0, image_size=16, rate_limit=RateLimit(calls=20, seconds=10))
    async with sandbox_with(strict) as sandbox:
        songs = sandbox.add_music(15)
        catalog(tmp_path, songs)
        command = batch(sandbox, "--ledger", database.url, "--poll", "5", "--out")
        three = [await start(*command, f"out{n}", cwd=tmp_path) for n in range(3)]

        ended = await asyncio.gather(*map(finish, three))

        assert [one.code for one in ended] == [ExitCode.DONE] * 3, ended
        assert billed(sandbox) == Counter(songs)
        arrivals = [one for one in sandbox.journal.arrivals if one.kind != "image"]
        assert len(arrivals) > 20
        assert all(one.admitted for one in arrivals)


async def test_a_run_that_was_always_alone_says_what_it_used(
    database: Database, tmp_path: Path
) -> None:
    async with sandbox_with(QUICK) as sandbox:
        catalog(tmp_path, sandbox.add_music(1))

        ended = await finish(await start(*shared(sandbox, database), cwd=tmp_path))

        assert "credits used" in ended.err
        assert (ended.code, names(tmp_path)) == (ExitCode.DONE, ["catalog.csv", "covers"])


async def test_when_one_is_killed_the_others_finish_and_pay_nothing_twice(
    database: Database, tmp_path: Path
) -> None:
    async with sandbox_with(UNSEEN) as sandbox:
        songs = sandbox.add_music(41)  # of which each run holds 20
        catalog(tmp_path, songs)
        command = shared(sandbox, database, "--concurrency", "15", "--poll", "3")
        doomed, *others = [await start(*command, cwd=tmp_path) for _ in range(3)]
        await has_billed(sandbox, 31)
        doomed.kill()
        await finish(doomed)
        sandbox.scenario = QUICK

        ended = await asyncio.gather(*map(finish, others))

        assert [one.code for one in ended] == [ExitCode.DONE] * 2, ended
        assert billed(sandbox) == Counter(songs)
        assert database.states() == {"saved": 41}


async def test_sigterm_with_a_submit_that_hangs_gives_back_what_waits_and_ends_in_time(
    database: Database, tmp_path: Path
) -> None:
    async with sandbox_with(HANGING_SUBMITS) as sandbox:
        songs = sandbox.add_music(["a", "b", "c"])
        catalog(tmp_path, songs)
        command = shared(sandbox, database, "--json", "--concurrency", "1")
        leaving = await start(*command, cwd=tmp_path)
        await has_billed(sandbox)
        sandbox.scenario = QUICK
        leaving.send_signal(signal.SIGTERM)
        await line_with(leaving.stderr, "ending: what is not submitted is given back")
        other = await start(*command, cwd=tmp_path)
        await database.until(
            "SELECT 1 FROM suno_cover.tracks WHERE state = 'saved' HAVING count(*) = 2"
        )
        still_there = leaving.returncode is None

        ended, rest = await asyncio.gather(finish(leaving), finish(other))

        assert still_there
        assert ended.code == ExitCode.TERMINATED
        assert "possibly billed 1, failed 0, left 1" in ended.err
        assert '"possibly_billed": 1' in ended.lines[-1]
        assert "Traceback" not in ended.err
        assert rest.code == ExitCode.DONE, rest
        assert billed(sandbox) == Counter(songs)
        assert database.states() == {"saved": 3}


async def test_a_submit_without_an_answer_is_not_repeated_before_its_run_counts_as_silent(
    database: Database, tmp_path: Path
) -> None:
    database.execute("UPDATE suno_cover.ledger SET dead_after = 3600")
    async with sandbox_with(HANGING_SUBMITS) as sandbox:
        catalog(tmp_path, sandbox.add_music(["a", "b"]))
        leaving = await start(*shared(sandbox, database, "--concurrency", "1"), cwd=tmp_path)
        await has_billed(sandbox)
        leaving.send_signal(signal.SIGTERM)

        ended = await finish(leaving)

        assert ended.code == ExitCode.TERMINATED
        held = "SELECT music_task_id, state FROM suno_cover.tracks WHERE holder IS NOT NULL"
        assert database.execute(held) == [("a", "submitting")]
        assert database.execute("SELECT ended_at IS NULL, released_at FROM suno_cover.runs") == [
            (False, None)
        ]


async def test_sigterm_without_a_submit_on_the_wire_releases_all_at_once(
    database: Database, tmp_path: Path
) -> None:
    async with sandbox_with(UNSEEN) as sandbox:
        catalog(tmp_path, sandbox.add_music(4))
        leaving = await start(*shared(sandbox, database, "--concurrency", "2"), cwd=tmp_path)
        await database.until("SELECT 1 FROM suno_cover.tracks WHERE state = 'submitted' LIMIT 1")
        leaving.send_signal(signal.SIGTERM)

        ended = await finish(leaving)

        assert ended.code == ExitCode.TERMINATED
        assert "stopped by SIGTERM" in ended.err
        assert "interrupted" not in ended.err
        assert not database.execute("SELECT 1 FROM suno_cover.tracks WHERE holder IS NOT NULL")
        assert not database.execute("SELECT 1 FROM suno_cover.runs WHERE released_at IS NULL")


@contextlib.contextmanager
def frozen(server: Server) -> Generator[None]:
    """Stop all processes of a server, which then answers nothing, and refuses nothing."""
    postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGSTOP)  # it begins no more processes
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    processes = [*map(int, children), postmaster]
    try:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):  # its client has left
                os.kill(process, signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


async def test_sigterm_ends_a_run_whose_database_answers_nothing(
    own_postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with own_postgres.database() as name:
        url = own_postgres.url(name)
        database = Database(own_postgres, without_password(url))
        await make_ledger(database, url)
        async with sandbox_with(UNSEEN) as sandbox:
            catalog(tmp_path, sandbox.add_music(2))
            leaving = await start(*shared(sandbox, database), cwd=tmp_path)
            await database.until("SELECT 1 FROM suno_cover.tracks WHERE state = 'submitted'")
            with frozen(own_postgres):
                leaving.send_signal(signal.SIGTERM)

                ended = await finish(leaving)

            assert ended.code == ExitCode.TERMINATED
            assert "Traceback" not in ended.err


async def test_ctrl_c_drains_one_run_while_another_goes_on(
    database: Database, tmp_path: Path
) -> None:
    async with sandbox_with(UNSEEN) as sandbox:
        songs = sandbox.add_music(22)  # of which one run holds 20
        catalog(tmp_path, songs)
        command = shared(sandbox, database, "--concurrency", "1")
        draining = await start(*command, cwd=tmp_path)
        await has_billed(sandbox)
        other = await start(*command, cwd=tmp_path)
        await has_billed(sandbox, 2)
        draining.send_signal(signal.SIGINT)
        said = await line_with(draining.stderr, "finishing")
        sandbox.scenario = QUICK

        ended, rest = await asyncio.gather(finish(draining), finish(other))

        assert said.startswith("finishing 1 cover that is paid for")  # and not the other's
        left = number_after("left ", ended.err)
        assert f"1 other run goes on with the {left} tracks left; the same command" in ended.err
        assert (ended.code, number_after("billed ", ended.err)) == (ExitCode.INTERRUPTED, 1)
        assert rest.code == ExitCode.DONE, rest
        assert "saved 22 of 22 tracks" in rest.err
        assert billed(sandbox) == Counter(songs)
        assert len(ended.lines) >= 2  # it saved what it had paid for


@pytest.mark.parametrize(
    ("more", "reason"), [((), "works on another catalog"), (("--retry-failed",), "at work")]
)
async def test_while_others_work_another_catalog_and_retry_failed_are_refused(
    more: tuple[str, ...], reason: str, database: Database, tmp_path: Path
) -> None:
    async with sandbox_with(UNSEEN) as sandbox:
        songs = sandbox.add_music(3)
        catalog(tmp_path, songs[:2])
        first = await start(*shared(sandbox, database), cwd=tmp_path)
        await has_billed(sandbox, 2)
        if not more:
            catalog(tmp_path, songs)

        refused = await finish(await start(*shared(sandbox, database, *more), cwd=tmp_path))
        first.send_signal(signal.SIGTERM)
        await finish(first)

        assert refused.code == ExitCode.FAILED
        assert reason in refused.err
        assert len(sandbox.journal.bills) == 2
        assert database.execute("SELECT count(*) FROM suno_cover.runs") == [(1,)]


async def test_a_dry_run_tells_who_is_at_work(database: Database, tmp_path: Path) -> None:
    async with sandbox_with(UNSEEN) as sandbox:
        catalog(tmp_path, sandbox.add_music(3))
        command = shared(sandbox, database)
        first = await start(*command, "--concurrency", "1", cwd=tmp_path)
        await has_billed(sandbox)

        dry = await finish(await start(*command, "--dry-run", cwd=tmp_path))
        plain = await finish(await start(*command, "--dry-run", "--json", cwd=tmp_path))
        first.send_signal(signal.SIGTERM)
        await finish(first)

        who = f"1 other run is at work with this ledger, on {platform.node()}"
        assert f"{who}: these numbers are what is left for all together" in dry.out
        assert json.loads(plain.out)["other_hosts"] == [platform.node()]


async def test_the_last_lines_do_not_count_what_other_runs_are_submitting(
    database: Database, tmp_path: Path
) -> None:
    async with sandbox_with(HANGING_SUBMITS) as sandbox:
        catalog(tmp_path, sandbox.add_music(2))
        hanging = await start(*shared(sandbox, database, "--concurrency", "1"), cwd=tmp_path)
        await has_billed(sandbox)
        sandbox.scenario = UNSEEN
        database.execute(  # or the first run holds the second song too
            "UPDATE suno_cover.tracks SET holder = NULL WHERE state = 'waiting'"
        )
        ending = await start(*shared(sandbox, database), cwd=tmp_path)
        await has_billed(sandbox, 2)
        ending.send_signal(signal.SIGTERM)

        ended = await finish(ending)
        hanging.kill()
        await finish(hanging)

        assert "possibly billed 0, failed 0, left 2" in ended.err
        assert "1 other run goes on with the 2 tracks left" in ended.err


async def test_a_server_that_restarts_is_one_line_and_one_when_it_is_back(
    own_postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with own_postgres.database() as name:
        url = own_postgres.url(name)
        database = Database(own_postgres, without_password(url))
        await make_ledger(database, url)
        async with sandbox_with(UNSEEN) as sandbox:
            catalog(tmp_path, sandbox.add_music(2))
            command = batch(sandbox, "--ledger", database.url, "--poll", "1")
            working = await start(*command, cwd=tmp_path)  # the limit is in the database too
            await has_billed(sandbox, 2)
            await asyncio.to_thread(own_postgres.stop)
            gone = await line_with(working.stderr, "does not answer")
            await asyncio.to_thread(own_postgres.start)
            back = await line_with(working.stderr, "the database answers again")
            sandbox.scenario = QUICK

            ended = await finish(working)

        _, _, words = gone.strip().partition(" WARNING ")
        assert words.startswith(f"the database {database.url} does not answer (")
        assert words.endswith("); check the server; trying again for 60 s")
        typical = words.replace(database.url, "postgresql://cover@db.example.com/covers")
        assert len(f"12:00:00 WARNING {typical}") <= 160  # two lines of a narrow terminal
        assert back.strip().endswith("WARNING the database answers again")
        assert "the database" not in ended.err
        assert ended.code == ExitCode.DONE


async def test_ctrl_c_while_a_batch_waits_for_the_server_to_open_its_ledger_ends_it(
    database: Database, postgres_server: Server, tmp_path: Path
) -> None:
    async with sandbox_with(QUICK) as sandbox:
        catalog(tmp_path, sandbox.add_music(2))
        with cut_proxy(postgres_server.port) as proxy:
            through = database.url.replace(f":{postgres_server.port}/", f":{proxy.port}/")
            proxy.cut_at(b"DELETE FROM commits", "between and refuse")
            away = Database(postgres_server, through)
            opening = await start(*shared(sandbox, away), cwd=tmp_path)
            await line_with(opening.stderr, "trying again for 60 s")

            opening.send_signal(signal.SIGINT)
            ended = await finish(opening)

        assert ended.code == ExitCode.INTERRUPTED
        assert "answers again" not in ended.err
        assert not sandbox.journal.arrivals


async def test_a_run_that_is_released_stops_and_says_so_and_another_finishes(
    database: Database, tmp_path: Path
) -> None:
    async with sandbox_with(UNSEEN) as sandbox:
        songs = sandbox.add_music(2)
        catalog(tmp_path, songs)
        released = await start(*shared(sandbox, database), cwd=tmp_path)
        await has_billed(sandbox, 2)
        [(number,)] = database.execute("SELECT number FROM suno_cover.runs")

        given_up = await finish(
            await start("ledger", "release", database.url, str(number), cwd=tmp_path)
        )
        ended = await finish(released)
        sandbox.scenario = QUICK
        rest = await finish(await start(*shared(sandbox, database), cwd=tmp_path))

        assert given_up.code == ExitCode.DONE
        assert f"run {number} is given up: other runs take its tracks" in given_up.err
        assert ended.code == ExitCode.FAILED
        assert f"run {number} was given up for dead" in ended.err
        assert rest.code == ExitCode.DONE
        assert billed(sandbox) == Counter(songs)


async def test_password_and_key_are_in_no_output_row_or_list_of_sessions(
    database: Database, tmp_path: Path
) -> None:
    seen: list[str] = []

    def watch() -> None:
        activity = "SELECT a::text FROM pg_stat_activity a WHERE datname = current_database()"
        seen.extend(row for (row,) in database.execute(activity))
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                seen.append(line.read_text(errors="replace"))

    async with sandbox_with(UNSEEN) as sandbox:
        catalog(tmp_path, sandbox.add_music(2))
        process = await start(*shared(sandbox, database, "-vv", "--json"), cwd=tmp_path)
        await has_billed(sandbox, 2)
        shows = [("show",), ("export", "--format", "csv"), ("init",)]
        for what, *more in shows:
            command = await start("ledger", what, database.url, *more, cwd=tmp_path)
            await asyncio.to_thread(watch)
            ended = await finish(command)
            assert ended.code == ExitCode.DONE
            seen += [ended.out, ended.err]
        database.server.drop_connections(database.name)  # errors of the driver, in the log
        process.send_signal(signal.SIGTERM)
        ended = await finish(process)
        seen += [ended.out, ended.err, database.rows()]

    assert "suno-cover run" in "".join(seen)
    assert PASSWORD not in "".join(seen)
    assert KEY not in "".join(seen)

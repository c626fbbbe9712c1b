"""Every command that takes a ledger takes the URL of a database: what it does, and refuses."""

import json
import shlex
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from suno_cover_async import CoverTask, Decision, Ledger, Track, TrackState, plan_catalog
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.review import review_app
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.batch_commands import batch, catalog, command_of
from tests.support.commands import (
    Run,
    environment,
    finish,
    has_billed,
    line_with,
    needs_posix,
    on_a_terminal,
    sandbox_with,
    start,
)
from tests.support.database_commands import Database, without_password
from tests.support.ledger_steps import details
from tests.support.postgres import PASSWORD, Server
from tests.support.runs import billed
from tests.support.talking import talk

SECRET = "postgresql://cover:s3cret-canary@127.0.0.1:1/songs"
WITHOUT_AN_ANSWER = "postgresql://cover@127.0.0.1:1/songs"


async def covered(url: str, folder: Path) -> None:
    """Save a cover with two images in a ledger, with the first of them chosen."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"Song a-{number}.png" for number in (1, 2)]
    for file in files:
        Image.new("RGB", (16, 16), "teal").save(file)
    async with Ledger(url) as ledger, ledger.lease("account"):
        await ledger.take_in([Track("a", title="Song")])
        [entry] = await ledger.claim([TrackState.WAITING], 9)
        await ledger.submitted(entry, CoverTask(cover_task_id="c1", music_task_id="a"))
        await ledger.covered(entry, details())
        await ledger.claim_unsaved(1)
        await ledger.saved(entry, files)
    async with Ledger(url).choices() as choices:
        await choices.choose(entry.number, Decision.IMAGE, 1, revision=0, by="Ann")


@pytest.mark.parametrize(
    "words",
    [
        f"batch catalog.csv --ledger {SECRET} --out made",
        f"batch catalog.csv --ledger={SECRET} --dry-run --out made",
        f"batch {SECRET} --out made",
        f"batch catalog.csv --ledger {SECRET[:-6]}?sslpassword=s3cret-canary --out made",
        f"ledger show {SECRET} --limit none",
        f"ledger export {SECRET}",
        f"ledger forget-account {SECRET}",
        f"ledger init {SECRET}",
        f"ledger release {SECRET} 1 --yes",
        f"ledger {SECRET}",
        f"review {SECRET}",
        f"apply {SECRET} --into made",
    ],
)
async def test_a_password_in_an_argument_is_refused_before_anything_else_and_not_repeated(
    words: str, run: Run, tmp_path: Path
) -> None:
    ended = await run(*words.split())

    assert ended.code == ExitCode.USAGE
    assert "~/.pgpass, PGPASSWORD or a service" in ended.err
    assert "treat this one as seen by others" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert "s3cret" not in ended.out + ended.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["postgresql://u:s3cret@x@h/db", "postgresql+psycopg://u:s3cret@h"])
async def test_what_is_no_url_is_refused_in_one_sentence_and_not_repeated(
    url: str, run: Run, tmp_path: Path
) -> None:
    shown = await run("ledger", "show", url)
    ran = await run("batch", "catalog.csv", "--ledger", url)

    for ended in (shown, ran):
        assert ended.code == ExitCode.USAGE
        assert "it is no URL of a PostgreSQL database, such as" in ended.err
        assert "s3cret" not in ended.out + ended.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["postgresq://me:s3cret@h/songs", "mysql://a:s3cret@b"])
async def test_a_mistyped_url_is_not_taken_for_a_file(url: str, run: Run, tmp_path: Path) -> None:
    catalog(tmp_path, ["a"])
    shown = await run("ledger", "show", url)
    ran = await run("batch", "catalog.csv", "--ledger", url)

    for ended in (shown, ran):
        assert ended.code == ExitCode.USAGE
        assert "not a URL of PostgreSQL (postgresql://user@host/database), and no path" in ended.err
        assert "s3cret" not in ended.out + ended.err


COMMANDS = [
    "ledger show",
    "ledger export --format csv",
    "ledger forget-account",
    "ledger init",
    "ledger release --yes",
    "review --port 0",
    "apply --into art",
    "batch catalog.csv --ledger",
    "batch catalog.csv --dry-run --ledger",
]


def with_url(command: str, url: str) -> list[str]:
    words = command.split()
    if words[-1] == "--ledger":
        return [*words, url]
    return [*words, url, *["1"] * ("release" in words)]


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_server_that_is_not_there_is_one_sentence(
    command: str, run: Run, tmp_path: Path
) -> None:
    catalog(tmp_path, ["a"])

    ended = await run(*with_url(command, WITHOUT_AN_ANSWER))

    assert ended.code == ExitCode.FAILED
    assert ended.err.startswith(f"Error: the ledger {WITHOUT_AN_ANSWER} cannot be used (")
    assert "Connection refused. Is the server running" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("command", [one for one in COMMANDS if "init" not in one])
async def test_where_no_ledger_is_the_command_that_makes_one_is_named(
    command: str, run: Run, empty_database: Database, tmp_path: Path
) -> None:
    catalog(tmp_path, ["a"])
    url = f"{empty_database.url}?schema=label_a&connect_timeout=9"

    ended = await run(*with_url(command, url))

    assert ended.code == ExitCode.FAILED
    shown = f"{empty_database.url}?schema=label_a"
    assert f"{shown} has no ledger yet: run `suno-cover ledger init '{shown}'` once" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_newer_version_is_refused_and_nothing_is_changed(
    command: str, run: Run, database: Database, tmp_path: Path
) -> None:
    catalog(tmp_path, ["a"])
    database.execute("UPDATE suno_cover.ledger SET version = 999")
    before = database.rows()

    ended = await run(*with_url(command, database.url))

    assert ended.code == ExitCode.FAILED
    assert "has version 999 and this software knows" in ended.err
    assert "nothing was changed" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert database.rows() == before


@needs_posix
async def test_a_missing_extra_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ModuleNotFoundError('not here', name='psycopg')")
    catalog(tmp_path, ["a"])
    env = environment(PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[3]}")
    for command in COMMANDS:
        process = await start(*with_url(command, WITHOUT_AN_ANSWER), cwd=tmp_path, env=env)

        ended = await finish(process)

        assert ended.code == ExitCode.NOT_INSTALLED
        needed = "Error: PostgreSQL needs psycopg: pip install 'suno-cover-async[postgres]'\n"
        assert ended.err == needed


async def test_init_makes_the_tables_once_and_writes_what_a_role_needs(
    run: Run, empty_database: Database
) -> None:
    first = await run("ledger", "init", empty_database.url)
    second = await run("ledger", "init", empty_database.url)
    other = await run("ledger", "init", f"{empty_database.url}?schema=label_a")

    assert [one.code for one in (first, second, other)] == [ExitCode.DONE] * 3
    assert f"made the tables of a ledger, version 1, in {empty_database.url}" in first.err
    assert "nothing to do: the tables of a ledger, version 1, are there already" in second.err
    assert (
        first.lines
        == second.lines
        == [
            'GRANT USAGE ON SCHEMA "suno_cover" TO ROLE;',
            "GRANT SELECT, INSERT, UPDATE, DELETE",
            'ON ALL TABLES IN SCHEMA "suno_cover" TO ROLE;',
        ]
    )
    assert '"label_a"' in other.lines[0]


async def test_a_file_needs_no_init_and_has_no_runs_to_release(run: Run, tmp_path: Path) -> None:
    async with Ledger(tmp_path / "covers.db"):
        pass

    made = await run("ledger", "init", "covers.db")
    released = await run("ledger", "release", "covers.db", "1")

    assert (made.code, released.code) == (ExitCode.FAILED, ExitCode.FAILED)
    assert "is a file, which is made when a run opens it" in made.err
    assert "no run 1 is at work with the ledger" in released.err


async def test_a_role_with_no_more_rights_than_init_writes_runs_a_batch_and_all_else(
    run: Run,
    database: Database,
    postgres_server: Server,
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    role = f"minimal_{database.name[-8:]}"
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    url = without_password(postgres_server.url(database.name, role=role))
    try:
        granted = await run("ledger", "init", database.url)
        database.execute("\n".join(granted.lines).replace("ROLE", role))
        songs = sandbox.add_music(2)
        catalog(tmp_path, songs)

        ran = await run(*batch(sandbox, "--ledger", url))
        shown = await run("ledger", "show", url)
        applied = await run("apply", url, "--into", "art", "--default", "first")
        cleared = await run("ledger", "forget-account", url)
        unable = await run("ledger", "init", f"{url}?schema=another")

        assert [one.code for one in (ran, shown, applied, cleared)] == [ExitCode.DONE] * 4
        assert "saved 2 of 2 tracks" in ran.err
        assert len(applied.lines) == 2
        assert unable.code == ExitCode.FAILED
        assert "permission denied for database" in unable.err
    finally:
        database.execute(f"DROP OWNED BY {role}")
        database.execute(f"DROP ROLE {role}")


async def test_a_batch_says_the_commands_that_go_on_with_the_url(
    run: Run, database: Database, sandbox: Sandbox, tmp_path: Path
) -> None:
    url = f"{database.url}?connect_timeout=9&application_name=x"
    catalog(tmp_path, sandbox.add_music(2))

    tried = await run(*batch(sandbox, "--ledger", url, "--max-covers", "1"))
    again = await run(*command_of(tried.err, "batch"))

    assert f"--ledger {shlex.quote(url)}" in tried.err
    assert (tried.code, again.code) == (ExitCode.DONE, ExitCode.DONE)
    assert command_of(again.err, "review") == ["review", url]
    assert set(billed(sandbox).values()) == {1}


async def test_a_dry_run_counts_what_a_database_has_and_changes_nothing(
    run: Run, database: Database, database_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(3))
    await run(*batch(sandbox, "--ledger", database.url, "--max-covers", "1"))
    before, sent = database.rows(), len(sandbox.journal.arrivals)

    alone = ("--no-shared-limit", "--dry-run", "--json")  # asking for the balance takes a permit
    dry = await run(*batch(sandbox, "--ledger", database.url, *alone))
    plan = await plan_catalog(["x", "y"], ledger=database_url)

    counted = json.loads(dry.out)
    assert dry.code == ExitCode.DONE
    assert (counted["new"], counted["done"], counted["total"]) == (2, 1, 3)
    assert (plan.new, plan.done, plan.dropped) == (2, 1, 2)
    assert database.rows() == before
    assert {one.kind for one in sandbox.journal.arrivals[sent:]} <= {"credits"}


async def test_show_tells_who_holds_what_since_when_and_when_each_was_heard_of(
    database: Database, tmp_path: Path
) -> None:
    database.execute("UPDATE suno_cover.ledger SET dead_after = 3600")
    async with sandbox_with(Scenario(seconds=600, rate_limit=None)) as sandbox:
        catalog(tmp_path, sandbox.add_music(3))
        process = await start(*batch(sandbox, "--ledger", database.url), cwd=tmp_path)
        await has_billed(sandbox, 3)
        await database.until("SELECT 1 FROM suno_cover.runs WHERE submitted = 3")

        shown = await finish(await start("ledger", "show", database.url))
        screen = await on_a_terminal(
            "ledger", "show", database.url, cwd=tmp_path, COLUMNS="200", LINES="40"
        )
        process.kill()
        await finish(process)

    [(number, host)] = database.execute("SELECT number, host FROM suno_cover.runs")
    [holder] = [line.split("\t") for line in shown.lines if line.startswith("holder\t")]
    _, run_number, on, pid, began, ended, heard, tracks, since, submitted, rate = holder
    assert [run_number, on, pid, ended] == [str(number), host, str(process.pid), "False"]
    assert (tracks, submitted) == ("3", "3")
    assert all(moment.startswith("20") for moment in (began, heard, since))
    assert float(rate) >= 0
    assert f"run {number} on {host}, process {process.pid}: holds 3 tracks since 20" in screen
    assert "last heard of 20" in screen


@needs_posix
async def test_release_says_what_happens_and_asks_first_on_a_terminal(
    database: Database, tmp_path: Path
) -> None:
    database.execute(
        "INSERT INTO suno_cover.runs (account, host, process, began_at) VALUES ('x', 'far', 7, 0)"
    )
    [(number,)] = database.execute("SELECT number FROM suno_cover.runs")
    at_work = "SELECT 1 FROM suno_cover.runs WHERE released_at IS NULL"
    words = ("ledger", "release", database.url, str(number))

    refused = await talk(*words, cwd=tmp_path, typed=b"n\n")
    still = database.execute(at_work)
    agreed = await talk(*words, cwd=tmp_path, typed=b"y\n")
    gone = await finish(await start(*words))

    assert f"run {number} on far, process 7: holds no track" in refused.drawn
    assert "others take its tracks at once" in refused.drawn
    assert "nothing was changed" in refused.drawn
    assert (refused.code, agreed.code) == (ExitCode.INTERRUPTED, ExitCode.DONE)
    assert still
    assert f"run {number} is given up" in agreed.drawn
    assert not database.execute(at_work)
    assert gone.code == ExitCode.FAILED
    assert f"no run {number} is at work with the ledger {database.url}" in gone.err


async def test_export_and_forget_account_and_apply_work_over_a_url(
    run: Run, database: Database, tmp_path: Path
) -> None:
    await covered(database.url, tmp_path / "covers")

    exported = await run("ledger", "export", database.url, "--out", "all.jsonl")
    cleared = await run("ledger", "forget-account", database.url)
    applied = await run("apply", database.url, "--into", "art")

    assert [one.code for one in (exported, cleared, applied)] == [ExitCode.DONE] * 3
    [row] = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert (row["state"], row["choice"], row["decided_by"]) == ("saved", "image", "Ann")
    assert not database.execute("SELECT 1 FROM suno_cover.tracks WHERE account IS NOT NULL")
    assert "all its tracks belong to no account now" in cleared.err
    assert applied.lines == ["art/Song a.png"]


async def test_images_that_another_host_saved_are_named_with_that_host(
    run: Run, database: Database, tmp_path: Path
) -> None:
    await covered(database.url, tmp_path / "covers")
    database.execute("UPDATE suno_cover.tracks SET saved_on = 'studio-7'")
    for file in (tmp_path / "covers").iterdir():
        file.unlink()

    applied = await run("apply", database.url, "--into", "art")

    assert applied.code == ExitCode.FAILED
    assert "it was saved on studio-7: run this command there, or copy its folder here" in (
        applied.err
    )


@needs_posix
async def test_review_serves_a_ledger_in_a_database_and_says_how_to_apply_it(
    database: Database, tmp_path: Path
) -> None:
    await covered(database.url, tmp_path / "covers")
    process = await start("review", database.url, "--port", "0", cwd=tmp_path)
    await line_with(process.stdout, "http://127.0.0.1:")
    process.terminate()

    ended = await finish(process)

    assert ended.code == ExitCode.DONE
    assert command_of(ended.err, "apply") == ["apply", database.url, "--into", "artwork"]


async def test_the_review_application_takes_a_url_and_names_the_host_that_saved_an_image(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    await covered(database.url, tmp_path / "covers")
    database.execute("UPDATE suno_cover.tracks SET saved_on = 'studio-7'")
    (tmp_path / "covers" / "Song a-2.png").unlink()

    async with TestClient(TestServer(review_app(database_url))) as page:
        summary = await (await page.get("/api/summary")).json()
        [pair] = (await (await page.get("/api/pairs")).json())["pairs"]

    there, gone = (image["problem"] for image in pair["images"])
    assert there is None
    assert "it was saved on studio-7: run this command there, or copy its folder here" in gone
    assert summary["ledger"] == database.url
    assert PASSWORD not in json.dumps(summary)

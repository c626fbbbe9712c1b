"""No command shows a secret, and no file it writes holds one."""

import asyncio
import shlex
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path

import attrs
import click
import pytest

from suno_cover_async import (
    CallbackReceiver,
)
from suno_cover_async.artwork import ContactSheet
from suno_cover_async.cli.app import commands
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Reply, Sandbox, Scenario
from tests.support.canary import (
    API_KEY,
    HMAC_KEY,
    SECRET,
    Search,
    environment,
)
from tests.support.canary_calls import (
    FAILED_COVER,
    FREE,
    raised,
    word,
)
from tests.support.commands import (
    Ended,
    Run,
    a_free_port,
    finish,
    has_billed,
    needs_posix,
    start,
    waits_for_details,
)

DEVELOPER = (sys.executable, "-X", "dev", "-m", "suno_cover_async")


async def commanded(
    search: Search,
    *arguments: str,
    crash: Awaitable[object] | None = None,
    number: signal.Signals = signal.SIGABRT,
) -> Ended:
    """Run a command to its end, or to a crash when that is awaited; search all it shows."""
    process = await start(*arguments, program=DEVELOPER, env=environment())

    async def watch() -> None:
        while process.returncode is None:
            search.command_lines(process.pid)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        if crash is not None:
            await crash
            process.send_signal(number)  # after SIGABRT the developer's mode then shows all stacks
        ended = await finish(process)
    search.text(f"output of {arguments[0]}", ended.out)
    search.text(f"errors of {arguments[0]}", ended.err)
    return ended


@needs_posix
async def test_a_catalog_that_crashes_and_goes_on_leaves_no_secret_anywhere(
    run: Run, tmp_path: Path
) -> None:
    search = Search(API_KEY, SECRET, HMAC_KEY)
    stuck = Scenario(seconds=0.01, image_size=16, slow=1.0, slow_seconds=60, faults_on={"details"})
    async with Sandbox(stuck, api_key=API_KEY) as sandbox:
        titles = ["=cmd()", "\x1b[31mred", "<b>", "\u202etxt", "{} %s", "to be refused"]
        songs = sandbox.add_music(len(titles))
        rows = [f'{song},"{title}"' for song, title in zip(songs, titles, strict=True)]
        catalog = tmp_path / "catalog.csv"
        catalog.write_text("\n".join(["music_task_id,title", *rows[:-1]]))
        batch = ("batch", "catalog.csv", "--base-url", sandbox.url, "--poll", "0.05", "-vv")
        crashed = await commanded(search, *batch, crash=has_billed(sandbox, 3))
        search.folder(tmp_path)
        sandbox.scenario = FREE
        catalog.write_text("\n".join(["music_task_id,title", *rows]))
        sandbox.script("submit", word(422))
        sandbox.script("details", word(200, {**FAILED_COVER, "taskId": API_KEY}))
        sandbox.script("image", Reply(status=302, headers={"Location": f"{sandbox.url}/s/x"}))
        again = await commanded(search, *batch)
        shown = await run("ledger", "show", "covers.db")
        for kind in ("csv", "jsonl"):
            export = ("ledger", "export", "covers.db", "--format", kind)
            assert (await run(*export, "--out", f"export.{kind}")).code == ExitCode.DONE
    ContactSheet([("all", sorted(tmp_path.rglob("*.png")))]).save(tmp_path / "sheet.png")

    search.text("ledger show", shown.out + shown.err)
    search.folder(tmp_path)
    assert "Fatal Python error: Aborted" in crashed.err
    assert again.code == ExitCode.FAILED
    assert "[key]" in shown.out + shown.err + (tmp_path / "export.csv").read_text()
    assert len(list(tmp_path.rglob("*.png"))) > 2
    assert not search.hits


@needs_posix
async def test_no_command_shows_a_secret(tmp_path: Path) -> None:
    search = Search(API_KEY, SECRET, HMAC_KEY)
    scenario = attrs.evolve(FREE, seconds=0.02, hmac_key=HMAC_KEY)
    async with Sandbox(scenario, api_key=API_KEY) as sandbox:
        songs, port = sandbox.add_music(2), a_free_port()
        place = ("--base-url", sandbox.url, "-vv")
        url = f"http://127.0.0.1:{port}/suno"
        minted = CallbackReceiver(public_url=url, secret=SECRET)
        search.tokens(minted, *songs)
        sandbox.script("credits", word(401), Reply(body=f"<{API_KEY}>".encode()))
        door = ("--listen", f"127.0.0.1:{port}", "--public-url", url)
        out = ("--out", str(tmp_path / "art"), "--json")
        ended = await asyncio.gather(
            commanded(search, "generate", *songs, *place, *door, *out),
            commanded(search, "credits", *place),
        )
        called = list(sandbox.journal.callbacks)

    assert [one.code for one in ended] == [ExitCode.DONE, ExitCode.KEY]
    assert {delivery.status for delivery in called} == {200}
    assert not search.hits


@needs_posix
@pytest.mark.parametrize("level", ["debug", "loud"])
async def test_no_log_of_requests_and_no_command_that_continues_shows_a_secret(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_LOG", level)
    search = Search(API_KEY, SECRET, HMAC_KEY)
    async with Sandbox(attrs.evolve(FREE, seconds=0.3), api_key=API_KEY) as sandbox:
        songs = sandbox.add_music(2)
        monkeypatch.setenv("SUNO_BASE_URL", sandbox.url)
        sandbox.script("credits", Reply(body=f"<{API_KEY}>".encode()), word(430))
        out = ("--out", str(tmp_path), "--poll", "0.05")
        named = ("--title", "Song", "--name", "front")
        saved = await commanded(search, "generate", songs[0], *named, *out)
        late = await commanded(search, "generate", songs[1], "--timeout", "0.1", *out)
        sandbox.scenario = attrs.evolve(FREE, seconds=3600)
        program = (
            "from suno_cover_async import SunoCoverClient; import asyncio;"
            "asyncio.run(SunoCoverClient().credits())"
        )
        (song,) = sandbox.add_music(1)
        await commanded(search, "generate", song, "--timeout", "0.1", *out)
        asked = len(sandbox.journal.of("details"))
        tasks = [bill.cover_task_id for bill in sandbox.journal.bills]
        stopped = await commanded(
            *(search, "details", tasks[-1] if tasks else "x", "--wait", "-vv", *out),
            crash=None if level == "loud" else waits_for_details(sandbox, asked + 1),
            number=signal.SIGINT,
        )
        process = await start(program=(sys.executable, "-c", program), env=environment())
        sdk = await finish(process)

    search.text("the SDK", sdk.out + sdk.err)
    search.folder(tmp_path)
    known = level == "debug"
    codes = [ExitCode.DONE, ExitCode.TIMED_OUT, ExitCode.INTERRUPTED]
    assert [one.code for one in (saved, late, stopped)] == (codes if known else [2, 2, 2])
    assert ("INFO GET" in sdk.err) is known
    assert ("goes on at the host" in stopped.err) is known
    assert not search.hits


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (f"{API_KEY}\t", "credits"),
        (f"{API_KEY}\n\n", "credits --key-file key"),
        (f"{API_KEY}\udcff", "details cover --key-file key"),
        (API_KEY, "details cover --timeout 5 --base-url ftp://x --key-file key"),
        (API_KEY, "generate song --listen 127.0.0.1:1 --public-url nowhere"),
    ],
    ids=lambda text: text if API_KEY not in text else "odd",
)
def test_a_wrong_command_leaves_no_secret_in_a_frame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, odd: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_bytes(odd.encode(errors="surrogateescape"))
    own = {"SUNO_API_KEY": odd, "SUNO_CALLBACK_SECRET": SECRET, "SUNO_CALLBACK_HMAC_KEY": HMAC_KEY}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    search = Search(API_KEY, SECRET, HMAC_KEY)

    error = raised(lambda: commands.main(words.split(), "suno-cover", standalone_mode=False))
    search.error(words, error)

    assert isinstance(error, click.ClickException)
    assert not search.hits


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("credits --ho", "plain,--host"),
        (f"credits --api-key {shlex.quote(API_KEY)} --ho", "plain,--host"),
        (f"credits --api-key {shlex.quote(API_KEY)}", ""),
        (f"batch --proxy http://me:{shlex.quote(SECRET)}@p --ledger postgresql://a --js", "--json"),
        (f"ledger show postgresql://me:{shlex.quote(SECRET)}@db/covers --st", "plain,--state"),
    ],
)
async def test_completion_shows_no_secret_and_begins_nothing(
    line: str, shown: str, tmp_path: Path
) -> None:
    search = Search(API_KEY, SECRET, HMAC_KEY)
    asked = {
        "_SUNO_COVER_COMPLETE": "bash_complete",
        "COMP_WORDS": f"suno-cover {line}",
        "COMP_CWORD": str(len(shlex.split(line))),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }

    process = await start(program=DEVELOPER, env=environment() | asked, cwd=tmp_path)
    ended = await finish(process)

    search.text("completion", ended.out)
    search.text("errors of completion", ended.err)
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert shown in ended.out
    assert list(tmp_path.iterdir()) == []
    assert not search.hits


@pytest.mark.parametrize(
    "words",
    [
        ("credits", "{}"),
        ("{}",),
        ("credits", "--host", "{}"),
        ("credits", "--fake-ip", "{}"),
        ("credits", "--fake-ip={}"),
        ("batch", "{}"),
        ("generate", "Bearer {}"),
        ("details", "{}"),
        ("ledger", "show", "{}.db"),
    ],
)
async def test_a_key_in_the_words_of_a_command_is_refused_and_not_shown(
    words: tuple[str, ...], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", API_KEY)
    search = Search(API_KEY)

    ended = await run(*(word.replace("{}", API_KEY) for word in words))

    search.text("output", ended.out + ended.err)
    search.folder(tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "SUNO_API_KEY (not shown)" in ended.err
    assert not search.hits


PLAIN_KEY = "sk-Canary-of-letters-and-digits-4f1c"

CATALOGS = {
    "a row": ("catalog.csv", "music_task_id,title\nsong,a title\n{},another\n"),
    "a line": ("catalog.txt", "song\n{}\n"),
    "a header": ("catalog.csv", "Authorization: Bearer {}\n"),
    "words": ("catalog.txt", "song\nBearer {}\n"),
    "JSON": ("catalog.jsonl", '{"music_task_id": "{}"}\n'),
}


@pytest.mark.parametrize("kind", CATALOGS)
@pytest.mark.parametrize("key", [API_KEY.replace('"', ""), PLAIN_KEY])
async def test_a_key_in_a_catalog_is_in_no_output_and_no_ledger(
    kind: str, key: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", key)
    name, text = CATALOGS[kind]
    (tmp_path / name).write_text(text.replace("{}", key))
    search = Search(key)
    async with Sandbox(FREE, api_key=key) as sandbox:
        batch = ("batch", name, "--base-url", sandbox.url, "--no-shared-limit", "-vv")
        for more in ((), ("--skip-bad",), ("--dry-run",)):
            ended = await run(*batch, *more)
            search.text("output", ended.out + ended.err)
            if not more:
                assert ended.code == ExitCode.USAGE
                assert "[key]" in ended.err or "is the API key (not shown)" in ended.err
        (tmp_path / name).unlink()
        search.folder(tmp_path)

        assert [one.music_task_id for one in sandbox.journal.of("submit")] in ([], ["song"])
    assert not search.hits


@pytest.mark.parametrize("words", ["generate {}", "generate Bearer={}", "details {}"])
async def test_a_key_of_a_file_that_is_given_as_an_id_is_not_shown(
    words: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUNO_API_KEY")
    (tmp_path / "key").write_text(API_KEY)
    search = Search(API_KEY)
    async with Sandbox(FREE, api_key=API_KEY) as sandbox:
        place = ("--base-url", sandbox.url, "--no-shared-limit", "--key-file", "key", "-vv")
        ended = await run(*words.replace("{}", API_KEY).split(), *place)

        assert sandbox.journal.arrivals == []
    search.text("output", ended.out + ended.err)
    assert ended.code == ExitCode.USAGE
    assert "is the API key (not shown)" in ended.err
    assert not search.hits

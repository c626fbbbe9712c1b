"""Text of others on its way out: titles, columns and a server's words do nothing to whoever reads
them, be it on a terminal, in a pipe, a log, a spreadsheet, an error or a file's name."""

import ast
import asyncio
import csv
import io
import itertools
import json
import logging
import os
import re
import sys
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import suno_cover_async
from suno_cover_async import (
    CoverDetails,
    CoverStatus,
    CoverTask,
    Ledger,
    ServerError,
    SunoCoverClient,
    SunoCoverError,
    Track,
    TrackState,
)
from suno_cover_async.cli.app import commands
from suno_cover_async.cli.output.console import copyable, logging_to, say
from suno_cover_async.cli.output.export import guarded
from suno_cover_async.common.text import printable
from suno_cover_async.images.files import file_stem
from suno_cover_async.sandbox import Reply, Sandbox, Scenario
from tests.support.artwork import draw
from tests.support.clients import connect
from tests.support.command_tree import leaves
from tests.support.commands import KEY, Run, at, environment, needs_posix, read_all, sandbox_with
from tests.support.hostile_texts import (
    COMMANDS_TO_TERMINALS,
    FORGED,
    FORMULAS,
    HOSTILE,
    WORDS_FOR_LIBRARIES,
    assert_harmless,
    assert_one_line,
    is_harmless,
)
from tests.support.peers import answer, peer, redirect
from tests.support.saved_covers import a_cover

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

T = TypeVar("T")

QUICK = Scenario(rate_limit=None, polls=1, image_size=16)
DRAWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\d*[AK]|\x1b\[\?25[lh]|\r")  # by rich itself


# text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_printable_is_one_line_that_does_nothing(text: str) -> None:
    assert_one_line(printable(text), 300)


@pytest.mark.parametrize(
    "text",
    ["été", "夜の渡し船", "שלום", "नमस्ते", "tiếng Việt", "e\u0301", "🎵 ❤\ufe0f", "a — b…", "100 %"],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@settings(derandomize=True)
@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_made_harmless(text: str) -> None:
    assert_one_line(printable(text))
    assert len(printable(text)) == min(300, len(text))


# errors and logs


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_printed_and_logged_text_is_harmless_even_if_nothing_escaped_it_before(
    text: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, markup=False, width=80)
    record = logging.getLogger("suno_cover_async")
    monkeypatch.setattr(record, "propagate", False)  # pytest-xdist cannot carry half characters

    say(console, text, "red", indent=2)
    copyable(console, text)
    with logging_to(console, 2):
        record.warning("a server says %s", text)
        record.error("%s", f"one\n{text}")
    assert isinstance(console.file, io.StringIO)
    told = DRAWN.sub("", console.file.getvalue())

    assert_harmless(told)
    assert text not in told or text in WORDS_FOR_LIBRARIES.values()


def said(message: str, code: int = 422) -> Reply:
    return Reply(body=json.dumps({"code": code, "msg": message, "data": None}).encode())


def shown(cover_task_id: str, text: str, **fields: object) -> Reply:
    data = {"taskId": cover_task_id, "parentTaskId": text, "successFlag": 3, "errorMessage": text}
    return Reply(body=json.dumps({"code": 200, "msg": text, "data": data | fields}).encode())


Act = Callable[[SunoCoverClient, Sandbox, str], Awaitable[object]]


async def refused_submit(client: SunoCoverClient, sandbox: Sandbox, text: str) -> object:
    sandbox.script("submit", said(text))
    return await client.submit("song")


async def refused_often(client: SunoCoverClient, sandbox: Sandbox, text: str) -> object:
    sandbox.script("credits", said(text, 429))
    return await client.credits()


async def broken(client: SunoCoverClient, sandbox: Sandbox, text: str) -> object:
    sandbox.script("credits", *[Reply(status=502, body=text.encode(errors="replace"))] * 9)
    return await client.credits()


async def failed(client: SunoCoverClient, sandbox: Sandbox, text: str) -> object:
    sandbox.script("details", shown("task", text, parentTaskId=None))
    return await client.wait("task")


async def anothers(client: SunoCoverClient, sandbox: Sandbox, text: str) -> object:
    sandbox.script("details", shown("task", text))
    return await client.wait(CoverTask(cover_task_id="task", music_task_id="song"))


async def astray(client: SunoCoverClient, sandbox: Sandbox, text: str) -> object:
    sandbox.script("details", *[shown(text, text)] * 9)
    return await client.details("task")


async def no_id(client: SunoCoverClient, sandbox: Sandbox, text: str) -> object:
    body = json.dumps({"code": 200, "data": {"taskId": text}}).encode()
    sandbox.script("submit", *[Reply(body=body)] * 9)
    return await client.submit("song")


async def no_music(client: SunoCoverClient, sandbox: Sandbox, text: str) -> object:
    data = {"taskId": text, "status": text, "response": {"sunoData": [{"audioUrl": text}]}}
    body = json.dumps({"code": 200, "data": data}).encode()
    sandbox.script("music", Reply(body=body))
    return await client.music_details("song")


async def no_image(client: SunoCoverClient, sandbox: Sandbox, text: str) -> object:
    images = (text, f"https://{text}/", f"{sandbox.url}/{text}", f"x:{text}", f"{text}://x/")
    errors: list[SunoCoverError] = []
    for image in images:
        details = CoverDetails(cover_task_id="c", status=CoverStatus.SUCCESS, images=(image,))
        try:
            await client.download(details, into="covers")
        except SunoCoverError as error:
            errors.append(error)
    assert len(errors) == len(images)
    for one in errors:
        assert_one_line(str(one))
    raise errors[0]


WAYS: dict[str, Act] = {
    "a refusal": refused_submit,
    "too often": refused_often,
    "a gateway": broken,
    "a failure": failed,
    "another's": anothers,
    "astray": astray,
    "no id": no_id,
    "no music": no_music,
    "no image": no_image,
}


@pytest.mark.parametrize("way", WAYS)
async def test_an_error_and_a_log_record_are_one_line_whatever_a_server_says(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "suno_cover_async")
    async with Sandbox(QUICK) as sandbox:
        for text in HOSTILE.values():
            sandbox.scenario = QUICK
            async with connect(sandbox, retry=FAST) as client:
                with pytest.raises(SunoCoverError) as caught:
                    await WAYS[way](client, sandbox, text)
                assert_one_line(str(caught.value))

    for record in caplog.records:
        if record.name == "suno_cover_async":
            assert_one_line(record.getMessage())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_an_image_host_that_says_odd_things_is_named_in_one_line(
    text: str, tmp_path: Path
) -> None:
    raw = text.encode("latin-1", "replace").decode("latin-1").translate({10: None, 13: None})
    heads = [redirect(302, f"http://127.0.0.1:1/{raw}"), answer(b"x", f"Content-Type: {raw}")]
    heads += [answer(b"", status="403 -"), answer(raw.encode(), "Content-Type: text/html")]
    async with peer() as host, SunoCoverClient(KEY, base_url=host.url, retry=FAST) as client:
        for number, head in enumerate(heads):
            host.otherwise = head
            images = (f"{host.url}/{number}/{text}",)
            details = CoverDetails(cover_task_id="c", status=CoverStatus.SUCCESS, images=images)
            with pytest.raises(SunoCoverError) as caught:
                await client.download(details, into=tmp_path)
            assert_one_line(str(caught.value))


# commands


Case = Callable[[Sandbox, Path], Awaitable[list[list[str]]]]


def ids(many: int) -> list[str]:
    return [f"song{number}" for number in range(many)]


def batches(things: Iterable[T], many: int) -> list[list[T]]:
    """Cut into lists of so many, the last one possibly shorter."""
    rest = iter(things)
    return list(iter(lambda: list(itertools.islice(rest, many)), []))


async def some_refused(sandbox: Sandbox, _: Path) -> list[list[str]]:
    songs, more = batches(ids(len(HOSTILE)), 11)  # a client's limit is 20 calls in 10 s
    sandbox.script("submit", *map(said, HOSTILE.values()))
    others = [text for text in HOSTILE.values() if "\0" not in text and is_text(text)]
    where = [*at(sandbox), "-vv", "--out"]
    return [
        ["generate", *where, "covers", *songs],
        ["generate", *where, "covers", "--json", *more],
        ["generate", *where, "covers", "--", *others],
        *(["generate", "-" + text] for text in others),
    ]


async def some_failed(sandbox: Sandbox, _: Path) -> list[list[str]]:
    where = [*at(sandbox), "-vv"]
    calls: list[list[str]] = []
    for number, text in enumerate(HOSTILE.values()):
        sandbox.script("details", shown("task", text))
        calls.append(["details", "task", *where])
        images = {"response": {"images": [text]}, "successFlag": 1}
        odd, more = [
            (shown("task", text, **images), ["--out", "covers"]),
            (shown("task", text, parentTaskId=None), ["--wait"]),
            (shown("task", text), ["--json"]),
        ][number % 3]
        sandbox.script("details", odd)
        calls.append(["details", "task", *more, *where])
    return calls


async def no_credits(sandbox: Sandbox, _: Path) -> list[list[str]]:
    sandbox.script("credits", *map(said, HOSTILE.values()))
    where = ["credits", *at(sandbox), "-vv"]
    return [where] * len(HOSTILE) + [[*where, f"--{text}"] for text in ("\x1b[2J", "host\x9b2J")]


async def no_balance(sandbox: Sandbox, _: Path) -> list[list[str]]:
    sandbox.script("credits", *map(said, HOSTILE.values()))
    odd = [*at(sandbox), "-vv", "--out", "\x1b[2J", "--ledger", "\x1b]0;x\x07"]
    return [["doctor", *at(sandbox), "-vv"]] * len(HOSTILE) + [["doctor", *odd]]


async def a_catalog(sandbox: Sandbox, folder: Path) -> list[list[str]]:
    songs = sandbox.add_music(ids(len(HOSTILE)), fails=True)
    tracks = zip(songs, HOSTILE.values(), strict=True)
    rows = ({"music_task_id": one, "title": text, text: text} for one, text in tracks)
    calls: list[list[str]] = []
    where = [*at(sandbox), "-vv"]
    for number, some in enumerate(batches(rows, 7)):
        sandbox.script("submit", *(said(row["title"]) for row in some[:3]))
        (folder / f"{number}.jsonl").write_text("\n".join(map(json.dumps, some)))
        batch = ["batch", f"{number}.jsonl", "--ledger", f"{number}.db", *where]
        calls += [batch, [*batch, "--retry-failed", "--json"]]
    bad = (text.encode(errors="replace").decode() for text in HOSTILE.values())
    (folder / "bad.txt").write_text("\n".join(bad), newline="")
    (folder / "bad.csv").write_text(f"{FORGED},\x1b[2J\n1,2\n")
    return [
        *calls,
        ["batch", "bad.txt", *where],
        ["batch", "bad.csv", *where],
        ["batch", "\x1b[2J", *where],
    ]


async def a_ledger(_: Sandbox, folder: Path) -> list[list[str]]:
    texts = [*HOSTILE.values(), *FORMULAS]
    tracks = [
        Track(f"song{number}", title=text, columns={text: text, "tags": [text, text]})
        for number, text in enumerate(texts)
    ]
    async with Ledger(folder / "covers.db") as ledger:
        await ledger.take_in(tracks)
        for entry, text in zip(
            await ledger.next_open(TrackState.WAITING, 0, 99), texts, strict=True
        ):
            odd_id = "".join(c for c in text if "!" <= c <= "~" and c != ":")[:128] or "task"
            task = CoverTask(cover_task_id=odd_id, music_task_id=entry.music_task_id)
            await ledger.submitted(entry, task)
            odd = text.encode(errors="replace").decode()
            await ledger.ended(entry, TrackState.FAILED, ServerError(odd))
    return [["ledger", "show", "covers.db", "--limit", "99"], ["ledger", "show", "\x1b[2J"]]


async def an_export(sandbox: Sandbox, folder: Path) -> list[list[str]]:
    await a_ledger(sandbox, folder)
    kinds = ("csv", "jsonl")
    return [["ledger", "export", "covers.db", "--format", kind] for kind in kinds]


async def an_account(_: Sandbox, folder: Path) -> list[list[str]]:
    async with Ledger(folder / "\x1b[2J"):
        pass
    return [["ledger", "forget-account", name] for name in ("\x1b[2J", "\x1b]0;x\x07")]


NOBODYS = "postgresql://%1b%5b2J@127.0.0.1:1/%1b%5d0;x%07"


async def no_database(_: Sandbox, __: Path) -> list[list[str]]:
    return [["ledger", "init", name] for name in ("\x1b[2J", NOBODYS, "postgresql://\x1b[2J/x")]


async def no_run(_: Sandbox, folder: Path) -> list[list[str]]:
    async with Ledger(folder / "\x1b[2J"):
        pass
    given = (("\x1b[2J", "7"), (NOBODYS, "7"), ("\x1b[2J", "\x1b[2J"))
    return [["ledger", "release", *arguments, "--yes"] for arguments in given]


async def some_chosen(_: Sandbox, folder: Path) -> list[list[str]]:
    """Have covers under hostile titles and columns; every second image is missing."""
    draw(folder / "covers/0.png", "red")
    tracks = [
        Track(f"song{number}", title=text, columns={"artist": text, text: text})
        for number, text in enumerate(HOSTILE.values())
    ]
    async with Ledger(folder / "covers.db") as ledger:
        await ledger.take_in(tracks)
        for entry in await ledger.next_open(TrackState.WAITING, 0, 99):
            details = a_cover(entry.tracks[0], images=1)
            task = CoverTask(cover_task_id=details.cover_task_id, music_task_id="x")
            await ledger.submitted(entry, task)
            await ledger.covered(entry, details)
            await ledger.saved(entry, [Path(f"covers/{entry.number % 2}.png")])
    apply = ["apply", "covers.db", "--default", "first", "--into"]
    return [
        [*apply, "1"],
        [*apply, "2", "--name", "{artist}/{title}", "--preset", "store", "--sidecar"],
        [*apply, "3", "--name", "{title}", "--json"],
        [*apply, "4", "--name", "{artist}", "--dry-run"],
        *([*apply, "5", "--name", text] for text in HOSTILE.values()),
        *([*apply, "5", "--name", f"{{{text}}} {{x}}"] for text in HOSTILE.values()),
        ["apply", "\x1b[2J", "--into", "\x1b[2J"],
    ]


async def odd_pages(_: Sandbox, __: Path) -> list[list[str]]:
    return [["review", "\x1b[2J"], ["review", "x.db", "--as", "\x1b[2J", "--name", "\x9b2J"]]


async def odd_limits(sandbox: Sandbox, _: Path) -> list[list[str]]:
    return [["mcp", "--max-covers", "\x1b[2J"], ["mcp", *at(sandbox), "--ledger", "\x9b2J"]]


async def nothing_foreign(_: Sandbox, __: Path) -> list[list[str]]:
    """Show nothing but what the sandbox of the same process made up."""
    return []


async def odd_options(_: Sandbox, __: Path) -> list[list[str]]:
    return [["sandbox", "--port", "\x1b[2J"], ["sandbox", "\x9b2J", "\x1b]0;x\x07"]]


CASES: dict[str, Case] = {
    "generate": some_refused,
    "details": some_failed,
    "credits": no_credits,
    "batch": a_catalog,
    "ledger show": a_ledger,
    "ledger export": an_export,
    "ledger forget-account": an_account,
    "ledger init": no_database,
    "ledger release": no_run,
    "apply": some_chosen,
    "review": odd_pages,
    "sandbox": odd_options,
    "doctor": no_balance,
    "mcp": odd_limits,
    "demo": nothing_foreign,
}
FAST = suno_cover_async.RetryPolicy(max_attempts=1, initial_delay=0.001, max_delay=0.001)


def is_text(text: str) -> bool:
    """Whether it can be an argument of a process."""
    return not any("\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" for c in text)


def test_every_command_is_among_those_whose_output_is_tested() -> None:
    assert set(leaves(commands)) == set(CASES)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandbox_with(QUICK) as sandbox:
        yield sandbox


@pytest.mark.parametrize("command", CASES)
async def test_no_command_writes_the_text_of_others_as_it_is(
    command: str, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    ended = [await run(*arguments) for arguments in await CASES[command](sandbox, tmp_path)]

    for one in ended:
        assert_harmless(one.err)
        if command == "ledger export":
            assert_fit_for_a_spreadsheet(one.out)
        else:
            assert_harmless(one.out)


def assert_fit_for_a_spreadsheet(text: str) -> None:
    """It keeps what turns text around, or is not seen; and the lines of its cells."""
    left = text.replace("\r\n", "\n")
    assert not {c for c in left if unicodedata.category(c) == "Cc"} - {"\t", "\n"}


ALL_IN_ONE = """
import json, sys
from suno_cover_async.cli.app import main
for arguments in json.load(open("calls.json")):
    try:
        main(arguments)
    except SystemExit:
        pass
"""


@needs_posix
@pytest.mark.parametrize(
    "group",
    [
        ("generate", "details", "credits"),
        ("batch", "sandbox"),
        ("apply", "review"),
        ("ledger show", "ledger forget-account"),
        ("ledger export",),
    ],
    ids=str,
)
async def test_no_command_draws_the_text_of_others_as_it_is(
    group: tuple[str, ...], sandbox: Sandbox, tmp_path: Path
) -> None:
    calls = [call for command in group for call in await CASES[command](sandbox, tmp_path)]
    calls = [arguments for arguments in calls if all(map(is_text, arguments))]

    screen = await drawn(calls, tmp_path)

    for text in COMMANDS_TO_TERMINALS.values():
        assert text not in screen
    text = DRAWN.sub("", screen)
    assert_harmless(text.replace(FORGED, "") if group == ("ledger export",) else text)


async def drawn(calls: Sequence[Sequence[str]], folder: Path) -> str:
    """Run commands one after the other in a process with a pseudo terminal; return all it drew."""
    (folder / "calls.json").write_text(json.dumps(calls))
    ours, its = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ALL_IN_ONE),
        cwd=folder,
        env=environment(TERM="xterm", COLUMNS="100", LINES="40", PYTHONUTF8="1"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    screen = await asyncio.to_thread(read_all, ours)
    assert await process.wait() == 0
    os.close(ours)
    return screen.replace("\r\n", "\n")


def test_only_one_module_of_the_command_line_writes() -> None:
    folder = Path(suno_cover_async.__file__).parent / "cli"
    writers = {"print", "echo", "secho", "write", "writelines", "log", "out"}
    allowed = {  # files; a folder is tried; an empty line, and tables that the drawing tests check
        ("export.py", "part.write"),
        ("demo.py", "part.write"),
        ("ledger_show.py", "console.print"),
        ("disk.py", "probe.write"),
        ("process.py", "os.write"),  # words of ours, as the process ends
    }
    found = {
        (file.name, ast.unparse(node.func))
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in writers
    }

    assert {(file, call) for file, call in found if file != "console.py"} == allowed


# spreadsheets


@pytest.mark.parametrize("cell", FORMULAS)
def test_no_cell_of_an_export_is_a_formula_however_it_is_cut(cell: str) -> None:
    assert not [part for part in cut(guarded(cell)) if is_formula(part)]


@settings(derandomize=True)
@given(st.text(st.sampled_from(" a=+-@;\t\r\n\0\ufeff\u200b\u3164\uff1d\"'"), max_size=8))
def test_no_text_of_any_kind_becomes_a_formula(cell: str) -> None:
    assert not [part for part in cut(guarded(cell)) if is_formula(part)]


def cut(cell: str) -> list[str]:
    """All that a reader may take for cells, whichever separator it believes in."""
    return [cell, *re.split("[;\t\r\n]", cell)]


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet runs it: white space, quotes and what is not seen are passed over."""
    seen = unicodedata.normalize(
        "NFKC", "".join(c for c in cell if is_harmless(c) and c not in ' "')
    )
    return seen.strip()[:1] in {*"=+-@\u2212"} and seen.strip() != ""


async def test_an_exported_spreadsheet_has_no_formula_in_any_cell_nor_a_control_character(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    await a_ledger(sandbox, tmp_path)

    ended = await run("ledger", "export", "covers.db", "--format", "csv", "--out", "out.csv")
    text = (tmp_path / "out.csv").read_bytes().decode().removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(text, newline="")))

    assert ended.code == 0
    assert len(rows) == 1 + len(HOSTILE) + len(FORMULAS)
    assert_fit_for_a_spreadsheet(text)
    for cell in (cell for row in rows for cell in row):
        assert not [part for part in cut(cell) if is_formula(part)]


async def test_exported_json_is_exact_and_plain_ascii(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    await a_ledger(sandbox, tmp_path)

    ended = await run("ledger", "export", "covers.db", "--format", "jsonl")
    rows = [json.loads(line) for line in ended.lines]

    assert ended.out.isascii()
    assert_harmless(ended.out)
    assert [row["title"] for row in rows] == [*HOSTILE.values(), *FORMULAS]


# files


@pytest.mark.parametrize(
    "text", [*HOSTILE.values(), *FORMULAS, "-rf", "x. ", " x", "..", "~", "a/b"]
)
def test_no_title_makes_a_files_name_that_misleads(text: str) -> None:
    stem = file_stem(text)

    assert_one_line(stem, 100)
    assert stem.strip(". ") == stem
    assert "/" not in stem


async def test_a_path_in_the_output_is_never_taken_for_an_option(
    run: Run, sandbox: Sandbox
) -> None:
    sandbox.add_music(["-rf"])

    ended = await run("generate", *at(sandbox), "--out", ".", "--", "-rf")

    assert ended.code == 0
    assert ended.lines == ["./-rf-1.png", "./-rf-2.png"]

"""`apply`: the chosen images of a ledger, written by real commands, killed and without space."""

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from suno_cover_async import Ledger, Track
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.models import Decision
from tests.support.artwork import choose, chosen, colour_of, files_in
from tests.support.bad_disk import disk_of_its_own, strace
from tests.support.batch_commands import HOSTILE
from tests.support.commands import (
    MODULE,
    Run,
    environment,
    finish,
    line_with,
    needs_posix,
    on_a_terminal,
    start,
)

TRACKS = [Track(f"s{n}", title=f"T{n}", columns={"artist": "Ann"}) for n in range(1, 5)]


async def test_apply_writes_what_was_chosen_and_prints_the_paths(run: Run, tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS, {1: 1, 2: 2, 3: Decision.NEITHER})

    ended = await run(
        *("apply", "covers.db", "--into", "out", "--preset", "store"),
        *("--name", "{artist}/{title}.{ext}", "--sidecar"),
    )

    assert ended.code == ExitCode.DONE
    assert sorted(ended.lines) == ["out/Ann/T1.jpg", "out/Ann/T2.jpg"]
    assert "written 2, unchanged 0, undecided 1, later 0, neither 1, failed 0: out" in ended.err
    assert "2 images are smaller than the 3000 × 3000" in ended.err
    assert "suno-cover review covers.db" in ended.err
    assert sorted(files_in(tmp_path / "out")) == [
        *("Ann/T1.jpg", "Ann/T1.jpg.json", "Ann/T2.jpg", "Ann/T2.jpg.json"),
    ]
    assert colour_of(tmp_path / "out/Ann/T2.jpg") == 2


async def test_apply_with_upscale_enlarges_and_warns_of_nothing(run: Run, tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS[:1], {1: 1})

    ended = await run("apply", "covers.db", "--into", "out", "--preset", "store", "--upscale")

    assert "smaller" not in ended.err
    with Image.open(tmp_path / "out/T1 s1.jpg") as image:
        assert image.size == (3000, 3000)


async def test_apply_twice_writes_nothing_and_by_default_first_takes_the_rest(
    run: Run, tmp_path: Path
) -> None:
    await chosen(tmp_path, TRACKS, {1: 2})
    command = ("apply", "covers.db", "--into", "out")

    await run(*command)
    again = await run(*command)
    rest = await run(*command, "--default", "first")

    assert "written 0, unchanged 1, undecided 3" in again.err
    assert "written 3, unchanged 1, undecided 0" in rest.err


async def test_apply_with_json_writes_an_object_for_each_title(run: Run, tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS, {1: 2})

    ended = await run("apply", "covers.db", "--into", "out", "--json")

    *records, last = map(json.loads, ended.lines)
    states = {record["music_task_id"]: record["state"] for record in records}
    assert states == {"s1": "written", "s2": "undecided", "s3": "undecided", "s4": "undecided"}
    assert last["summary"]["written"] == 1


async def test_apply_with_dry_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS, {1: 2})

    ended = await run("apply", "covers.db", "--into", "out", "--dry-run")

    assert (ended.code, ended.lines) == (ExitCode.DONE, ["out/T1 s1.png"])
    assert "would write 1" in ended.err
    assert not (tmp_path / "out").exists()


async def test_apply_reports_each_failure_in_a_line_and_exits_with_1(
    run: Run, tmp_path: Path
) -> None:
    await chosen(tmp_path, TRACKS, dict.fromkeys((1, 2, 3, 4), 1))
    (tmp_path / "covers/T1-1.png").unlink()
    (tmp_path / "covers/T2-1.png").write_bytes(b"x")

    ended = await run("apply", "covers.db", "--into", "out")

    assert ended.code == ExitCode.FAILED
    assert "failed: T1: the file is missing: covers/T1-1.png; it is not in " in ended.err
    assert "failed: T2: " in ended.err
    assert "written 2, unchanged 0, undecided 0, later 0, neither 0, failed 2" in ended.err


async def test_apply_refuses_an_unknown_field_before_it_writes(run: Run, tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS, {1: 1})

    ended = await run("apply", "covers.db", "--into", "out", "--name", "{album}.{ext}")

    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith("Error: no column {album} for a name; there are: title, ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../{title}.{ext}", "/{title}", "{title}:{ext}", "{"])
async def test_apply_refuses_a_name_that_leaves_the_folder(
    run: Run, tmp_path: Path, name: str
) -> None:
    await chosen(tmp_path, TRACKS[:1], {1: 1})

    ended = await run("apply", "covers.db", "--into", "out", "--name", name)

    assert ended.code == ExitCode.USAGE
    assert not (tmp_path / "out").exists()


async def test_apply_refuses_a_ledger_that_is_none(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no ledger at all" * 100)

    ended = await run("apply", "x.db", "--into", "out")

    assert ended.code == ExitCode.FAILED
    assert ended.err.startswith("Error: ")


async def test_apply_into_what_is_no_folder_is_an_error_that_names_it(
    run: Run, tmp_path: Path
) -> None:
    await chosen(tmp_path, TRACKS[:1], {1: 1})
    (tmp_path / "file").write_bytes(b"x")

    ended = await run("apply", "covers.db", "--into", "file/out")

    assert ended.code == ExitCode.FAILED
    assert "file/out" in ended.err


async def test_apply_writes_nothing_of_a_title_that_a_terminal_would_obey(
    run: Run, tmp_path: Path
) -> None:
    track = Track("s1", title=HOSTILE[0].replace("/", ""), columns={"artist": HOSTILE[0]})
    ledger = await chosen(tmp_path, [Track("s0", title="x", columns=track.columns)], {1: 1})
    (tmp_path / "covers/x-1.png").unlink()

    ended = await run("apply", str(ledger.path), "--into", "out", "--name", "{artist}")

    assert ended.code == ExitCode.FAILED
    assert not set(ended.err) & set("\x1b\r\x07\u202e")


@needs_posix
async def test_apply_on_a_terminal_shows_a_bar_and_no_paths(tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS, {1: 1, 2: 2})

    screen = await on_a_terminal("apply", "covers.db", "--into", "out", cwd=tmp_path)

    assert "/4" in screen
    assert "written 2, unchanged 0, undecided 2" in screen
    assert "T1 s1.png" not in screen


async def test_apply_works_while_a_batch_holds_the_ledger(tmp_path: Path) -> None:
    await chosen(tmp_path, TRACKS, {1: 1})

    async with Ledger(tmp_path / "covers.db") as held, held.lease("0123456789abcdef"):
        ended = await finish(await start("apply", "covers.db", "--into", "out", cwd=tmp_path))

    assert (ended.code, ended.lines) == (0, ["out/T1 s1.png"])


@needs_posix
async def test_ctrl_c_finishes_the_files_that_were_begun_and_counts_what_was_written(
    tmp_path: Path,
) -> None:
    tracks = [Track(f"s{n}", title=f"T{n}") for n in range(30)]
    await chosen(tmp_path, tracks, {})
    command = [
        *("apply", "covers.db", "--into", "out", "--default", "first"),
        *("--preset", "store", "--upscale"),
    ]
    process = await start(*command, cwd=tmp_path)

    await line_with(process.stdout, "out/")
    process.send_signal(signal.SIGINT)
    ended = await finish(process)

    assert ended.code == ExitCode.INTERRUPTED
    assert re.search(r"^written \d+, unchanged 0", ended.err, re.MULTILINE)
    assert not list((tmp_path / "out").glob("*.part"))
    again = await finish(await start(*command, cwd=tmp_path))
    assert "failed 0" in again.err
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 30


def run_under(prefix: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [*prefix, *MODULE, "apply", "covers.db", "--into", "out", "--preset", "web"]
    return subprocess.run(  # noqa: S603
        [*command, "--sidecar"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("call", ["fsync", "rename"])
async def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, call: str
) -> None:
    ledger = await chosen(tmp_path, TRACKS[:3], dict.fromkeys((1, 2, 3), 1))
    run_under([], tmp_path)
    old = files_in(tmp_path / "out")
    for number in range(1, 4):
        await choose(ledger, number, 2)
    kills = 0
    states: set[int] = set()
    while True:
        kill = f"inject={call}:signal=SIGKILL:when={kills + 1}"
        ended = run_under(strace("-e", f"trace={call}", "-e", kill), tmp_path)
        found = {name: colour_of(tmp_path / "out" / name) for name in old if name.endswith(".webp")}
        assert sorted(found) == [f"T{n} s{n}.webp" for n in range(1, 4)]
        states.add(sum(found.values()))
        for name in old:
            if name.endswith(".json"):
                json.loads((tmp_path / "out" / name).read_text())
        if ended.returncode != -signal.SIGKILL:
            break
        kills += 1

    assert ended.returncode == 0
    assert kills >= {"fsync": 3, "rename": 2}[call]
    assert len(states) > 1  # some runs were killed between two files
    assert set(found.values()) == {2}
    again = run_under([], tmp_path)
    assert "written 0, unchanged 3" in again.stderr
    sidecars = [json.loads(p.read_text()) for p in (tmp_path / "out").glob("*.json")]
    assert [one["choice"]["image"] for one in sidecars] == [2] * 3


async def test_a_first_run_that_is_killed_leaves_files_that_the_next_run_knows_as_its_own(
    tmp_path: Path,
) -> None:
    ledger = await chosen(tmp_path, TRACKS[:1], {1: 1})
    kill = "inject=fsync:signal=SIGKILL:when=2"  # of the folder, after the rename
    killed = run_under(strace("-e", "trace=fsync", "-e", kill), tmp_path)
    await choose(ledger, 1, 2)

    again = run_under([], tmp_path)

    assert (killed.returncode, again.returncode) == (-signal.SIGKILL, 0)
    assert colour_of(tmp_path / "out/T1 s1.webp") == 2


async def test_a_full_disk_is_a_line_for_each_and_leaves_nothing_half_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "out").mkdir()
    disk = disk_of_its_own("64k", tmp_path / "out")
    await chosen(tmp_path, TRACKS, dict.fromkeys((1, 2, 3, 4), 1))
    for file in (tmp_path / "covers").iterdir():
        Image.effect_noise((400, 400), 80).convert("RGB").save(file)
    shown = "; ls -A out >&2; exit $code"
    command = f'"$@"; code=$?{shown}'

    ended = run_under([*disk, "sh", "-c", command, "sh"], tmp_path)

    assert ended.returncode == ExitCode.FAILED
    assert ended.stderr.count("No space left on device") >= 3
    assert ".part" not in ended.stderr

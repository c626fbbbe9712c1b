"""`sandbox` and `demo`."""

import signal
from pathlib import Path

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Sandbox
from tests.support.commands import (
    Run,
    environment,
    finish,
    line_with,
    needs_posix,
    start,
)


@needs_posix
async def test_the_sandbox_command_serves_what_it_says_until_it_is_ended(tmp_path: Path) -> None:
    process = await start("sandbox", "--port", "0", "--seconds", "0", "--music", "3")
    await line_with(process.stdout, "export SUNO_API_KEY=")
    *_, url = (await line_with(process.stdout, "suno-cover credits")).split()
    *_, song, _, _, _, _ = (await line_with(process.stdout, "suno-cover generate")).split()
    environ = environment(SUNO_API_KEY="sandbox-key")
    options = ("--poll", "0.05", "--base-url", url)

    covered = await finish(await start("generate", song, *options, cwd=tmp_path, env=environ))
    shown = await line_with(process.stderr, "POST")
    process.send_signal(signal.SIGINT)
    ended = await finish(process)

    assert covered.code == ExitCode.DONE
    assert "/api/v1/suno/cover/generate  200  (1 billed so far)" in shown
    assert ended.code == ExitCode.DONE
    assert "Traceback" not in ended.err


async def test_the_sandbox_command_says_what_to_do_when_its_port_is_taken(
    run: Run, sandbox: Sandbox
) -> None:
    ended = await run("sandbox", "--port", sandbox.url.rpartition(":")[2])

    assert ended.code == ExitCode.FAILED
    assert "next: give another --port; 0 takes a free one" in ended.err

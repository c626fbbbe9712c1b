"""`details` and `credits`."""

import json
from pathlib import Path

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Reply, Sandbox, Scenario
from tests.support.commands import (
    Run,
    at,
    names,
    sandbox_with,
)


async def test_credits_are_a_bare_number_or_json(run: Run) -> None:
    async with sandbox_with(Scenario(credits=1025.6)) as sandbox:
        plain = await run("credits", *at(sandbox))
        programs = await run("credits", "--json", "--host", "kie", *at(sandbox))

        assert (plain.code, plain.out) == (ExitCode.DONE, "1025.6\n")
        assert json.loads(programs.out) == {"credits": 1025.6}


async def test_details_can_wait_and_save_by_the_cover_task_id_alone(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.scenario = Scenario(polls=6)
    sandbox.add_music(["song"])
    await run("generate", "song", "--timeout", "0.1", *at(sandbox))
    task = sandbox.journal.bills[0].cover_task_id

    poll = await run("details", task, "--json", *at(sandbox))
    ended = await run("details", task, "--wait", "--out", "art", *at(sandbox))

    assert json.loads(poll.out)["status"] in {"PENDING", "GENERATING"}
    assert ended.code == ExitCode.DONE
    assert "SUCCESS" in ended.out
    assert names(tmp_path / "art") == ["song-1.png", "song-2.png"]


async def test_details_of_an_unknown_cover_task_fail(run: Run, sandbox: Sandbox) -> None:
    ended = await run("details", "unknown", *at(sandbox))

    assert ended.code == ExitCode.FAILED
    assert ended.err.startswith("Error: the API knows no cover task unknown")
    assert "next: is it a music task's id? then: suno-cover generate ID" in ended.err


async def test_text_of_others_is_neither_markup_nor_control_characters(
    run: Run, sandbox: Sandbox
) -> None:
    message = "[bold red]boo[/bold red] \x1b[31m :smile:"
    body = json.dumps({"code": 422, "msg": message, "data": None}).encode()
    sandbox.script("credits", Reply(body=body))

    ended = await run("credits", *at(sandbox))

    assert ended.code == ExitCode.FAILED
    assert "[bold red]boo[/bold red]" in ended.err
    assert ":smile:" in ended.err
    assert "\x1b" not in ended.err

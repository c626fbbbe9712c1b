"""`credits`."""

import json

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Reply, Sandbox, Scenario
from tests.support.commands import Run, at, sandbox_with


async def test_credits_are_a_bare_number_or_json(run: Run) -> None:
    async with sandbox_with(Scenario(credits=1025.6)) as sandbox:
        plain = await run("credits", *at(sandbox))
        programs = await run("credits", "--json", "--host", "kie", *at(sandbox))

        assert (plain.code, plain.out) == (ExitCode.DONE, "1025.6\n")
        assert json.loads(programs.out) == {"credits": 1025.6}


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

"""The command that serves agents: its options, and how it refuses to start."""

import json
import re
import sys
from pathlib import Path

import pytest

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Sandbox
from tests.support.agents import host_of, serving
from tests.support.commands import KEY, Ended, at, environment, finish, names, start

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "agents.md"
LIBRARIES = ("mcp", "mcp_types", "pydantic", "starlette", "uvicorn")


async def ended(*arguments: str, cwd: Path, **more: str) -> Ended:
    return await finish(await start(*arguments, cwd=cwd, env=environment(**more)))


async def test_without_a_limit_of_covers_it_does_not_start_and_says_why(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    refused = await ended("mcp", *at(sandbox), cwd=tmp_path)

    assert refused.code == ExitCode.USAGE
    assert "--max-covers" in refused.err
    assert "spends money by itself" in refused.err
    assert refused.out == ""
    assert not (tmp_path / "covers.db").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--max-covers", "-1"), "--max-covers"),
        (("--max-covers", "5", "--key-file", "-"), "standard input is the protocol's"),
        (("--max-covers", "5", "--key-file", "/dev/stdin"), "standard input is the protocol's"),
        (("--max-covers", "5", "--api-key", "sk-secret-9d3f"), "does not exist"),
        (("--max-covers", "5", "--poll", "nan"), "finite"),
    ],
)
async def test_a_wrong_option_is_told_in_a_line_and_nothing_is_on_standard_output(
    sandbox: Sandbox, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    refused = await ended("mcp", *at(sandbox), *options, cwd=tmp_path)

    assert refused.code == ExitCode.USAGE
    assert words in refused.err
    assert "sk-secret" not in refused.err
    assert refused.out == ""


async def test_a_ledger_in_a_database_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    where = ("--ledger", "postgresql://me@127.0.0.1:1/covers", "--max-covers", "5")
    refused = await ended("mcp", *where, *at(sandbox), cwd=tmp_path)

    assert refused.code == ExitCode.USAGE
    assert "must be a file" in refused.err


async def test_without_a_key_it_does_not_start(sandbox: Sandbox, tmp_path: Path) -> None:
    refused = await ended("mcp", "--max-covers", "5", *at(sandbox), cwd=tmp_path, SUNO_API_KEY="")

    assert refused.code == ExitCode.KEY
    assert "no API key" in refused.err


async def test_a_ledger_that_is_in_use_is_refused_and_its_holder_named(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    async with host_of(*serving(sandbox, tmp_path)) as host:
        refused = await ended(*serving(sandbox, tmp_path), cwd=tmp_path)

        assert refused.code == ExitCode.FAILED
        assert "covers.db" in refused.err
        assert str(host.process.pid) in refused.err
        assert refused.out == ""


async def test_a_key_file_serves_as_well(sandbox: Sandbox, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(f"{KEY}\n")
    (song,) = sandbox.add_music(1)
    words = (*serving(sandbox, tmp_path), "--key-file", str(key))
    async with host_of(*words, env=environment(SUNO_API_KEY="")) as host:
        answer = await host.call("cover", music_task_id=song)

    assert answer["result"]["structuredContent"]["finished"]


async def test_a_missing_library_is_named_with_its_cure(sandbox: Sandbox, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['mcp'] = None\n"
        "from suno_cover_async.__main__ import main; sys.exit(main())"
    )
    words = serving(sandbox, tmp_path)
    refused = await finish(await start(*words, program=(sys.executable, "-c", code)))

    assert refused.code == ExitCode.NOT_INSTALLED
    assert "pip install 'suno-cover-async[mcp]'" in refused.err
    assert "Traceback" not in refused.err
    assert not (tmp_path / "covers.db").exists()


@pytest.mark.parametrize("words", ["--help", "mcp --help"])
async def test_help_loads_no_library_of_the_protocol(words: str) -> None:
    code = (
        "import sys\n"
        "from suno_cover_async.__main__ import main\n"
        "code = main()\n"
        f"print([name for name in {LIBRARIES!r} if name in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)"
    )
    shown = await finish(await start(*words.split(), program=(sys.executable, "-c", code)))

    assert shown.code == ExitCode.DONE
    assert "mcp" in shown.out
    assert shown.err == "[]\n"


@pytest.mark.parametrize("number", [0, 1])
async def test_the_settings_of_the_page_start_a_server(
    sandbox: Sandbox, tmp_path: Path, number: int
) -> None:
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    settings = json.loads(blocks[number].replace("/home/me", str(tmp_path)))
    server = settings["mcpServers"]["suno-cover"]
    (tmp_path / "agent-covers").mkdir()
    (tmp_path / ".config" / "suno-cover").mkdir(parents=True)
    (tmp_path / ".config" / "suno-cover" / "key").write_text(KEY)
    given = {"SUNO_API_KEY": "", **server.get("env", {})}
    given = {name: KEY if text == "your key" else text for name, text in given.items()}
    (song,) = sandbox.add_music(1)

    assert server["command"] == "suno-cover"
    async with host_of(*server["args"], *at(sandbox), env=environment(**given)) as host:
        answer = await host.call("cover", music_task_id=song)

    assert answer["result"]["structuredContent"]["finished"]
    assert len(names(tmp_path / "agent-covers" / "images")) == 2

"""Where the command line reads the key from, and what it refuses."""

from pathlib import Path

import pytest

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.commands import (
    KEY,
    Run,
    at,
    environment,
    finish,
    start,
)


async def test_the_key_comes_from_a_file_less_one_newline(
    run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUNO_API_KEY")
    (tmp_path / "key").write_bytes(f"{KEY}\r\n".encode())
    (tmp_path / "two-newlines").write_bytes(f"{KEY}\n\n".encode())

    good = await run("credits", "--key-file", "key", *at(sandbox))
    bad = await run("credits", "--key-file", "two-newlines", *at(sandbox))

    assert (good.code, good.out) == (ExitCode.DONE, "1000000\n")
    assert bad.code == ExitCode.USAGE
    assert KEY not in bad.err


async def test_an_empty_key_file_is_said_to_be_empty(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")

    file = await run("credits", "--key-file", "key")
    nothing = await finish(await start("credits", "--key-file", "-"))
    nameless = await run("credits", "--key-file", "")

    assert (file.code, nothing.code) == (ExitCode.KEY, ExitCode.KEY)
    assert "the key file is empty" in file.err
    assert "standard input is empty" in nothing.err
    assert nameless.code == ExitCode.USAGE


@pytest.mark.parametrize("odd", [f" {KEY}", f"{KEY}\r\n\n", f"{KEY}\u200b", f"{KEY}\t"])
async def test_a_key_with_odd_characters_is_not_shown_but_its_source_is(
    odd: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", odd)
    (tmp_path / "key").write_text(odd, "utf-8", newline="")

    environ = await run("credits")
    file = await run("credits", "--key-file", "key")
    piped = await finish(await start("credits", "--key-file", "-"), odd.encode())

    assert {environ.code, file.code, piped.code} == {ExitCode.USAGE}
    assert "the API key from SUNO_API_KEY has characters" in environ.err
    assert "the API key from the key file has characters" in file.err
    assert "the API key from standard input has characters" in piped.err
    assert "a space or a line break" in environ.err
    assert KEY not in environ.err + file.err + piped.err


async def test_the_key_comes_from_standard_input(sandbox: Sandbox) -> None:
    process = await start(
        "credits", "--key-file", "-", *at(sandbox), env=environment(SUNO_API_KEY="")
    )

    ended = await finish(process, f"{KEY}\n".encode())

    assert (ended.code, ended.out) == (ExitCode.DONE, "1000000\n")


async def test_no_log_however_verbose_holds_the_key(run: Run, sandbox: Sandbox) -> None:
    sandbox.scenario = Scenario(seconds=0.02, html=0.5, lost_answers=0.2)
    ids = sandbox.add_music(2)

    ended = await run("generate", *ids, "-vv", *at(sandbox))

    assert ended.code == ExitCode.DONE
    assert "DEBUG" in ended.err
    assert KEY not in ended.err + ended.out


@pytest.mark.parametrize("elsewhere", [{"SUNO_BASE_URL": "there"}, {}])
async def test_the_key_of_a_profile_goes_to_no_other_host(
    elsewhere: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    folder = tmp_path / "config" / "suno-cover"
    folder.mkdir(parents=True, mode=0o755)
    (tmp_path / "key").write_text(KEY)
    profile = f'[profiles.work]\nbase_url = "{sandbox.url}"\nkey_file = "{tmp_path / "key"}"\n'
    (folder / "config.toml").write_text(profile)
    (folder / "config.toml").chmod(0o644)
    async with Sandbox(Scenario(), api_key=KEY) as there:
        variables = dict.fromkeys(elsewhere, there.url)
        options = () if elsewhere else ("--base-url", there.url)
        own = {"SUNO_API_KEY": "", "XDG_CONFIG_HOME": str(tmp_path / "config")}
        env = environment(**own, **variables)
        refused = await finish(await start("credits", "--profile", "work", *options, env=env))
        used = await finish(await start("credits", "--profile", "work", env=environment(**own)))

        assert there.journal.arrivals == []
    assert refused.code == ExitCode.USAGE
    assert "pass --key-file" in refused.err
    assert KEY not in refused.err
    assert used.code == ExitCode.DONE

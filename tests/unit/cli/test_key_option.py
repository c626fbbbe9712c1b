"""A key as an argument."""

import pytest

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.key_option import hide_key
from tests.support.commands import KEY, Run


@pytest.mark.parametrize("option", ["--api-key", "--key", "--token"])
@pytest.mark.parametrize("before", [(), ("credits",), ("generate", "song")])
async def test_a_key_as_an_argument_is_refused_and_not_repeated(
    option: str, before: tuple[str, ...], run: Run
) -> None:
    apart = await run(*before, option, "sk-typed")
    joined = await run(*before, f"{option}=sk-typed")

    assert (apart.code, joined.code) == (ExitCode.USAGE, ExitCode.USAGE)
    assert "SUNO_API_KEY" in apart.err
    assert "--key-file" in joined.err
    assert "sk-typed" not in apart.err + joined.err


@pytest.mark.parametrize("key", ["123e4567-e89b-12d3-a456-426614174000", "sk-canary/7f3a"])
def test_the_key_of_the_environment_is_hidden_in_a_text(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", key)

    assert hide_key(f"<{key.upper()}> and song") == "<[key]> and song"


@pytest.mark.parametrize("key", [None, "", "song", "Bearer song"])
def test_without_a_valid_key_a_text_is_left_as_it_is(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUNO_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("SUNO_API_KEY", key)

    assert hide_key("a Bearer song") == "a Bearer song"


@pytest.mark.parametrize(
    "words", ["credits {}", "{}", "credits --host={}", "credits --fake-ip {}/8"]
)
@pytest.mark.parametrize("variable", [KEY, f'"{KEY}"', f"{KEY}\n"])
async def test_the_key_of_the_environment_in_any_argument_is_refused_and_not_repeated(
    words: str, variable: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", variable)

    ended = await run(*words.replace("{}", KEY).split())

    assert ended.code == ExitCode.USAGE
    assert "an argument holds the API key of SUNO_API_KEY (not shown)" in ended.err
    assert KEY not in ended.out + ended.err


@pytest.mark.parametrize("variable", ["", "credits", f"{KEY}-2", KEY[:-1]])
async def test_what_is_no_whole_key_is_no_key(
    variable: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", variable)

    assert "No such command" in (await run("credit", KEY)).err

"""A key as an argument."""

import pytest

from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.commands import Run


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

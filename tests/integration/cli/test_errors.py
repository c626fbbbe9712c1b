"""A library that is missing."""

import sys

import pytest

from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.commands import (
    finish,
    start,
)


@pytest.mark.parametrize(
    ("library", "name"), [("click", "click"), ("rich", "rich"), ("PIL", "pillow")]
)
async def test_a_missing_library_is_named_with_its_cure(library: str, name: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from suno_cover_async.__main__ import main; sys.exit(main())"
    )

    ended = await finish(await start("--help", program=(sys.executable, "-c", code)))

    assert ended.code == ExitCode.NOT_INSTALLED
    assert f"needs {name}," in ended.err
    assert "pip install click pillow platformdirs rich" in ended.err
    assert "Traceback" not in ended.err

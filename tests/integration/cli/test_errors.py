"""A library that is missing."""

import sys

import pytest

from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.commands import (
    finish,
    start,
)


@pytest.mark.parametrize(
    ("library", "name", "command"),
    [
        ("click", "click", "--help"),
        ("rich", "rich", "ledger show covers.db"),
        ("rich", "rich", "nonsense"),
        ("PIL", "Pillow", "apply covers.db --into artwork"),
        ("platformdirs", "platformdirs", "credits"),
    ],
)
async def test_a_missing_library_is_named_with_its_cure(
    library: str, name: str, command: str
) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from suno_cover_async.__main__ import main; sys.exit(main())"
    )

    ended = await finish(await start(*command.split(), program=(sys.executable, "-c", code)))

    assert ended.code == ExitCode.NOT_INSTALLED
    assert f"needs {name}: " in ended.err
    assert "pip install 'suno-cover-async[cli]'" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("library", ["rich", "PIL", "platformdirs", "aiohttp"])
async def test_help_needs_click_alone(library: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from suno_cover_async.__main__ import main; sys.exit(main())"
    )

    ended = await finish(await start("batch", "--help", program=(sys.executable, "-c", code)))

    assert (ended.code, ended.err) == (ExitCode.DONE, "")


async def test_another_library_that_is_missing_is_named_in_one_line() -> None:
    code = (
        "import sys; sys.modules['yarl'] = None\n"
        "from suno_cover_async.__main__ import main; sys.exit(main())"
    )

    ended = await finish(await start("credits", program=(sys.executable, "-c", code)))

    assert ended.code == ExitCode.NOT_INSTALLED
    assert ended.err.startswith("Error: ")
    assert "yarl" in ended.err
    assert len(ended.err.splitlines()) == 1

"""Completion in real shells, installed as the page of the command line says."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support.commands import needs_posix
from tests.support.shells import SETTINGS, shell

PAGE = Path(__file__).parents[3] / "docs/reference/command-line.md"

COMPLETED = {
    "ba\t": "batch",
    "ledger sh\t": "ledger show",
    "batch --max\t": "batch --max-covers",
    "ledger show --st\tsa\t": "ledger show --state saved",
    "credits --host ki\t": "credits --host kie",
    "apply c --preset st\t": "apply c --preset store",
    "ledger export c --format js\t": "ledger export c --format jsonl",
    "batch so\t": "batch songs.csv",
    "batch songs.csv --ledger cov\t": "batch songs.csv --ledger covers.db",
    "credits --key-file ke\t": "credits --key-file key.txt",
    "apply covers.db --into art\t": "apply covers.db --into artwork",
}
"""What is typed, and the arguments that the command gets."""


def installation(program: str) -> str:
    """The page's lines that install completion for a shell."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (found,) = [block for block in blocks if f"={program}_source" in block]
    return str(found)


@pytest.mark.timeout(400)  # each completion begins a process
@needs_posix
@pytest.mark.parametrize("program", SETTINGS)
def test_commands_options_choices_and_files_are_completed(program: str, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    for name in ("songs.csv", "covers.db", "key.txt"):
        (tmp_path / name).touch()
    (tmp_path / "artwork").mkdir()

    with shell(program, tmp_path, installation(program)) as there:
        ran = {typed: there.run(f"suno-cover {typed}").rstrip("/") for typed in COMPLETED}
        there.type("suno-cover credits --host \t\t")
        listed = [there.wait_for("apibox|kie|sunoapi") for _ in range(3)]

    assert ran == COMPLETED  # zsh removes a last slash
    assert set(listed) == {"apibox", "kie", "sunoapi"}

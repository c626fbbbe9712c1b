"""Every public name stands in the pages of the reference, and each name there is a public one."""

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "reference").glob("*.md"))
TEXT = "\n".join(page.read_text() for page in PAGES)
NAMED = re.findall(r"^::: ([\w.]+)$", TEXT, re.MULTILINE)
MODULES = [
    "suno_cover_async",
    "suno_cover_async.artwork",
    "suno_cover_async.artwork.audio",
    "suno_cover_async.review",
    "suno_cover_async.sandbox",
    "suno_cover_async.telemetry",
]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_stands_in_the_reference_once(module: str) -> None:
    public = sorted(f"{module}.{name}" for name in import_module(module).__all__)

    assert sorted(name for name in NAMED if name.rpartition(".")[0] == module) == public


def test_nothing_else_stands_in_the_reference() -> None:
    assert {name.rpartition(".")[0] for name in NAMED} == set(MODULES)

"""Each message of the page on troubleshooting is one of the code's."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import suno_cover_async

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
MESSAGES = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)


@cache
def texts() -> list[str]:
    """Return all texts of the package, with `…` where a value is filled in."""
    found: list[str] = []
    for file in Path(suno_cover_async.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(_part(one) for one in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return [re.sub(r"%[\w.]*[sdf]", "…", text) for text in found]


def _part(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "…"


def is_said(message: str) -> bool:
    """Whether some text of the package has a message; `…` of the page stands for anything."""
    pattern = re.compile(".*".join(map(re.escape, message.split("…"))), re.DOTALL)
    return any(pattern.search(text) for text in texts())


@pytest.mark.parametrize("message", MESSAGES)
def test_each_message_of_the_page_is_one_of_the_codes(message: str) -> None:
    assert is_said(message)


def test_the_page_has_messages_and_words_that_nobody_says_are_found_out() -> None:
    assert len(MESSAGES) > 40
    assert len(set(MESSAGES)) == len(MESSAGES)
    assert not is_said("the ledger … is in use by nobody at all")

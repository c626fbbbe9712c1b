"""A terminal in memory, and what was drawn on it."""

import io

from rich.console import Console


def console(width: int = 80, height: int = 25) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )


def said(there: Console) -> str:
    assert isinstance(there.file, io.StringIO)
    return there.file.getvalue()

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


def log(width: int = 80) -> Console:
    """Have a console that is no terminal, as behind `2> log`."""
    return Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)

"""Show on a terminal that a command waits, for what, and for how long already.

It is for commands that make one request or wait for one cover; `progress.py` shows runs.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from suno_cover_async.cli.output.console import is_live
from suno_cover_async.cli.output.rows import clock, spinner_for

_PATIENCE = 1.0  # seconds without a spinner: most answers come sooner
_FRAMES_PER_SECOND = 8


@contextmanager
def waiting(console: Console, what: str) -> Generator[None, None, None]:
    """Show a spinner, `what` and the age of this block from its second second on, then clear it.

    Nothing is shown where lines cannot be redrawn. Call it in a running event loop.
    """
    if not is_live(console):
        yield
        return
    loop, spinner = asyncio.get_running_loop(), spinner_for(console)
    began = loop.time()

    def draw() -> Text:
        now = loop.time()
        frame = f"{spinner.render(now)} {what}: {clock(now - began)}"
        return Text(frame, no_wrap=True, overflow="ellipsis")

    display = Live(
        get_renderable=draw,
        console=console,
        refresh_per_second=_FRAMES_PER_SECOND,
        redirect_stdout=False,
        transient=True,
    )
    timer = loop.call_later(_PATIENCE, display.start)
    try:
        yield
    finally:
        timer.cancel()
        display.stop()

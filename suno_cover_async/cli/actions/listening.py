"""`--listen`: run a receiver in the command's process, so that callbacks end its waits.

It knows the two options, and where the receiver's secrets come from. Secrets are never arguments,
since every user of the machine could read those.
"""

import contextlib
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import attrs
import click

from suno_cover_async import Callback, CallbackReceiver
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.output.console import say, stderr
from suno_cover_async.common.text import printable

SECRET_VARIABLE = "SUNO_CALLBACK_SECRET"  # noqa: S105 - its name
HMAC_VARIABLE = "SUNO_CALLBACK_HMAC_KEY"

_HIGHEST_PORT = 65_535


@attrs.frozen(kw_only=True)
class CallbackListener:
    """A receiver: its listening address, its public URL, and the callbacks that arrived."""

    host: str
    port: int
    public_url: str
    receiver: CallbackReceiver
    callbacks: list[Callback]

    def arguments(self) -> list[str]:
        """Return the options as words, for a command that continues where this one stopped."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return ["--listen", f"{host}:{self.port}", "--public-url", self.public_url]

    async def run_while_listening(
        self, work: Coroutine[Any, Any, int], *, expected: Callable[[], bool] = lambda: True
    ) -> int:
        """Do the work while listening, and return its exit code.

        If listening fails, the work never begins.

        Args:
            work: The command.
            expected: Returns whether callbacks should have arrived, called after the work.
        """
        with contextlib.closing(work):
            async with self.open():
                code = await work
                if code == ExitCode.DONE and expected():
                    self.judge()
                return code

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        """Listen, and write where; raises OSError if the address cannot be used."""
        where = printable(f"{self.host} port {self.port}")
        async with contextlib.AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self.receiver.listen(self.host, self.port))
            except OSError as error:
                error.add_note(
                    f"listen elsewhere than on {where}, at the address that --public-url leads to: "
                    "127.0.0.1 behind a proxy, or 0.0.0.0 for all addresses"
                )
                raise
            say(stderr(), f"listening for callbacks on {where}, as {printable(self.public_url)}")
            yield

    def judge(self) -> None:
        """Warn if no callback arrived."""
        if not self.callbacks:
            where = printable(self.public_url)
            what = f"no callback came to {where}: check that this URL leads to --listen"
            say(stderr(), f"{what}. All covers were found by polling", "yellow")


def listener_of(listen: str | None, public_url: str | None) -> CallbackListener | None:
    """Return what listens as `--listen` and `--public-url` say; None without them.

    Raises:
        click.UsageError: One of them is missing, or is not valid.
    """
    if listen is None and public_url is None:
        return None
    if listen is None or public_url is None:
        raise click.UsageError("--listen and --public-url belong together: pass both, or none")
    host, port = _place(listen)
    came: list[Callback] = []
    try:
        receiver = CallbackReceiver(
            public_url=public_url,
            secret=os.environ.get(SECRET_VARIABLE) or secrets.token_urlsafe(32),
            hmac_key=os.environ.get(HMAC_VARIABLE) or None,
            on_callback=came.append,
        )
    except ValueError as error:
        raise click.UsageError(str(error).replace("public_url", "--public-url")) from None
    return CallbackListener(
        host=host, port=port, public_url=public_url, receiver=receiver, callbacks=came
    )


def _place(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else -1  # noqa: PLR2004
    if not (colon and host and 1 <= number <= _HIGHEST_PORT):
        raise click.UsageError(
            "--listen must be HOST:PORT, such as 127.0.0.1:8481 behind a proxy, 0.0.0.0:8481 for "
            f"all addresses, or [::1]:8481, not {listen[:80]!r}"
        )
    return host.removeprefix("[").removesuffix("]"), number

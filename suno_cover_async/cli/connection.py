"""Make a client from the options shared by all commands that call the API.

It knows the three sources of the key: the environment, a file, standard input. The key is never an
argument, is stored nowhere here, and is in no message.
"""

import os
import sys
from pathlib import Path
from typing import ClassVar

import attrs
import click

from suno_cover_async import SUNOAPI, CallbackReceiver, PollPolicy, RetryPolicy, SunoCoverClient
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.key_option import KEY_VARIABLE
from suno_cover_async.cli.ledger_path import LedgerPath
from suno_cover_async.cli.options import CONCURRENCY
from suno_cover_async.cli.shared_limit import rate_limit
from suno_cover_async.hosts import HOSTS
from suno_cover_async.http.account import base_url_of
from suno_cover_async.http.credentials import key_problem

_LONGEST_KEY_FILE = 65_536


class KeyMissingError(click.ClickException):
    """There is no API key."""

    exit_code: ClassVar[int] = ExitCode.KEY


@attrs.frozen(kw_only=True)
class Connection:
    """Which API to call, where its key comes from, and how long to wait."""

    host: str = SUNOAPI.name
    base_url: str | None = None
    key_file: str | None = None
    timeout: float | None = None
    poll: float | None = None
    proxy: str | None = None
    fake_ip: tuple[str, ...] = ()
    shared_limit: bool = True

    def client(
        self,
        receiver: CallbackReceiver | None = None,
        *,
        concurrency: int = CONCURRENCY,
        retry: RetryPolicy | None = None,
        ledger: LedgerPath | None = None,
    ) -> SunoCoverClient:
        """Return a new client; a `ledger` in a database shares the account's limit.

        Raises:
            KeyMissingError: There is no key.
            click.UsageError: The key cannot be read, or has characters that are not allowed.
            ValueError: Another option has a wrong value.
        """
        poll = self._schedule()
        base_url = base_url_of(self.base_url, HOSTS[self.host])
        return SunoCoverClient(
            self._key(),
            host=HOSTS[self.host],
            base_url=self.base_url,
            poll=poll,
            receiver=receiver,
            concurrency=concurrency,
            rate_limit=rate_limit(base_url, shared=self.shared_limit, ledger=ledger),
            retry=retry or RetryPolicy(),
            proxy=self.proxy,
            trust_env=True,
            fake_ip_networks=self.fake_ip,
        )

    def _schedule(self) -> PollPolicy:
        usual = PollPolicy()
        usual = usual if self.timeout is None else attrs.evolve(usual, timeout=self.timeout)
        if self.poll is None:
            return usual
        longest = max(self.poll, usual.max_interval)
        return attrs.evolve(
            usual, initial_delay=self.poll, min_interval=self.poll, max_interval=longest
        )

    def longer(self) -> "Connection":
        """Return the same connection with twice the time to wait for a cover."""
        usual = PollPolicy().timeout if self.timeout is None else self.timeout
        return attrs.evolve(self, timeout=2 * usual)

    def arguments(self) -> list[str]:
        """Return the options as words, for a command that continues where this one stopped."""
        given = {
            "--host": None if self.host == SUNOAPI.name else self.host,
            "--base-url": self.base_url,
            "--key-file": self.key_file,
            "--timeout": None if self.timeout is None else f"{self.timeout:g}",
            "--poll": None if self.poll is None else f"{self.poll:g}",
            "--proxy": self.proxy,
        }
        options = [*given.items(), *(("--fake-ip", network) for network in self.fake_ip)]
        words = [word for name, value in options if value is not None for word in (name, value)]
        return words if self.shared_limit else [*words, "--no-shared-limit"]

    def _key(self) -> str:
        if self.key_file is None:
            source, key = KEY_VARIABLE, os.environ.get(KEY_VARIABLE, "")
            missing = f"set {KEY_VARIABLE}, or pass --key-file FILE (- is standard input)"
        else:
            source = "standard input" if self.key_file == "-" else "the key file"
            key = _read_key(self.key_file)
            missing = f"{source} is empty"
        if not key:
            raise KeyMissingError(f"no API key; {missing}")
        problem = key_problem(key)
        if problem is None:
            return key
        del key  # so that no traceback's locals show it
        raise click.UsageError(f"the API key from {source} {problem}")


def _read_key(name: str) -> str:
    """Read a key from a file, without one trailing newline.

    No error shows the file's name, since a user may have passed the key itself in its place.
    """
    try:
        return _content(name).removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "it has no valid name"
    raise click.BadParameter(
        f"the file cannot be read: {problem} (its name is not shown, in case it is the key)",
        param_hint="--key-file",
    )


def _content(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(_LONGEST_KEY_FILE)
    with Path(name).open("rb") as file:
        return file.read(_LONGEST_KEY_FILE)

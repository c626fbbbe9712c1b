"""Make a client from the options shared by all commands that call the API.

It knows the three sources of the key: the environment, a file, standard input. The key is never an
argument, is stored nowhere here, and is in no message. `settings.py` decides between an option, the
environment and a profile.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs
import click

from suno_cover_async import SUNOAPI, CallbackReceiver, PollPolicy, RetryPolicy, SunoCoverClient
from suno_cover_async.cli import settings
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.key_option import KEY_VARIABLE
from suno_cover_async.cli.ledger_path import LedgerPath
from suno_cover_async.cli.options import CONCURRENCY
from suno_cover_async.cli.profiles import NO_PROFILE, Profile, read_profiles
from suno_cover_async.cli.shared_limit import rate_limit
from suno_cover_async.http.credentials import key_problem

if TYPE_CHECKING:
    from suno_cover_async.http.server_clock import Session

_LONGEST_KEY_FILE = 65_536


class KeyMissingError(click.ClickException):
    """There is no API key."""

    exit_code: ClassVar[int] = ExitCode.KEY


@attrs.frozen(kw_only=True)
class Connection:
    """Which API to call, where its key comes from, and how long to wait.

    All but the last are options as they were given. `applied` is the profile whose settings apply
    where neither an option nor the environment says otherwise.
    """

    host: str | None = None
    base_url: str | None = None
    key_file: str | None = None
    timeout: float | None = None
    poll: float | None = None
    proxy: str | None = None
    fake_ip: tuple[str, ...] = ()
    shared_limit: bool = True
    profile: str | None = None
    applied: Profile = NO_PROFILE

    def with_profile(self) -> "Connection":
        """Return the same connection with the profile that is asked for, if one is.

        Raises:
            ConfigError: The config file cannot be used, or there is no such profile.
        """
        return attrs.evolve(self, applied=read_profiles().choose(self.profile))

    def client(
        self,
        receiver: CallbackReceiver | None = None,
        *,
        concurrency: int = CONCURRENCY,
        retry: RetryPolicy | None = None,
        ledger: LedgerPath | None = None,
        session: "Session | None" = None,
    ) -> SunoCoverClient:
        """Return a new client; a `ledger` in a database shares the account's limit.

        Raises:
            KeyMissingError: There is no key.
            click.UsageError: The key cannot be read, or has characters that are not allowed.
            ValueError: Another option has a wrong value.
        """
        poll = self._schedule()
        base_url = settings.base_url(self).value
        shared = settings.shared_limit(self).value
        return SunoCoverClient(
            self.key(),
            host=settings.host(self).value,
            base_url=base_url,
            poll=poll,
            receiver=receiver,
            concurrency=concurrency,
            rate_limit=rate_limit(base_url, shared=shared, ledger=ledger),
            retry=retry or RetryPolicy(),
            session=session,
            proxy=settings.proxy(self).value,
            trust_env=True,
            fake_ip_networks=settings.fake_ip(self).value,
        )

    def _schedule(self) -> PollPolicy:
        usual = attrs.evolve(PollPolicy(), timeout=settings.timeout(self).value)
        poll = settings.poll(self).value
        if poll is None:
            return usual
        longest = max(poll, usual.max_interval)
        return attrs.evolve(usual, initial_delay=poll, min_interval=poll, max_interval=longest)

    def longer(self) -> "Connection":
        """Return the same connection with twice the time to wait for a cover."""
        return attrs.evolve(self, timeout=2 * settings.timeout(self).value)

    def arguments(self) -> list[str]:
        """Return the options as words, for a command that continues where this one stopped."""
        given = {
            "--profile": self.profile,
            "--host": None if self.host == self._usual_host else self.host,
            "--base-url": self.base_url,
            "--key-file": self.key_file,
            "--timeout": None if self.timeout is None else f"{self.timeout:g}",
            "--poll": None if self.poll is None else f"{self.poll:g}",
            "--proxy": self.proxy,
        }
        options = [*given.items(), *(("--fake-ip", network) for network in self.fake_ip)]
        words = [word for name, value in options if value is not None for word in (name, value)]
        return words if self.shared_limit else [*words, "--no-shared-limit"]

    @property
    def _usual_host(self) -> str:
        """The name of the host without the option."""
        return self.applied.host or SUNOAPI.name

    def key(self) -> str:
        """Read the key.

        Raises:
            KeyMissingError: There is no key.
            click.UsageError: The key cannot be read, has characters that are not allowed, or is of
                a profile with another address.
        """
        file = settings.key_file(self)
        if file.value is None:
            source, key = KEY_VARIABLE, os.environ.get(KEY_VARIABLE, "")
            missing = f"set {KEY_VARIABLE}, or pass --key-file FILE (- is standard input)"
        else:
            is_option = file.origin == "--key-file"
            if not is_option:
                _check_destination(self)
            named = "the key file" if is_option else file.origin
            source = "standard input" if file.value == "-" else named
            key = _read_key(file.value, file.origin)
            missing = f"{source} is empty"
        if not key:
            raise KeyMissingError(f"no API key; {missing}")
        problem = key_problem(key)
        if problem is None:
            return key
        del key  # so that no traceback's locals show it
        raise click.UsageError(f"the API key from {source} {problem}")


def _check_destination(connection: Connection) -> None:
    try:
        settings.check_destination(connection)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _read_key(name: str, origin: str) -> str:
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
        param_hint=origin,
    )


def _content(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(_LONGEST_KEY_FILE)
    with Path(name).open("rb") as file:
        return file.read(_LONGEST_KEY_FILE)

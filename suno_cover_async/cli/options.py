"""Define the options shared by all commands that call the API, and make a client from them.

It knows click and the three sources of the key: the environment, a file, standard input. The key
is never an argument, is stored nowhere here, and is in no message.
"""

import functools
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import attrs
import click

from suno_cover_async import SUNOAPI, CallbackReceiver, PollPolicy, RetryPolicy, SunoCoverClient
from suno_cover_async import cli as package
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.ledger_path import LedgerPath
from suno_cover_async.cli.output.console import logging_to, stderr
from suno_cover_async.cli.shared_limit import rate_limit
from suno_cover_async.common import validation
from suno_cover_async.common.addresses import fake_ip_networks
from suno_cover_async.hosts import HOSTS
from suno_cover_async.http.account import base_url_of
from suno_cover_async.http.credentials import key_problem
from suno_cover_async.network.proxies import proxies

F = TypeVar("F", bound=Callable[..., object])

KEY_VARIABLE = "SUNO_API_KEY"
CONCURRENCY = 500
"""How many covers are in flight at once by default."""

_CODES = [line for line in (package.__doc__ or "").splitlines() if line[:1].isdigit()]
EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {line}" for line in _CODES)
"""The last lines of a command's help: the table of exit codes."""

_LONGEST_KEY_FILE = 65_536


class KeyMissingError(click.ClickException):
    """There is no API key."""

    exit_code: ClassVar[int] = ExitCode.KEY


class Seconds(click.FloatRange):
    """A finite number of seconds; click's own range lets nan and inf pass."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Convert the value, and check that it is finite and in the range."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{seconds} is not a finite number of seconds", param, ctx)
        return seconds


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


def _refuse_key(_context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(
            f"{parameter.opts[0]} does not exist: a key on the command line can be read by every "
            f"process of the machine, so treat this one as seen by others; set {KEY_VARIABLE}, or "
            "pass --key-file FILE (- is standard input)"
        )


def _writable(
    context: click.Context, parameter: click.Parameter, folder: Path | None
) -> Path | None:
    """Make the folder and check that it is writable, before paying; not in a dry run."""
    if folder is None or context.params.get("dry_run"):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        problem = "" if os.access(folder, os.W_OK) else "not writable"
    except FileExistsError:
        problem = "it is a file, not a folder"
    except OSError as error:
        problem = error.strerror or "not possible"
    if problem:
        raise click.BadParameter(f"images cannot be saved there: {problem}", param=parameter)
    return folder


def image_folder(default: str | None, words: str) -> Callable[[Any], Any]:
    """Return the option `--out`, the folder where images are saved."""
    return click.option(
        "--out",
        "into",
        type=click.Path(path_type=Path),
        default=default,
        show_default=True,
        callback=_writable,
        help=words,
    )


with_json: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON, one object per line."
)


def _address(_: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    try:
        return None if url is None else validation.base_url(parameter.opts[0], url)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _networks(
    _: click.Context, parameter: click.Parameter, networks: tuple[str, ...]
) -> tuple[str, ...]:
    try:
        fake_ip_networks(parameter.opts[0], networks)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return networks


def _proxy(_: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Check the URL of a proxy; it must hold no password, which others could read."""
    if url is not None and "@" in url:
        raise click.UsageError(
            f"{parameter.opts[0]} must hold no user name and no password, which every process of "
            "the machine could read; set HTTPS_PROXY to the whole URL instead"
        )
    try:
        proxies(url, trust_env=False)
    except ValueError as error:
        raise click.UsageError(str(error).replace("proxy", parameter.opts[0], 1)) from None
    return url


refuse_key: Callable[[Any], Any] = click.option(
    "--api-key",
    "--key",
    "--token",
    hidden=True,
    expose_value=False,
    is_eager=True,
    callback=_refuse_key,
)
"""A hidden option that refuses a key on the command line, and shows nothing of its value."""


_verbosity = click.option(
    "-v",
    "--verbose",
    count=True,
    help="Log each request to standard error, never the key; -vv logs more. SUNO_LOG=info and "
    "SUNO_LOG=debug do the same.",
)

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--host",
        type=click.Choice(tuple(HOSTS), case_sensitive=False),
        default=SUNOAPI.name,
        show_default=True,
        help="The host whose API is called.",
    ),
    click.option(
        "--base-url",
        metavar="URL",
        callback=_address,
        help="Another base URL, for a proxy or the sandbox; overrides SUNO_BASE_URL.",
    ),
    click.option(
        "--key-file",
        metavar="FILE",
        help=f"Read the API key from FILE (- is standard input) instead of {KEY_VARIABLE}.",
    ),
    click.option(
        "--timeout",
        type=Seconds(0, min_open=True),
        metavar="SECONDS",
        help=f"How long to wait for one cover. [default: {PollPolicy().timeout:g}]",
    ),
    click.option(
        "--poll",
        type=Seconds(0, min_open=True),
        metavar="SECONDS",
        help="The minimum time between two polls of a cover. [default: 5, the first as learned]",
    ),
    click.option(
        "--proxy",
        metavar="URL",
        callback=_proxy,
        help="Send everything through this http or https proxy. [default: HTTPS_PROXY, or "
        "ALL_PROXY, but for the hosts in NO_PROXY]",
    ),
    click.option(
        "--fake-ip",
        metavar="NETWORK",
        multiple=True,
        callback=_networks,
        help="Let names of image hosts lead into NETWORK, such as 198.18.0.0/15, from which your "
        "proxy's resolver answers; repeatable.",
    ),
    click.option(
        "--no-shared-limit",
        "shared_limit",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Do not share the account's limit with other commands on this machine, or with those "
        "that use the same database.",
    ),
    _verbosity,
    refuse_key,
)


def with_options(command: Any, options: Sequence[Callable[[Any], Any]]) -> Any:
    """Add options to a command, shown in this order in its help."""
    for option in reversed(options):
        command = option(command)
    return command


def connected(function: F) -> F:
    """Add the shared options to a command, which gets them as one `connection` argument."""
    names = [field.name for field in attrs.fields(Connection)]

    @functools.wraps(function)
    def command(*args: Any, verbose: int, **given: Any) -> object:
        connection = Connection(**{name: given.pop(name) for name in names})
        with logging_to(stderr(), verbose):
            return function(*args, connection=connection, **given)

    return cast("F", with_options(command, _OPTIONS))

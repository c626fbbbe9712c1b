"""Define the options that several commands share, and check their values.

It knows click and values. What needs a client or a terminal is imported when a command runs, so
that help and completion answer at once.
"""

import functools
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
import click
from click.shell_completion import CompletionItem

from suno_cover_async.cli.key_option import KEY_VARIABLE, refuse_key
from suno_cover_async.cli.sections import SectionOption
from suno_cover_async.common import validation
from suno_cover_async.common.addresses import fake_ip_networks
from suno_cover_async.hosts import HOSTS, SUNOAPI
from suno_cover_async.policies import PollPolicy

if TYPE_CHECKING:
    from suno_cover_async.cli.connection import Connection

F = TypeVar("F", bound=Callable[..., object])

CONCURRENCY = 500
"""How many covers are in flight at once by default."""


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


def _writable(
    context: click.Context, parameter: click.Parameter, folder: Path | None
) -> Path | None:
    """Make the folder and check that it is writable, before paying; not in a dry run.

    Completion calls this as well, while the command line is being written: it makes nothing.
    """
    if folder is None or context.resilient_parsing or context.params.get("dry_run"):
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


def _proxy(context: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Check the URL of a proxy; it must hold no password, which others could read."""
    if url is None or context.resilient_parsing:
        return url
    if "@" in url:
        raise click.UsageError(
            f"{parameter.opts[0]} must hold no user name and no password, which every process of "
            "the machine could read; set HTTPS_PROXY to the whole URL instead"
        )
    from suno_cover_async.network.proxies import proxies

    try:
        proxies(url, trust_env=False)
    except ValueError as error:
        raise click.UsageError(str(error).replace("proxy", parameter.opts[0], 1)) from None
    return url


def _files(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Have the shell complete a file; a type of click's would show its name in errors."""
    return [CompletionItem(incomplete, type="file")]


def _profiles(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Have the shell complete the name of a profile; a bad config file has none."""
    from suno_cover_async.cli.profiles import profile_names

    return [CompletionItem(name) for name in profile_names() if name.startswith(incomplete)]


_connection = functools.partial(click.option, cls=SectionOption, section="Connection")
_callbacks = functools.partial(click.option, cls=SectionOption, section="Callbacks")

_CONNECTION: tuple[Callable[[Any], Any], ...] = (
    _connection(
        "--profile",
        metavar="NAME",
        shell_complete=_profiles,
        help="Take what no option and no variable says from this profile of the config file. "
        "[default: SUNO_PROFILE, or the file's own default]",
    ),
    _connection(
        "--host",
        type=click.Choice(tuple(HOSTS), case_sensitive=False),
        help=f"The host whose API is called. [default: {SUNOAPI.name}]",
    ),
    _connection(
        "--base-url",
        metavar="URL",
        callback=_address,
        help="Another base URL, for a proxy or the sandbox; overrides SUNO_BASE_URL.",
    ),
    _connection(
        "--key-file",
        metavar="FILE",
        shell_complete=_files,
        help=f"Read the API key from FILE (- is standard input) instead of {KEY_VARIABLE}.",
    ),
    _connection(
        "--timeout",
        type=Seconds(0, min_open=True),
        metavar="SECONDS",
        help=f"How long to wait for one cover. [default: {PollPolicy().timeout:g}]",
    ),
    _connection(
        "--poll",
        type=Seconds(0, min_open=True),
        metavar="SECONDS",
        help="The minimum time between two polls of a cover. [default: 5, the first as learned]",
    ),
    _connection(
        "--proxy",
        metavar="URL",
        callback=_proxy,
        help="Send everything through this http or https proxy. [default: HTTPS_PROXY, or "
        "ALL_PROXY, but for the hosts in NO_PROXY]",
    ),
    _connection(
        "--fake-ip",
        metavar="NETWORK",
        multiple=True,
        callback=_networks,
        help="Let names of image hosts lead into NETWORK, such as 198.18.0.0/15, from which your "
        "proxy's resolver answers; repeatable.",
    ),
    _connection(
        "--no-shared-limit",
        "shared_limit",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Do not share the account's limit with other commands on this machine, or with those "
        "that use the same database.",
    ),
    _connection(
        "-v",
        "--verbose",
        count=True,
        help="Log each request to standard error, never the key; -vv logs more. SUNO_LOG=info and "
        "SUNO_LOG=debug do the same.",
    ),
    refuse_key,
)

_LISTENER: tuple[Callable[[Any], Any], ...] = (
    _callbacks(
        "--listen",
        metavar="HOST:PORT",
        help="Receive callbacks on this address, and poll only rarely.",
    ),
    _callbacks(
        "--public-url",
        metavar="URL",
        help="The URL where the API reaches --listen, through your proxy or tunnel.",
    ),
)


def _with_options(command: Any, options: Sequence[Callable[[Any], Any]]) -> Any:
    """Add options to a command, shown in this order in its help."""
    for option in reversed(options):
        command = option(command)
    return command


def connected(function: F) -> F:
    """Add the shared options to a command, which gets them as one `connection` argument.

    The profile that is asked for applies. Without one, a config file that cannot be used is an
    error as well: it says where the key is sent.
    """

    def command(*args: Any, connection: "Connection", **given: Any) -> object:
        return function(*args, connection=connection.with_profile(), **given)

    return cast("F", connected_without_profile(functools.update_wrapper(command, function)))


def connected_without_profile(function: F) -> F:
    """Add the same options, and read no config file."""

    @functools.wraps(function)
    def command(*args: Any, verbose: int, **given: Any) -> object:
        from suno_cover_async.cli.connection import Connection
        from suno_cover_async.cli.output.console import logging_to, stderr

        names = {field.name for field in attrs.fields(Connection)} & set(given)
        connection = Connection(**{name: given.pop(name) for name in names})
        with logging_to(stderr(), verbose):
            return function(*args, connection=connection, **given)

    return cast("F", _with_options(command, _CONNECTION))


def with_listener(function: F) -> F:
    """Add `--listen` and `--public-url` to a command, as one `listener` argument (may be None)."""

    @functools.wraps(function)
    def command(*args: Any, listen: str | None, public_url: str | None, **more: Any) -> object:
        from suno_cover_async.cli.actions.listening import listener_of

        return function(*args, listener=listener_of(listen, public_url), **more)

    return cast("F", _with_options(command, _LISTENER))

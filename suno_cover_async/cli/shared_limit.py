"""Share the account's limit among commands.

All commands of a user share it by a file in the user's state folder, and those that share a ledger
in a database, by that database.
"""

from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from suno_cover_async import ClientUsageError, Limiter, RateLimit, SharedRateLimiter
from suno_cover_async.cli.ledger_path import LedgerPath, is_database
from suno_cover_async.cli.output.console import say, stderr
from suno_cover_async.common.addresses import is_loopback

LIMIT = RateLimit(calls=20, seconds=10)
"""The API's limit of an account's requests."""

_PATIENCE = 120.0  # seconds; the ledger in the same database gives up before, and ends the run


def limit_file() -> Path:
    """Return the path of the file; on Linux it is below XDG_STATE_HOME or ~/.local/state.

    Raises:
        ClientUsageError: The user has no home directory, as in some containers.
    """
    try:
        path = platformdirs.user_state_path("suno-cover") / "rate-limit.db"
    except RuntimeError:
        path = Path()
    if not path.is_absolute():  # some versions return a folder named ~
        raise ClientUsageError("there is no home directory; set HOME or XDG_STATE_HOME to one")
    return path


def is_on_this_machine(base_url: str) -> bool:
    """Return whether the API is on loopback, such as the sandbox, which has a limit of its own."""
    return is_loopback(urlsplit(base_url).hostname)


def rate_limit(
    base_url: str, *, shared: bool, ledger: LedgerPath | None = None
) -> RateLimit | Limiter:
    """Return the limit of a command: shared with other commands, unless that is not wanted.

    Without such a ledger, a host on loopback, such as the sandbox, has a limit of its own. Where
    the file cannot be written, a warning says so and the command keeps the limit by itself.

    Args:
        base_url: The base URL of the API.
        shared: Whether to share the limit.
        ledger: The command's ledger; one in a database shares the limit over machines.
    """
    if not shared:
        return LIMIT
    if is_database(ledger):
        return SharedRateLimiter(
            str(ledger), calls=LIMIT.calls, seconds=LIMIT.seconds, patience=_PATIENCE
        )
    if is_on_this_machine(base_url):
        return LIMIT
    try:
        return SharedRateLimiter(limit_file(), calls=LIMIT.calls, seconds=LIMIT.seconds)
    except ClientUsageError as error:
        what = f"other commands do not count against this one's limit, and may be refused: {error}"
        say(stderr(), f"{what}; or pass --no-shared-limit", "yellow")
        return LIMIT

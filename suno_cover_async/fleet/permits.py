"""Where the permits of accounts are kept: in a file of one machine, or in a database of several.

This module knows which of the two; `permit_file.py` and `permit_table.py` know the rest.
"""

import os
from collections.abc import Callable, Iterable
from typing import ClassVar, Protocol

from suno_cover_async.common import validation
from suno_cover_async.errors import ClientUsageError
from suno_cover_async.fleet.permit_file import PermitFile
from suno_cover_async.policies import RateLimit
from suno_cover_async.postgres.url import names_database


class Permits(Protocol):
    """The permits of accounts. Every method blocks, so it is called in a thread.

    Attributes:
        failures: What the methods raise where the permits cannot be reached.
    """

    failures: ClassVar[tuple[type[Exception], ...]]

    def take(self, account: str, window: float) -> tuple[int, float]:
        """Take a permit; return its token and 0, or 0 and the seconds until one may be free."""
        ...

    def give_back(self, account: str, token: int, seconds: float) -> None:
        """Return a permit; it is free after `seconds`."""
        ...

    def renew(self, account: str, tokens: Iterable[int]) -> None:
        """Begin the leases of held permits anew."""
        ...

    def pause(self, account: str, seconds: float) -> None:
        """Give no permit of an account for `seconds`, at most for an hour; a longer pause stays."""
        ...

    def may_pass(self, error: BaseException, /) -> bool:
        """Return whether a step that failed may succeed later."""
        ...

    def problem(self, error: BaseException) -> str:
        """Return what an error means and what to do, without a secret."""
        ...

    def in_short(self, error: BaseException, /) -> str:
        """Return in a few words what an error that may pass means, without a secret."""
        ...

    def told(self, error: BaseException) -> tuple[str, str]:
        """Return what to say of an error that may pass, and what once it has passed."""
        ...


def permits_at(
    where: str | os.PathLike[str], limit: RateLimit, lease: float, clock: Callable[[], float]
) -> Permits:
    """Return the permits in a file, which is opened once, or at a URL, which is not.

    Args:
        where: The path of the file, or the URL of a PostgreSQL database.
        limit: The limit that they keep.
        lease: The seconds after which a held permit is free, unless it is renewed.
        clock: Returns seconds, for a file; a database has its own.

    Raises:
        ClientUsageError: The file cannot be made or written.
        ModuleNotFoundError: It is a URL, and psycopg is not installed.
        TypeError: It is neither.
        ValueError: It is another URL, or no path on this system.
    """
    if isinstance(where, str) and names_database(where):
        from suno_cover_async.fleet.permit_table import PermitTable  # noqa: PLC0415 - psycopg

        return PermitTable(where, limit, lease)
    path = validation.folder("where", where).absolute()
    try:
        return PermitFile(path, limit.calls, lease, clock)
    except PermitFile.failures as error:
        raise ClientUsageError(PermitFile.unusable(path, error)) from None

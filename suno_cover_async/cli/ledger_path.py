"""Read the argument that names a ledger: a file, or the URL of a PostgreSQL database.

It knows click. A URL with a password is refused, whatever it is an argument of: other users of the
machine see it in the list of processes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import click

import suno_cover_async
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.postgres.url import DatabaseUrl, is_postgres_url, names_database

LedgerPath: TypeAlias = Path | str
"""A file's path, or the URL of a PostgreSQL database, which holds no password."""

_SEEN = (
    "a password in the URL of a database can be read by every process of the machine, so treat "
    "this one as seen by others; put it into ~/.pgpass, PGPASSWORD or a service of "
    "~/.pg_service.conf, and leave it out of the URL"
)


class ExtraMissingError(click.ClickException):
    """An extra that the command line needs for this ledger is not installed."""

    exit_code: ClassVar[int] = ExitCode.NOT_INSTALLED


class _LedgerPathType(click.Path):
    """A file, or the URL of a PostgreSQL database."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a `LedgerPath`; nothing is opened. Completion loads nothing for it."""
        if ctx is not None and ctx.resilient_parsing:
            return value
        try:
            if not names_database(value):
                return super().convert(value, param, ctx)
            suno_cover_async.Ledger(value)
        except ModuleNotFoundError as error:
            raise ExtraMissingError(str(error)) from None
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


LEDGER = _LedgerPathType()
"""The type of each argument and option that names a ledger."""


def is_database(path: LedgerPath | None) -> bool:
    """Return whether a ledger is in a database, which several runs share."""
    return is_postgres_url(path)


def refuse_passwords(words: Sequence[str]) -> None:
    """Refuse a command line with the URL of a database that holds a password, or that is none.

    The messages do not repeat the URL.

    Raises:
        click.UsageError: There is such a URL.
    """
    for word in words:
        for given in (word, word.partition("=")[2]):
            if is_postgres_url(given):
                _check(given)


def _check(url: str) -> None:
    try:
        has_password = DatabaseUrl.parse(url).has_password
    except ValueError as error:
        raise click.UsageError(f"the URL of a ledger's database cannot be read: {error}") from None
    if has_password:
        raise click.UsageError(_SEEN)

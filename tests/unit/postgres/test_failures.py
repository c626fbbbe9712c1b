"""What each error means for a transaction, by the states that PostgreSQL documents."""

import pytest
from psycopg import InterfaceError, OperationalError, ProgrammingError, errors

from suno_cover_async.postgres.failures import (
    in_short,
    is_conflict,
    is_passing,
    passing_problem,
    reason_of,
)
from suno_cover_async.postgres.url import DatabaseUrl

CONFLICTS = [errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable]
PASSING = [
    *(errors.ConnectionException, errors.ConnectionFailure, errors.ProtocolViolation),
    *(errors.DiskFull, errors.OutOfMemory, errors.TooManyConnections),
    *(errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow),
    *(errors.IdleInTransactionSessionTimeout, errors.ReadOnlySqlTransaction),
    *(errors.SystemError, errors.IoError, errors.IdleSessionTimeout),
]
LASTING = [
    *(errors.UniqueViolation, errors.SyntaxError, errors.UndefinedTable, errors.DatabaseDropped),
    *(errors.InsufficientPrivilege, errors.InvalidPassword, errors.InvalidCatalogName),
    *(errors.QueryCanceled, errors.InFailedSqlTransaction, errors.InternalError_),
    *(errors.DataCorrupted, errors.NumericValueOutOfRange, errors.CharacterNotInRepertoire),
]


@pytest.mark.parametrize("kind", CONFLICTS)
def test_after_a_conflict_the_transaction_is_repeated(kind: type[Exception]) -> None:
    assert is_conflict(kind("x"))
    assert is_passing(kind("x"))


@pytest.mark.parametrize("kind", [*PASSING, OperationalError, InterfaceError])
def test_what_the_server_recovers_from_is_no_conflict_and_passes(kind: type[Exception]) -> None:
    assert is_passing(kind("x"))
    assert not is_conflict(kind("x"))


@pytest.mark.parametrize("kind", [*LASTING, ProgrammingError, ValueError, OSError])
def test_what_would_fail_again_is_given_up(kind: type[Exception]) -> None:
    assert not is_passing(kind("x"))
    assert not is_conflict(kind("x"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a\n\tb  c\n", "a b c"), ("", "OperationalError"), ("  ", "OperationalError")],
)
def test_a_reason_is_one_line_and_never_empty(text: str, reason: str) -> None:
    assert reason_of(OperationalError(text)) == reason


REFUSED = (
    'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused\n\t'
    "Is the server running on that host and accepting TCP/IP connections?\n"
)
URL = DatabaseUrl.parse("postgresql://me:secret@db/covers")


@pytest.mark.parametrize(
    ("error", "told", "short"),
    [
        (
            OperationalError(REFUSED + "Multiple connection attempts failed. All failures were: -"),
            "does not answer (Connection refused); check the server",
            "the database does not answer",
        ),
        (
            OperationalError(
                'connection to server at "::1", port 5432 failed: FATAL:  password authentication '
                'failed for user "me"'
            ),
            'does not answer (password authentication failed for user "me"); check the password',
            "the database does not answer",
        ),
        (
            errors.AdminShutdown("terminating connection due to secret administrator's command"),
            "does not answer (terminating connection due to ***...); check the server",
            "the database does not answer",
        ),
        (
            errors.DiskFull("could not extend file"),
            "cannot work (could not extend file); check the server",
            "the database cannot work (could not extend file)",
        ),
    ],
)
def test_what_hinders_a_database_is_told_with_its_url_the_reason_and_what_to_check(
    error: Exception, told: str, short: str
) -> None:
    assert passing_problem(URL, error) == f"the database postgresql://me@db/covers {told}"
    assert in_short(error) == short

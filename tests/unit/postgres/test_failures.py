"""What each error means for a transaction, by the states that PostgreSQL documents."""

import pytest
from psycopg import InterfaceError, OperationalError, ProgrammingError, errors

from suno_cover_async.postgres.failures import is_conflict, is_passing, reason_of

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

"""Connect to a PostgreSQL server, with settings that keep a commit durable and a lock short.

It must not know what any table holds.
"""

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
    from psycopg.rows import TupleRow
except ImportError as _error:
    raise ModuleNotFoundError(
        "PostgreSQL needs psycopg: pip install 'suno-cover-async[postgres]'", name="psycopg"
    ) from _error

from suno_cover_async.postgres.url import DatabaseUrl

Connection = psycopg.Connection[TupleRow]
NotLetInError = psycopg.errors.SqlclientUnableToEstablishSqlconnection
"""No connection was made: the driver's errors for that do not differ from those for a lost one."""

OLDEST_SERVER = 130_000
"""The oldest version of PostgreSQL that has what we use, as `server_version` counts."""

# A host that vanished is noticed within half a minute, and a connection is tried for ten seconds:
# the URL may say otherwise, since its own parameters win.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "target_session_attrs": "read-write",
}

# A process that was stopped in the middle of a transaction holds its locks: the server ends it
# after `idle_in_transaction_session_timeout`, and whoever waits gives up after `lock_timeout` and
# tries again. A commit that was answered is on the disk, whatever the role or the database is set
# to; `remote_apply` is stricter than `on`, and stays. No statement fails for what another
# transaction did, whatever isolation the role or the database is set to.
_SETTINGS = """
    SELECT
        set_config('default_transaction_isolation', 'read committed', false),
        set_config('search_path', %s, false),
        set_config('client_encoding', 'UTF8', false),
        set_config('idle_in_transaction_session_timeout', '15s', false),
        set_config('lock_timeout', '10s', false),
        set_config('synchronous_commit', CASE current_setting('synchronous_commit')
            WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)
"""


_POOLED = (
    "a pooler such as PgBouncer is in between, which may give each transaction another session of "
    "the server, without the settings that keep commits safe: let the URL lead to the server itself"
)


_PASSWORDS = "; put the password into ~/.pgpass or PGPASSWORD"


def connect(url: DatabaseUrl, application: str, *, may_be_pooled: bool = False) -> Connection:
    """Connect in autocommit mode; it blocks, for ten seconds at most unless the URL says otherwise.

    With several hosts in the URL, or several addresses of a host, these are the seconds for each.

    Args:
        url: The URL. Names of tables mean those in its schema alone, unless it may be pooled.
        application: What the server's list of connections shows; it must hold no secret.
        may_be_pooled: Whether a pooler may give each transaction another session of the server.
            Then no setting is made, since others would find it in theirs.

    Raises:
        psycopg.NotSupportedError: A pooler is between this process and the server.
        NotLetInError: The server cannot be reached, or refuses.
        psycopg.OperationalError: The connection was lost after it had been made.
        psycopg.ProgrammingError: The driver cannot use the URL.
    """
    failed: psycopg.Error
    try:
        connection = psycopg.connect(_conninfo(url, application), autocommit=True)
    except psycopg.OperationalError as error:
        failed = NotLetInError(url.hide(str(error)) + _where_passwords_are(error))
    except psycopg.Error as error:
        failed = type(error)(url.hide(str(error)))
    except UnicodeError:
        failed = psycopg.ProgrammingError("the name of a host is too long, or a part of it empty")
    else:
        try:
            if not may_be_pooled:
                _refuse_pooler(connection)
                connection.execute(_SETTINGS, (url.schema,))
        except BaseException:
            connection.close()
            raise
        return connection
    # A new error outside of `except`: in the driver's frames are values that hold the password.
    raise failed


def _where_passwords_are(error: psycopg.Error) -> str:
    """Return where a password belongs, if the server wanted one and the driver found none."""
    return _PASSWORDS if "no password supplied" in str(error) else ""


def _refuse_pooler(connection: Connection) -> None:
    """Raise NotSupportedError if a pooler answers in place of the server's process."""
    # A pooler cannot tell the number of a process that it has not chosen yet, so it tells its own.
    here = connection.info.backend_pid
    if connection.execute("SELECT pg_backend_pid()").fetchone() != (here,):
        raise psycopg.NotSupportedError(_POOLED)


def _conninfo(url: DatabaseUrl, application: str) -> str:
    given = conninfo_to_dict(url.conninfo)
    defaults = {name: value for name, value in _DEFAULTS.items() if name not in given}
    return make_conninfo(url.conninfo, application_name=application, **defaults)

"""Reach a PostgreSQL server: what its URL says, safe connections, and what its errors mean.

`url.py` reads a URL and hides its password, `connection.py` connects, and `failures.py` tells a lost
connection from a wrong statement. This folder must not know what any table holds. It needs psycopg,
which the extra `postgres` brings. Open `connection.py` first.
"""

try:
    import psycopg as _psycopg
except ImportError as _error:
    raise ModuleNotFoundError(
        "PostgreSQL needs psycopg: pip install 'suno-cover-async[postgres]'"
    ) from _error

del _psycopg

"""Keep a ledger in tables of a PostgreSQL database, which many processes on many machines share.

`store.py` opens a ledger, `database.py` repeats a transaction whose connection was lost,
`statements.py` has the statements, and `tables.py` the tables and their version. This folder must
not know what a step means. Open `store.py` first.
"""

import suno_cover_async.postgres.connection  # noqa: F401 - it says in words that psycopg is missing

"""Keep a ledger in tables of a PostgreSQL database, which many processes on many machines share.

`store.py` opens a ledger, `database.py` repeats a transaction whose connection was lost,
`commits.py` tells whether it took effect; `statements.py` has the statements, and `tables.py` the
tables and their version. This folder must not know what a step means. Open `store.py` first.
"""

import suno_cover_async.postgres.connection as _psycopg  # it says in words that this is missing

del _psycopg

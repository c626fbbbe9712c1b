"""Reach a PostgreSQL server: what its URL says, safe connections, and what its errors mean.

`url.py` reads a URL and hides its password, `connection.py` connects, `failures.py` tells a lost
connection from a wrong statement, and `tables.py` makes the tables that `fleet/` uses. This folder
must not know who reads or writes a table. `connection.py` and `failures.py` need psycopg,
which the extra `postgres` brings. Open `connection.py` first.
"""

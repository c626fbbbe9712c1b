"""Reach a PostgreSQL server: what its URL says, safe connections, and what its errors mean.

`url.py` reads a URL and hides its password, `connection.py` connects, and `failures.py` tells a
lost connection from a wrong statement. This folder must not know what any table holds. All but
`url.py` need psycopg, which the extra `postgres` brings. Open `connection.py` first.
"""

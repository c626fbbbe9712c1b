"""Keep a ledger in a SQLite file: open, lock and check the file, and write it by one thread.

This folder runs transactions. It must not know what a step means. Open `sqlite/store.py`
first.
"""

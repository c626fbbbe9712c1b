"""Store how far each track of a catalog is, so that nothing is lost in a crash.

`ledger.py` opens, leases and closes a ledger; `steps.py` defines each change, and `run_steps.py`
how runs share the tracks; `entry.py` holds the data of one track; `store.py` is the interface to
the storage, which `sqlite/` implements with a file, and `postgres/` with a database. This
folder must not know the client or the API. Open `ledger.py` first.
"""

"""Store how far each track of a catalog is, in a file that survives a crash.

`ledger.py` opens, leases and closes a ledger; `steps.py` defines each change; `entry.py` holds the
data of one track; `store.py` is the interface to the storage, and `sqlite/` implements it with a
file. This folder must not know the client or the API. Open `ledger.py` first.
"""

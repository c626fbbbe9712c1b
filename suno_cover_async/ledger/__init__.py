"""The ledger: how far each track of a catalog is, in a file that survives a crash.

`ledger.py` owns what each step means, `entry.py` what is known of one track, `sqlite/` how it is
kept on a disk. It must not know the client or the API. Open `ledger.py` first.
"""

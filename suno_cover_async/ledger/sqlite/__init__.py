"""The ledger's SQLite file: opened, locked, written by one thread, checked for damage.

It must not know what a step means; it runs transactions.
"""

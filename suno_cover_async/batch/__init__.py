"""Whole catalogs: read, covered as fast as the limit allows, interrupted, resumed.

It must not know the command line. Open `runner.py` first: the order of durability and the
dispatcher; then `error_policy.py`: what an error means for a track and for the run.
"""

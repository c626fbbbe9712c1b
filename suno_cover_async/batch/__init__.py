"""Read a whole catalog and cover its tracks as fast as the rate limit allows; resume a run.

It must not know the command line. Open `catalog_run.py` first: it has the dispatcher. Then
`track_submitter.py`, the order in which a submit becomes durable, and `error_policy.py`, what an
error means for a track and for the run. `plan.py` counts what a run would
submit, and `catalog.py` is where the reading of files begins.
"""

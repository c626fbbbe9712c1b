"""Read a whole catalog and cover its tracks as fast as the rate limit allows; resume a run.

It must not know the command line. Open `runner.py` first: it has the dispatcher and the order in
which steps become durable. Then open `error_policy.py`: what an error means for a track and a run.
"""

"""Code that any asyncio program could use: argument checks, text, tasks, event loops, disk.

It must know nothing of covers, of the API or of this package's errors: its callers pass in the
errors to raise. Open `tasks.py` first: single flight and closing.
"""

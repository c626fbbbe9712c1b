"""Code that any asyncio program could use: checks of arguments, text, tasks, event loops.

It must know nothing of covers, of the API or of this package's errors: whoever uses it hands in the
errors to raise. Open `tasks.py` first: single flight and closing.
"""

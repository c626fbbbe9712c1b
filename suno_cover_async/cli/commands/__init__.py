"""Define the commands, one module each: arguments, options and help, and nothing else.

A module has the name of its command, which is its `command`. It loads click and values alone, since
help and completion load it; what the command does is imported from `actions/` when it runs. The
table in `app.py` has a row for each.
"""

"""A TCP proxy between a client and the sandbox, which refuses, resets, cuts and stalls.

It owns faults below HTTP, and knows no rule of the API. Open `server.py` first.
"""

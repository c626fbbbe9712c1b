"""Refuse, reset, cut and stall connections, as a TCP proxy between a client and the sandbox.

It owns faults below HTTP, and knows no rule of the API. Open `server.py` first.
"""

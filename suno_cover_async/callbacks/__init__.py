"""Receive the API's callbacks over HTTP, verify them, and notify the waiters.

A callback proves nothing about a cover; the waiter that it wakes polls the API. This folder must
not know who waits. Open `receiver.py` first.
"""

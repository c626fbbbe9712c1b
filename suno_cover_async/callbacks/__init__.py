"""Callbacks of the API: received over HTTP, verified, and passed on as notifications.

A callback proves nothing; the waiter it wakes asks the API. This folder must not know who waits.
Open `receiver.py` first.
"""

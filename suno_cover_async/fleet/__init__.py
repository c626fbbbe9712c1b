"""What several processes of one account share: the account's limit, and the callbacks that come.

It must not know requests or the API key; an account is a fingerprint here, and a callback two ids.
Open `limiter.py` first, then `callback_bus.py`.
"""

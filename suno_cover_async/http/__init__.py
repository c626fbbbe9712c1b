"""Send HTTP requests to the API through aiohttp; the only folder that keeps the API key.

It must not know covers or waiters. Open `transport.py` first: the order in which a call goes
through breaker, limiter, connection and retry loop. `exchange.py` sends one request; no exception
of aiohttp leaves it.
"""

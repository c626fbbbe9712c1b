"""HTTP to the API through aiohttp; it is the only folder that keeps the API key.

It must not know covers or callers' waits. Open `transport.py` first: the order in which a call
meets breaker, limiter, connection and retry. `exchange.py` sends one request; no exception of
aiohttp's leaves it.
"""

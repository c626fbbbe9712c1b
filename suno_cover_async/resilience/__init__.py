"""Decide when a request may be sent, and whether it is sent again.

The rate limiter keeps the account's limit, the circuit breaker holds requests back while a host is
in trouble, and the retry loop repeats failed requests. It must not know what a request is for. Open
`retry.py` first.
"""

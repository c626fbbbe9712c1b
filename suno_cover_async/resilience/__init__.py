"""When a request may go out, and whether it is sent again.

The rate limiter keeps the account's limit, the circuit breaker holds requests back while a host is
in trouble, the retry loop repeats what failed. It must not know what a request asks for. Open
`retry.py` first.
"""

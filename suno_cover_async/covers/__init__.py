"""Covers in one client: submitted once, polled once for all who wait, notified by callbacks.

It owns what is never paid for twice and never lost. It must not know catalogs, ledgers or the
command line. Open `service.py` first: the operations behind the client; then `submitter.py` and
`poller.py`.
"""

"""Submits, polls and waits for the covers of one client, and receives their callbacks.

It owns the rules that no cover is paid twice and that no accepted cover task is lost. It must not
know catalogs, ledgers or the command line. Open `service.py` first: the operations behind the
client; then `submitter.py` and `poller.py`.
"""

"""Submit, poll and wait for covers, and wake their waiters when a callback comes.

`callbacks/` receives the callbacks. This folder owns the rules that no cover is paid twice and that
no accepted cover task is lost. It must not know catalogs, ledgers or the command line. Open
`service.py` first: the operations behind the client; then `submitter.py` and `poller.py`.
"""

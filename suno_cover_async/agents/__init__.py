"""Let agents make covers: a server of the Model Context Protocol, with a limit of covers.

It owns what an agent may ask for, and the check of the limit before a song enters the ledger. The
ledger checks it once more, in the transaction that records a submit. This folder must not know the
command line, prints nothing, and takes no path and no URL from an agent. `server.py` and `tools.py`
need the library `mcp` (the extra `mcp`). Open `tools.py` first.
"""

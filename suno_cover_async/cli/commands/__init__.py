"""Define the commands, one module each, and what several of them share.

A command connects options, a client or a ledger, and output. It must not know how text is laid out
or coloured (`output/` does), nor make requests other than through a client. Open `catalog_run.py`
first: `batch`, `generate` and `demo` are such runs.
"""

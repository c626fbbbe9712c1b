"""Do what each command says, and what several of them share.

`perform` of a module does what the command of its name in `commands/` says: it connects options, a
client or a ledger, and output. It must not know how text is laid out or coloured (`output/` does),
nor make requests other than through a client. Open `catalog_run.py` first: `batch`, `generate` and
`demo` are such runs.
"""

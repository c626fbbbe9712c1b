"""Define the command line, `suno-cover`; no other folder prints, and none imports this one.

It knows terminals. It uses the public names of the package, the sandbox and `artwork`, the helpers
of `common/`, and nine more names: `images.files.PartFile` (an export is written whole or not at
all), `http.credentials.ApiKey` (a key is checked before a client exists),
`ledger.entry.credits_used` (the difference of two balances), `review.server.listen` (the page to
choose on), `postgres.url` (a URL with a password is refused, before psycopg is there),
`ledger.postgres.tables.VERSION` (what `ledger init` made), and the types `ledger.ledger.Totals` and
`batch.catalog.Format`.

Results go to standard output, everything else to standard error. Open `app.py` first: it has the
commands.

====  ==========================================================================
code  meaning
====  ==========================================================================
0     all done
1     something failed or is left; standard error has the details and the next step
2     the command line, or one of its values, is not valid; or the base URL is not the API's
3     the API key is missing or was refused
4     no credits left
5     not finished in time; the same command waits again and never pays twice
6     a library of the command line is missing: pip install click rich pillow; or an extra
130   interrupted by Ctrl-C
143   ended by SIGTERM
====  ==========================================================================
"""

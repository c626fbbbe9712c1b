"""Define the command line, `suno-cover`; no other folder prints, and none imports this one.

It knows terminals. It uses the public names of the package, the sandbox and `artwork`, the helpers
of `common/`, and more names: `images.files.PartFile` (an export is written whole or not at all),
`http.credentials.ApiKey` (a key is checked before a client exists), `ledger.entry.credits_used`
(the difference of two balances), `review.server.listen` (the page to choose on),
`agents.server.AgentServer` (what agents call), `postgres.url` (a URL with a password is refused,
before psycopg is there), `ledger.postgres.tables.VERSION` (what `ledger init` made), and the types
`ledger.ledger.Totals` and `batch.catalog.Format`. `doctor/` also uses `network` (the way to a host,
step by step), `http.server_clock` (the date of an answer), `fleet.permit_file.use_of` (who uses the
limit) and `ledger.sqlite.file_system` (whether a folder is on a network file system).

Results go to standard output, everything else to standard error. Open `app.py` first: it has the
table of commands. `commands/` has the options and the help of each command and loads click alone,
so that help and completion answer at once; `actions/` has what they do. `exit_codes.py` has the
exit codes, `config_file.py` and `profiles.py` the config file, and `settings.py` the order of
option, environment, profile and default.
"""

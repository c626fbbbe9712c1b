"""The tables that processes and machines share beside the ledger's, as SQL that makes them.

It must not know who reads or writes them. `fleet/permit_table.py` uses the permits, and
`fleet/callback_table.py` the callbacks.
"""

PERMIT_TABLES = """
CREATE TABLE permits (
    account text NOT NULL,               -- a fingerprint of the API key
    number integer NOT NULL,             -- from 0
    calls integer NOT NULL,              -- the limit that it is one of: so many
    seconds double precision NOT NULL,   -- in any window of this length
    token bigint,                        -- names who holds it; null if nobody does
    free_at timestamptz NOT NULL,        -- when it is free; if it is held, when its lease ends
    PRIMARY KEY (account, number)
);
CREATE TABLE pauses (
    account text PRIMARY KEY,
    until timestamptz NOT NULL
);
"""
"""The permits of accounts' rate limits, and their pauses; all moments are the server's."""

CALLBACK_TABLES = """
CREATE TABLE callbacks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    music_task_id text NOT NULL,
    cover_task_id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()  -- by the server's clock
);
CREATE INDEX callbacks_received_at ON callbacks (received_at);
"""
"""The callbacks of the last hour, each received by one process, for all others."""

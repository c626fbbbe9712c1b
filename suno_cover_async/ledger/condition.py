"""The condition of a ledger: what would hinder a run that began now.

It is a value; the stores find it out, and change nothing.
"""

import attrs

from suno_cover_async.common.records import Record


@attrs.frozen(kw_only=True)
class LedgerCondition(Record):
    """What would hinder a run of an account that began now.

    Attributes:
        version: The version of the ledger.
        newest: The version that this software writes; a run moves an older file to it.
        in_use_by: The process that holds a file for writing; None if none does, or if it is a
            database, which runs share.
        is_foreign: Whether the whole ledger belongs to another account.
        foreign_tracks: How many unfinished tracks of a database belong to other accounts.
        missing_rights: What the role lacks in a database, such as "INSERT on tracks".
    """

    version: int
    newest: int
    in_use_by: str | None = None
    is_foreign: bool = False
    foreign_tracks: int = 0
    missing_rights: tuple[str, ...] = ()

"""Check the file by which the commands of one user share the account's limit.

The file is read and not made; the request of the doctor takes its turn in it, as any command's.
"""

import sqlite3
from pathlib import Path

from suno_cover_async import ClientUsageError
from suno_cover_async.cli.doctor.disk import check_folder
from suno_cover_async.cli.doctor.finding import Finding, fault, not_checked, ok, warning
from suno_cover_async.cli.output.report import count
from suno_cover_async.cli.shared_limit import limit_file
from suno_cover_async.fleet.permit_file import PermitFile, use_of

_ADVICE = "or pass --no-shared-limit; then other commands do not count against this one's limit"


def check_shared_limit(account: str | None, *, shared: bool) -> list[Finding]:
    """Check the state folder and the file in it; this may block.

    Args:
        account: The fingerprint of the account; None if there is no key.
        shared: Whether commands share the limit.
    """
    if not shared:
        return [not_checked("state folder", "the limit is not shared")]
    try:
        path = limit_file()
    except ClientUsageError as error:
        return [fault("state folder", str(error), _ADVICE)]
    findings = check_folder("state folder", path.parent, holds_database=True)
    return [*findings, *(_of_use(path, account) if path.exists() else [])]


def _of_use(path: Path, account: str | None) -> list[Finding]:
    try:
        held, pause = use_of(path, account or "")
    except (sqlite3.Error, OSError) as error:
        return [fault("limit file", PermitFile.unusable(path, error), _ADVICE)]
    if account is None:
        return [not_checked("limit file", "there is no valid key")]
    if pause > 0:
        words = f"all requests of this account are paused for {pause:,.0f} s, after a refusal"
        return [warning("limit file", words, "wait; commands do so by themselves")]
    return [ok("limit file", f"{count(held, 'request')} of other commands under way")]

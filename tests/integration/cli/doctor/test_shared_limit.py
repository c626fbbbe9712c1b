"""The file of the shared limit is read, and not made."""

from pathlib import Path

import pytest

from suno_cover_async.cli.doctor.finding import State
from suno_cover_async.cli.doctor.shared_limit import check_shared_limit
from suno_cover_async.fleet.permit_file import PermitFile

ACCOUNT = "0123456789abcdef"


def test_who_uses_the_limit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert [one.check for one in check_shared_limit(ACCOUNT, shared=True)] == ["state folder"]
    assert list(tmp_path.iterdir()) == []

    permits = PermitFile(tmp_path / "suno-cover" / "rate-limit.db", 20, 100)
    permits.take(ACCOUNT, 10)
    used = check_shared_limit(ACCOUNT, shared=True)[-1]
    permits.pause(ACCOUNT, 600)
    paused = check_shared_limit(ACCOUNT, shared=True)[-1]

    assert (used.state, used.message) == (State.OK, "1 request of other commands under way")
    assert paused.state is State.WARNING
    assert "are paused for " in paused.message


def test_a_file_that_is_something_else_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "suno-cover").mkdir()
    (tmp_path / "suno-cover" / "rate-limit.db").write_bytes(b"x" * 5000)

    found = check_shared_limit(ACCOUNT, shared=True)[-1]

    assert found.state is State.FAULT
    assert "--no-shared-limit" in (found.advice or "")

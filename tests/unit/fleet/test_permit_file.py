"""The permits in the file: taken, fenced, leased, paused, by the clock that is given."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from suno_cover_async.fleet.permit_file import PermitFile, use_of

WINDOW, LEASE = 10.0, 25.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def permits(tmp_path: Path, clock: Clock) -> PermitFile:
    return PermitFile(tmp_path / "limit.db", 2, LEASE, clock)


def taken(permits: PermitFile, account: str = "ours") -> int:
    token, seconds = permits.take(account, WINDOW)
    assert token > 0
    assert seconds == 0
    return token


def wait(permits: PermitFile, account: str = "ours") -> float:
    token, seconds = permits.take(account, WINDOW)
    assert token == 0
    return seconds


def test_as_many_permits_are_given_as_there_are(permits: PermitFile) -> None:
    assert taken(permits) != taken(permits)

    assert wait(permits) == WINDOW  # one that is returned now is free a window from now


def test_a_returned_permit_is_free_at_its_moment_and_the_wait_is_exact(
    permits: PermitFile, clock: Clock
) -> None:
    permits.give_back("ours", taken(permits), 4.0)
    taken(permits)

    assert wait(permits) == 4.0
    clock.now += 3.9
    assert wait(permits) == pytest.approx(0.1)
    clock.now += 0.2
    taken(permits)


def test_the_permit_of_a_killed_process_is_free_when_its_lease_ends(
    permits: PermitFile, clock: Clock
) -> None:
    taken(permits)
    taken(permits)

    clock.now += LEASE - 0.1
    assert wait(permits) == pytest.approx(0.1)
    clock.now += 0.2
    taken(permits)
    taken(permits)


def test_a_lease_that_is_renewed_begins_anew(permits: PermitFile, clock: Clock) -> None:
    renewed, _ = taken(permits), taken(permits)

    clock.now += LEASE - 1
    permits.renew("ours", [renewed])
    clock.now += 2
    taken(permits)
    assert wait(permits) > 0


def test_an_old_token_changes_nothing_once_another_process_has_the_permit(
    permits: PermitFile, clock: Clock
) -> None:
    old = [taken(permits), taken(permits)]
    clock.now += LEASE + 1
    taken(permits)
    taken(permits)

    for token in old:
        permits.give_back("ours", token, 0.0)
    permits.renew("ours", old)

    assert wait(permits) == WINDOW
    clock.now += LEASE
    taken(permits)


def test_a_renewed_token_that_was_returned_stays_returned(
    permits: PermitFile, clock: Clock
) -> None:
    token, _ = taken(permits), taken(permits)
    permits.give_back("ours", token, 1.0)

    permits.renew("ours", [token])

    assert wait(permits) == 1.0
    clock.now += 1
    taken(permits)


def test_accounts_have_permits_and_pauses_of_their_own(permits: PermitFile) -> None:
    taken(permits)
    taken(permits)
    permits.pause("theirs", 5.0)

    assert wait(permits, "theirs") == 5.0
    taken(permits, "third")
    taken(permits, "third")


def test_an_account_with_shorter_windows_shortens_no_permit_of_another(
    tmp_path: Path, permits: PermitFile, clock: Clock
) -> None:
    taken(permits)
    taken(permits)

    taken(PermitFile(tmp_path / "limit.db", 2, LEASE / 10, clock), "theirs")
    clock.now += LEASE / 2

    assert wait(permits) > 0


def test_a_pause_binds_every_process_and_a_shorter_one_does_not_end_it(
    tmp_path: Path, permits: PermitFile, clock: Clock
) -> None:
    other = PermitFile(tmp_path / "limit.db", 2, LEASE, clock)
    other.pause("ours", 30.0)
    other.pause("ours", 3.0)

    assert wait(permits) == 30.0
    clock.now += 30
    taken(permits)


def test_a_pause_lasts_an_hour_at_most(permits: PermitFile, clock: Clock) -> None:
    permits.pause("ours", 1e9)
    clock.now += 1

    assert wait(permits) == 3599.0


def test_moments_of_an_earlier_boot_hold_nothing_for_longer_than_a_lease(
    permits: PermitFile, clock: Clock
) -> None:
    clock.now = 1e9
    taken(permits)
    taken(permits)
    permits.pause("ours", 60.0)

    clock.now = 50.0  # the machine was booted

    assert wait(permits) == WINDOW
    clock.now += LEASE
    taken(permits)


def test_a_pause_of_an_earlier_boot_is_replaced(permits: PermitFile, clock: Clock) -> None:
    clock.now = 1e9
    permits.pause("ours", 60.0)
    clock.now = 50.0

    permits.pause("ours", 7.0)

    assert wait(permits) == 7.0


def test_a_process_with_fewer_calls_uses_its_share_of_the_same_permits(
    tmp_path: Path, permits: PermitFile, clock: Clock
) -> None:
    strict = PermitFile(tmp_path / "limit.db", 1, LEASE, clock)
    free = taken(permits), taken(permits)
    for token in free:
        permits.give_back("ours", token, 0.0)
    taken(strict)

    assert wait(strict) == WINDOW
    taken(permits)
    assert wait(permits) == WINDOW


def test_the_file_and_its_folder_are_made_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "limit.db"

    PermitFile(path, 2, LEASE)

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_was_deleted_is_made_again(tmp_path: Path, permits: PermitFile) -> None:
    taken(permits)
    (tmp_path / "limit.db").unlink()

    taken(permits)


def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3" + b"\0" * 2000)

    with pytest.raises(sqlite3.DatabaseError):
        PermitFile(path, 2, LEASE)

    assert path.read_bytes() == b"ID3" + b"\0" * 2000


def test_the_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE song (name)")
    before = path.read_bytes()

    with pytest.raises(sqlite3.DatabaseError, match="another program's database"):
        PermitFile(path, 2, LEASE)

    assert path.read_bytes() == before


def test_a_path_of_a_device_or_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (Path(os.devnull), tmp_path / "pipe"):
        with pytest.raises(OSError, match="no regular file"):
            PermitFile(path, 2, LEASE)


def test_a_file_that_a_power_cut_damaged_is_made_anew(tmp_path: Path, permits: PermitFile) -> None:
    path = tmp_path / "limit.db"
    taken(permits)
    header, size = path.read_bytes()[:4096], path.stat().st_size
    path.write_bytes(header.ljust(size, b"\0"))  # pages of permits that were never written

    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        permits.take("ours", WINDOW)

    taken(permits)


def test_the_clock_is_read_once_the_file_is_locked_since_that_may_take_seconds(
    tmp_path: Path,
) -> None:
    path, read = tmp_path / "limit.db", list[float]()

    def clock() -> float:
        with (
            contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")
        read.append(1000.0)
        return 1000.0

    permits = PermitFile(path, 2, LEASE, clock)
    permits.give_back("ours", taken(permits), WINDOW)

    assert len(read) == 3


def test_who_reads_the_file_is_told_of_permits_under_way_and_of_a_pause(
    tmp_path: Path, permits: PermitFile, clock: Clock
) -> None:
    path = tmp_path / "limit.db"
    assert use_of(path, "ours", clock) == (0, 0.0)

    token = taken(permits)
    taken(permits, "theirs")
    permits.pause("ours", 30)
    before = path.read_bytes()

    assert use_of(path, "ours", clock) == (1, 30.0)
    assert use_of(path, "nobody", clock) == (0, 0.0)
    assert path.read_bytes() == before
    permits.give_back("ours", token, WINDOW)
    clock.now += 31
    assert use_of(path, "ours", clock) == (0, 0.0)


def test_who_reads_what_is_no_such_file_is_told_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no regular file"):
        use_of(tmp_path / "limit.db", "ours")
    (tmp_path / "other.db").write_bytes(b"x" * 5000)
    with pytest.raises(sqlite3.DatabaseError):
        use_of(tmp_path / "other.db", "ours")

    assert not (tmp_path / "limit.db").exists()

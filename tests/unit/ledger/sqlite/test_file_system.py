"""What a file system refuses, told from a lock that another connection holds; and its name."""

import contextlib
import sqlite3
import sys
from pathlib import Path

import pytest

from suno_cover_async.ledger.sqlite.failures import unusable
from suno_cover_async.ledger.sqlite.file_system import (
    described,
    mount_of,
    network_mount,
    network_mount_in,
    refused,
)

MOUNTS = """\
21 1 8:1 / / rw,noatime shared:1 - ext4 /dev/sda1 rw
36 21 0:40 / /mnt rw - tmpfs none rw,size=1k
37 36 0:41 /export /mnt/music rw,relatime shared:7 master:2 - nfs4 nas:/export/-\\040- rw,vers=4.2
38 36 0:42 / /mnt/my\\040music rw - 9p share rw,trans=virtio
39 36 0:43 / /mnt/over rw - cifs //nas/a rw
40 36 0:44 / /mnt/over rw - xfs /dev/sdb rw
a line that is none
"""


def named(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("SQLITE_IOERR_LOCK", "locks"),
        ("SQLITE_IOERR_RDLOCK", "locks"),
        ("SQLITE_IOERR_SHMLOCK", "locks"),
        ("SQLITE_IOERR_SHMMAP", "shared memory maps"),
        ("SQLITE_IOERR_SHMSIZE", ""),  # of a disk that is full
        ("SQLITE_IOERR_WRITE", ""),
        ("SQLITE_FULL", ""),
        ("SQLITE_BUSY", ""),  # a file here can be locked
        ("SQLITE_PROTOCOL", ""),
        ("SQLITE_PERM", ""),
        ("", ""),
    ],
)
def test_refused_locks_and_maps_are_told_from_other_failures(
    tmp_path: Path, name: str, what: str
) -> None:
    message = str(unusable(tmp_path / "covers.db", named(name)))

    assert refused(tmp_path, named(name)) == what
    assert (f"refuses {what}, as network file systems (NFS, SMB, 9p) may" in message) == bool(what)
    assert message.endswith("put the ledger on a local disk") == bool(what)
    assert str(tmp_path / "covers.db") in message
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_another_connection_holds_is_not_refused_by_the_file_system(
    tmp_path: Path,
) -> None:
    path = tmp_path / "held.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with (
            contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other,
            pytest.raises(sqlite3.OperationalError) as busy,
        ):
            other.execute("BEGIN IMMEDIATE")

    assert refused(tmp_path, busy.value) == ""


def test_a_folder_that_is_not_there_is_no_refusal(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere", named("SQLITE_BUSY")) == ""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/home/me/covers.db", "ext4 on /"),
        ("/mnt/covers.db", "tmpfs on /mnt"),
        ("/mnt/music/a/covers.db", "nfs4 on /mnt/music"),
        ("/mnt/musical/covers.db", "tmpfs on /mnt"),
        ("/mnt/my music/covers.db", "9p on /mnt/my music"),
        ("/mnt/over/covers.db", "xfs on /mnt/over"),
    ],
)
def test_a_file_systems_type_and_mount_point_are_found(path: str, mount: str) -> None:
    assert mount_of(Path(path), MOUNTS) == mount


def test_without_a_list_of_mounts_no_file_system_is_named() -> None:
    assert mount_of(Path("/mnt/covers.db"), "") == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its mounts in a file")
def test_on_linux_the_file_system_of_a_path_is_named() -> None:
    assert described(Path("/proc/version")) == " (proc on /proc)"


def test_network_file_systems_are_told_from_local_ones() -> None:
    assert network_mount_in(Path("/mnt/music/a"), MOUNTS) == "nfs4 on /mnt/music"
    assert network_mount_in(Path("/mnt/my music"), MOUNTS) == "9p on /mnt/my music"
    assert network_mount_in(Path("/mnt/over"), MOUNTS) == ""
    assert network_mount(Path("/proc")) == ""

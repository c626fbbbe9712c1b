"""Find out what a file system refuses to SQLite, and which file system it is.

SQLite needs locks on every file, and memory that processes share for a WAL. Network file systems
(NFS, SMB, 9p) may have neither. This module must not know what a ledger holds.
"""

import contextlib
import os
import re
import sqlite3
import tempfile
from pathlib import Path, PurePosixPath

_LOCKS = re.compile("SQLITE_IOERR_(LOCK|RDLOCK|UNLOCK|CHECKRESERVEDLOCK|SHMLOCK)")
_MAPS = "SQLITE_IOERR_SHMMAP"
_PERHAPS_LOCKS = re.compile("SQLITE_(BUSY|PROTOCOL|PERM)")
_MOUNTS = Path("/proc/self/mountinfo")  # on Linux only
_MOUNT = re.compile(r"^(?:[^ \n]+ ){4}([^ \n]+) .* - ([^ \n]+) ", re.MULTILINE)
_NETWORKS = re.compile(r"(nfs|cifs|smb|9p|afs|ceph|fuse\.(sshfs|s3fs|gcsfuse|rclone|gluster))")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def refused(folder: Path, error: Exception) -> str:
    """Return what the file system of a folder refused, in words, or "" for another failure."""
    # A file system without a lock service answers ENOLCK, which SQLite reports as SQLITE_BUSY, as
    # if another process held the lock. A new file, which no other process has, tells these apart.
    name = getattr(error, "sqlite_errorname", "")
    if name == _MAPS:
        return "shared memory maps"
    if _LOCKS.fullmatch(name) or (_PERHAPS_LOCKS.match(name) and not _can_lock(folder)):
        return "locks"
    return ""


def _can_lock(folder: Path) -> bool:
    """Return False if a new file in the folder cannot be locked; the file is removed again."""
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=".lock-test-")
    except OSError:  # the folder cannot be written, so the failure has another reason
        return True
    os.close(handle)
    try:
        with contextlib.closing(sqlite3.connect(name, timeout=0, isolation_level=None)) as database:
            database.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "")
        return not (_LOCKS.fullmatch(code) or _PERHAPS_LOCKS.match(code))
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink()
    return True


def described(path: Path) -> str:
    """Return the type and the mount point of a file's file system, as ` (nfs4 on /mnt/music)`.

    It is empty where the system does not tell, which only Linux does.
    """
    try:
        mounts = _MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return ""
    mount = mount_of(path, mounts)
    return f" ({mount})" if mount else ""


def network_mount(path: Path) -> str:
    """Return the type and the mount point if a path is on a network file system, as far as is told.

    Args:
        path: An absolute path without symbolic links.
    """
    try:
        return network_mount_in(path, _MOUNTS.read_text(errors="surrogateescape"))
    except OSError:
        return ""


def network_mount_in(path: Path, mounts: str) -> str:
    """Return the same from a list of mounts, as `mount_of` takes it."""
    mount = mount_of(path, mounts)
    return mount if _NETWORKS.match(mount) else ""


def mount_of(path: Path, mounts: str) -> str:
    """Return the type and the mount point of the file system that holds an absolute path.

    Args:
        path: The path, without symbolic links.
        mounts: The mounts, one a line, as in Linux's `/proc/self/mountinfo`.
    """
    best, found = -1, ""
    for escaped, kind in _MOUNT.findall(mounts):
        point = PurePosixPath(_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), escaped))
        depth = len(point.parts)
        if PurePosixPath(path).is_relative_to(point) and depth >= best:  # a later one covers it
            best, found = depth, f"{kind} on {point}"
    return found

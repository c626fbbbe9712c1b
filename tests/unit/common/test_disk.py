"""Blocking work in threads, which ends before its caller goes on."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from suno_cover_async.common.disk import in_thread, open_regular, sync_directory

OPEN = Path("/proc/self/fd")


async def test_the_result_or_the_error_comes_back() -> None:
    def fail() -> None:
        raise OSError("no")

    assert await in_thread(lambda: 5) == 5
    with pytest.raises(OSError, match="no"):
        await in_thread(fail)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancelled_caller_ends_after_its_thread(times: int) -> None:
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def act() -> None:
        began.set()
        go_on.wait()
        ended.set()

    cancelled: list[int] = []
    caller = asyncio.create_task(in_thread(act, on_cancel=lambda: cancelled.append(1)))
    while not began.is_set():  # noqa: ASYNC110 - a thread's event, not a task's
        await asyncio.sleep(0)
    for _ in range(times):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller

    assert ended.is_set()
    assert len(cancelled) == times


def test_a_directory_that_cannot_be_synced_is_no_error(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    sync_directory(tmp_path / "absent")


def test_only_regular_files_are_opened_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x\r\n")
    others = [tmp_path, tmp_path / "absent"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        others.append(tmp_path / "pipe")

    with open_regular(tmp_path / "file") as file:
        assert file.read() == b"x\r\n"
    for other in others:
        with pytest.raises(OSError, match=r"regular|directory|denied"):
            open_regular(other)


@pytest.mark.skipif(not OPEN.is_dir(), reason="the descriptors are in /proc")
def test_what_is_refused_leaves_no_descriptor(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = len(list(OPEN.iterdir()))

    for other in [tmp_path, tmp_path / "pipe"] * 10:
        with pytest.raises(OSError, match=r"regular|directory"):
            open_regular(other)

    assert len(list(OPEN.iterdir())) == before

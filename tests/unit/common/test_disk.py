"""Blocking work in threads, which ends before its caller goes on."""

import asyncio
import threading
from pathlib import Path

import pytest

from suno_cover_async.common.disk import in_thread, sync_directory


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

    caller = asyncio.create_task(in_thread(act))
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


def test_a_directory_that_cannot_be_synced_is_no_error(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    sync_directory(tmp_path / "absent")

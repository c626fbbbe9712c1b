"""Downloaded files: whole or absent, whatever is cancelled, full or in the way."""

import asyncio
import contextlib
import os
import threading
from functools import partial
from pathlib import Path

import pytest

from suno_cover_async.batch.error_policy import Consequence, consequence_of
from suno_cover_async.batch.outcomes import Step
from suno_cover_async.common.disk import in_thread
from suno_cover_async.errors import (
    DownloadError,
)
from suno_cover_async.images.downloader import ImageDownloader
from suno_cover_async.images.files import sweep
from tests.support import bad_disk
from tests.support.image_hosts import PNG, names_in, refused
from tests.support.peers import Peer, answer, waits_for_the_end
from tests.support.waiting import until


async def test_a_cancelled_download_leaves_no_file_no_task_and_no_connection(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    left = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            left.set()

    host.answers["/a"] = answer(PNG, length=10_000)
    host.tail = hold
    before = asyncio.all_tasks()
    fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
    await until(lambda: list(tmp_path.glob("*.part")))

    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching

    assert names_in(tmp_path) == []
    await asyncio.wait_for(left.wait(), 100)
    await until(lambda: asyncio.all_tasks() <= before)


async def test_a_cancellation_takes_effect_when_the_thread_is_done() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        go_on.wait(10)

    writing = asyncio.create_task(in_thread(write))
    await until(begun.is_set)

    for _ in range(3):
        writing.cancel()
        await asyncio.sleep(0)
        assert not writing.done()
    go_on.set()
    await asyncio.wait([writing])

    assert writing.cancelled()


async def test_cancelling_at_any_step_leaves_a_whole_file_or_none(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    body = PNG + b"x" * 200_000
    host.answers["/a"] = answer(body)
    outcomes = set[bool]()

    for steps in (*range(0, 60, 3), 10_000):
        directory = tmp_path / str(steps)
        fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", directory / "a"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(100):
                for _ in range(steps):
                    if fetching.done():
                        break
                    await asyncio.sleep(0)
        if steps == 10_000:
            await asyncio.wait({fetching})
        fetching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await fetching
        names = names_in(directory)
        assert names in ([], ["a.png"])
        assert all((directory / name).read_bytes() == body for name in names)
        outcomes.add(bool(names))

    assert outcomes == {False, True}


async def test_cancelling_twice_still_tidies_up(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG, length=10_000)
    host.tail = waits_for_the_end
    fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
    await until(lambda: list(tmp_path.glob("*.part")))

    while not fetching.done():
        fetching.cancel()
        await asyncio.sleep(0)

    assert fetching.cancelled()
    assert names_in(tmp_path) == []


async def test_a_file_in_the_making_that_is_taken_for_dead_is_worth_another_fetch(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    swept = asyncio.Event()

    async def rest(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await swept.wait()
        writer.write(b"x" * 1000)

    host.answers["/a"] = answer(PNG, length=len(PNG) + 1000)
    host.tail = rest
    fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
    await until(lambda: list(tmp_path.glob("*.part")))

    (part,) = tmp_path.glob("*.part")
    os.utime(part, (0, 0))  # as it is to a process whose clock jumped, or after a sleep
    sweep(tmp_path)
    swept.set()
    error = await refused(fetching)

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert (
        consequence_of(error, Step.SAVE) is Consequence.LEFT
    )  # of this track alone: the disk is all right
    assert names_in(tmp_path) == []


async def test_the_directory_is_made(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG)

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "deep" / "er" / "a")

    assert path == tmp_path / "deep" / "er" / "a.png"
    assert path.read_bytes() == PNG


async def test_a_directory_that_cannot_be_made_is_named(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG)
    (tmp_path / "taken").write_bytes(b"a file")

    for target in (tmp_path / "taken" / "a", tmp_path / "taken" / "deeper" / "a"):
        error = await refused(downloader.fetch(f"{host.url}/a", target))
        assert isinstance(error, DownloadError)
        assert not error.retryable
        assert str(tmp_path / "taken") in str(error)
        assert isinstance(error.__cause__, OSError)

    assert names_in(tmp_path) == ["taken"]


async def test_a_full_disk_is_named_and_leaves_no_file(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    host.answers["/a"] = answer(PNG + b"x" * 500_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as a full disk: EFBIG
    try:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert "File too large" in str(error)
    assert str(tmp_path / "a.png") in str(error)
    assert names_in(tmp_path) == []


def test_an_image_is_on_the_disk_before_it_has_its_name(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = """
    from suno_cover_async.images.files import PartFile
    part = PartFile(Path(sys.argv[1]))
    part.write(b"a" * 100_000)
    part.finish(Path(sys.argv[1]) / "a.png", b"b" * 100_000, b"c")
    """

    traced = bad_disk.strace("-e", "trace=write,fsync,rename", log=log)
    code, _ = bad_disk.run(script, tmp_path / "covers", prefix=traced)
    calls = [call for call in log.read_text().splitlines() if str(tmp_path / "covers") in call]
    acts = [call.split()[1].partition("(")[0] for call in calls]

    assert code == 0
    assert acts == ["write", "write", "write", "fsync", "rename", "fsync"]
    assert ".part>)" in calls[3]
    assert f"<{tmp_path / 'covers'}>)" in calls[5]


async def test_a_name_that_is_taken_by_a_directory_is_named(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG)
    (tmp_path / "a.png").mkdir()

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert names_in(tmp_path) == ["a.png"]


async def test_a_file_of_that_name_is_replaced_only_by_a_whole_one(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/torn"] = answer(PNG, length=10_000)
    host.answers["/whole"] = answer(PNG)
    old = tmp_path / "a.png"
    old.write_bytes(b"old")

    await refused(downloader.fetch(f"{host.url}/torn", tmp_path / "a"))
    kept = old.read_bytes()
    await downloader.fetch(f"{host.url}/whole", tmp_path / "a")

    assert kept == b"old"
    assert old.read_bytes() == PNG


async def test_many_downloads_into_one_file_all_succeed(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG)
    fetch = partial(downloader.fetch, f"{host.url}/a", tmp_path / "a")

    paths = await asyncio.gather(*(fetch() for _ in range(20)))

    assert set(paths) == {tmp_path / "a.png"}
    assert names_in(tmp_path) == ["a.png"]
    assert paths[0].read_bytes() == PNG


async def test_a_file_has_the_permissions_of_any_new_file(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG)
    ordinary = tmp_path / "ordinary"
    ordinary.touch()

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.stat().st_mode == ordinary.stat().st_mode

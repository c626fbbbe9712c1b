"""A command in its event loop, and what the first, second and third signal do to it."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import attrs
import pytest

from suno_cover_async.cli.process import _until_signal, run
from tests.support.commands import needs_posix
from tests.support.virtual_time import run as in_virtual_time

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Cleanup = Callable[[], Coroutine[Any, Any, None]]


async def nothing() -> None:
    pass


async def never(*signals: signal.Signals, cleanup: Cleanup = nothing) -> int:
    """Send signals to this process, and wait to be cancelled; then clean up."""
    try:
        for number in signals:
            signal.raise_signal(number)
            await asyncio.sleep(0)
        await asyncio.Event().wait()
    finally:
        await cleanup()
    return 0


@pytest.mark.parametrize("code", [0, 1, 5])
def test_without_a_signal_the_code_is_that_of_the_work(code: int) -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return code

    assert run(work()) == code


def test_an_error_of_the_work_is_raised() -> None:
    async def work() -> int:
        raise LookupError("x")

    with pytest.raises(LookupError):
        run(work())


def test_a_cancellation_that_no_signal_brought_is_raised() -> None:
    async def work() -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(work())


@needs_posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_work_which_cleans_up_first(number: signal.Signals, code: int) -> None:
    done: list[str] = []

    async def cleanup() -> None:
        await asyncio.sleep(0)
        done.append("cleaned up")

    assert run(never(number, cleanup=cleanup)) == code
    assert done == ["cleaned up"]


@needs_posix
@pytest.mark.parametrize(
    ("usual", "code", "written"), [("SIG_DFL", 129, "cleaned up"), ("SIG_IGN", 0, "done")]
)
def test_a_closed_terminal_cancels_the_work_unless_nohup_ignores_that(
    usual: str, code: int, written: str
) -> None:
    program = """
import asyncio, signal, sys
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))
from suno_cover_async.cli.process import run

async def work():
    try:
        signal.raise_signal(signal.SIGHUP)
        await asyncio.sleep(0)
        if sys.argv[1] == "SIG_DFL":
            await asyncio.Event().wait()
        sys.stdout.write("done")
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        sys.stdout.write("cleaned up")
        raise
    return 0

sys.exit(run(work()))
"""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, usual],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (code, written, "")


@needs_posix
def test_work_that_ends_well_despite_its_cancellation_has_its_own_code() -> None:
    async def work() -> int:
        try:
            return await never(signal.SIGTERM)
        except asyncio.CancelledError:
            return 7

    assert run(work()) == 7


@needs_posix
@pytest.mark.parametrize("second", SIGNALS)
def test_a_second_signal_ends_the_cleaning_up_as_usual(second: signal.Signals) -> None:
    usual: list[object] = []

    async def cleanup() -> None:
        usual.append(signal.getsignal(second))
        if second is signal.SIGINT:
            signal.raise_signal(second)

    before = signal.getsignal(second)
    if second is signal.SIGINT:
        with pytest.raises(KeyboardInterrupt):
            run(never(signal.SIGINT, cleanup=cleanup))
    else:
        run(never(signal.SIGINT, cleanup=cleanup))

    assert usual == [before]


@needs_posix
def test_a_first_ctrl_c_begins_to_finish_and_the_code_is_that_of_an_interruption() -> None:
    asked: list[bool] = []
    goes_on = asyncio.Event()

    def finish() -> bool:
        asked.append(True)
        goes_on.set()
        return True

    async def work() -> int:
        signal.raise_signal(signal.SIGINT)
        await goes_on.wait()
        await asyncio.sleep(0)
        return 0

    assert run(work(), finish=finish) == 130
    assert asked == [True]


@needs_posix
@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_it_finishes_the_next_signal_cancels(second: signal.Signals, code: int) -> None:
    asked: list[bool] = []

    def finish() -> bool:
        asked.append(True)
        return True

    assert run(never(signal.SIGINT, second), finish=finish) == code
    assert asked == [True]


@needs_posix
def test_what_cannot_finish_is_cancelled_by_the_first_ctrl_c() -> None:
    assert run(never(signal.SIGINT), finish=lambda: False) == 130


@needs_posix
def test_nothing_is_finished_at_a_request_to_terminate() -> None:
    asked: list[bool] = []

    def finish() -> bool:
        asked.append(True)
        return True

    assert run(never(signal.SIGTERM), finish=finish) == 143
    assert asked == []


@needs_posix
@pytest.mark.parametrize(("seconds", "explained"), [(0.1, False), (0.3, True)])
def test_a_cleaning_up_that_takes_its_time_is_explained(
    seconds: float, explained: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def cleanup() -> None:
        await asyncio.sleep(seconds)

    code = in_virtual_time(_until_signal(never(signal.SIGTERM, cleanup=cleanup), lambda: False))

    assert code == 143
    words = "stopping: waiting for an answer that may cost money"
    assert (words in capsys.readouterr().err) is explained


@needs_posix
def test_what_a_command_waits_for_is_said_in_its_own_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def cleanup() -> None:
        await asyncio.sleep(0.3)

    in_virtual_time(
        _until_signal(never(signal.SIGTERM, cleanup=cleanup), lambda: False, "a browser")
    )

    assert "stopping: waiting for a browser; Ctrl-C again" in capsys.readouterr().err


@needs_posix
def test_afterwards_every_signal_is_handled_as_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    meanwhile: list[object] = []

    async def work() -> int:
        meanwhile.extend(signal.getsignal(number) for number in SIGNALS)
        return 0

    run(work())

    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert not set(meanwhile) & set(before)


@needs_posix
def test_in_a_loop_that_goes_on_every_signal_is_handled_as_usual() -> None:
    async def work() -> int:
        return 0

    async def whole() -> list[object]:
        await _until_signal(work(), lambda: False)
        return [signal.getsignal(number) for number in SIGNALS]

    assert in_virtual_time(whole()) == [signal.default_int_handler, signal.SIG_DFL]


def test_in_a_thread_which_gets_no_signals_the_work_is_done_all_the_same() -> None:
    codes: list[int] = []

    async def work() -> int:
        return 3

    thread = threading.Thread(target=lambda: codes.append(run(work())))
    thread.start()
    thread.join()

    assert codes == [3]


class LoopWithoutSignals(asyncio.SelectorEventLoop):
    """As event loops on Windows are."""

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: object) -> None:
        raise NotImplementedError

    def remove_signal_handler(self, sig: int) -> bool:
        raise NotImplementedError


@needs_posix
def test_where_an_event_loop_handles_no_signals_ctrl_c_cancels_the_work_which_cleans_up() -> None:
    done: list[str] = []

    async def cleanup() -> None:
        await asyncio.sleep(0)
        done.append("cleaned up")

    with (
        pytest.raises(KeyboardInterrupt),
        asyncio.Runner(loop_factory=LoopWithoutSignals) as runner,
    ):
        runner.run(_until_signal(never(signal.SIGINT, cleanup=cleanup), lambda: True))

    assert done == ["cleaned up"]


@attrs.define
class Work:
    """Work that ends in time, as a batch does; it remembers what it was asked for."""

    drains: bool = True
    asked: list[str] = attrs.field(factory=list[str])

    async def drain(self) -> bool:
        self.asked.append("drain")
        await asyncio.sleep(5)
        self.asked.append("drained")
        return self.drains

    async def abandon(self) -> None:
        self.asked.append("abandon")

    async def run(self, *signals: signal.Signals) -> int:
        try:
            return await never(*signals)
        except asyncio.CancelledError:
            self.asked.append("cancelled")
            raise


def left(work: Work, *signals: signal.Signals, finish: Callable[[], bool] = lambda: False) -> int:
    return in_virtual_time(
        _until_signal(work.run(*signals), finish, leaving=work, start_deadline=lambda: None)
    )


@needs_posix
def test_work_that_leaves_in_time_is_cancelled_once_it_has_drained() -> None:
    work = Work()

    assert left(work, signal.SIGTERM) == 143
    assert work.asked == ["drain", "drained", "cancelled"]


@needs_posix
def test_sigterm_while_it_finishes_makes_it_leave_in_time() -> None:
    work = Work()

    assert left(work, signal.SIGINT, signal.SIGTERM, finish=lambda: True) == 143
    assert work.asked == ["drain", "drained", "cancelled"]


@needs_posix
def test_ctrl_c_alone_makes_nothing_leave_in_time() -> None:
    work = Work()

    assert left(work, signal.SIGINT) == 130
    assert work.asked == ["cancelled"]


@needs_posix
def test_work_that_ends_while_it_drains_has_its_own_code_and_is_not_cancelled() -> None:
    work = Work()

    async def quick() -> int:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(1)
        return 0

    code = in_virtual_time(
        _until_signal(quick(), lambda: False, leaving=work, start_deadline=lambda: None)
    )

    assert (code, work.asked) == (0, ["drain"])


@needs_posix
def test_work_that_hangs_is_abandoned_and_the_process_ends_with_what_was_written() -> None:
    program = """
import asyncio, signal, sys
from suno_cover_async.cli.process import run

class Work:
    async def drain(self):
        return False
    async def abandon(self):
        sys.stdout.write("abandoned")

async def hang():
    signal.raise_signal(signal.SIGTERM)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

run(hang(), leaving=Work())
"""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=100
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "abandoned", "")


@needs_posix
@pytest.mark.parametrize("where", ["loop", "thread"])
def test_a_loop_or_a_thread_that_hangs_does_not_keep_the_process(where: str) -> None:
    program = """
import asyncio, signal, sys, time
from suno_cover_async.cli import process

process._LONGEST_END = 0.5

class Work:
    async def drain(self):
        if sys.argv[1] == "loop":
            time.sleep(3600)
        return True

async def work():
    signal.raise_signal(signal.SIGTERM)
    if sys.argv[1] == "thread":
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
    await asyncio.sleep(3600)

process.run(work(), leaving=Work())
"""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, where],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert (ended.returncode, ended.stderr) == (
        143,
        "stopping at once: the ledger or a thread hangs\n",
    )

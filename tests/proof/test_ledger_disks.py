"""A ledger killed at any sync, and on disks that are full or failing."""

from pathlib import Path

import pytest

from suno_cover_async.ledger.entry import TrackState
from tests.support.bad_disk import disk_of_its_own, run, strace
from tests.support.ledger_files import open_and_close
from tests.support.runs import read_now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "covers.db"


RUN = """
    async def cover(ledger, entry):
        name = entry.music_task_id
        for step, act in (
            ("submitting", lambda: ledger.submitting(entry)),
            ("submitted", lambda: ledger.submitted(entry, task(entry))),
            ("waiting", lambda: ledger.covered(entry, CoverDetails(
                cover_task_id=f"c{entry.number}", status=CoverStatus.SUCCESS, images=("i", "j")))),
            ("saved", lambda: ledger.saved(entry, [Path(f"{name}.png")])),
        ):
            say("asks", name, step)
            await act()
            say("has", name, step)

    async def workers(ledger, entries):
        async def work():
            while entries:
                await cover(ledger, entries.pop(0))
        await asyncio.gather(*(work() for _ in range(3)))

    async def main():
        async with Ledger(sys.argv[1]) as ledger:
            await ledger.take_in([Track(f"m{n}") for n in range(20)])
            say("took in")
            async with ledger.lease("0123456789abcdef"):
                await workers(ledger, await ledger.claim([TrackState.WAITING], 100))

    asyncio.run(main())
"""

ORDER = ["nothing", "submitting", "submitted", "waiting", "saved"]

STATES = [
    TrackState.WAITING,
    TrackState.SUBMITTING,
    TrackState.SUBMITTED,
    TrackState.COVERED,
    TrackState.SAVED,
]


@pytest.mark.parametrize("sync", [1, 2, 3, 4, 5, 6, 8, 11, 14, 18, 22, 26])
def test_killed_at_any_sync_a_run_keeps_every_step_that_was_done(path: Path, sync: int) -> None:
    kill = f"inject=fdatasync:signal=SIGKILL:when={sync}"
    prefix = strace("-P", f"{path}-wal", "-e", "trace=fdatasync", "-e", kill)
    code, said = run(RUN, path, prefix=prefix)
    asked, had = progress(said, "asks"), progress(said, "has")
    open_and_close(path)
    found = {entry.music_task_id: entry for entry in read_now(path)}

    assert code == -9
    assert len(found) == 20 or "took in" not in said
    for name, entry in found.items():
        far = STATES.index(entry.state)
        assert had.get(name, 0) <= far <= asked.get(name, 0)
        assert entry.task is None or entry.task.cover_task_id == f"c{entry.number}"
        assert (entry.task is not None) == (far >= 2)
        assert entry.images == (("i", "j") if far >= 3 else ())
        assert entry.files == ((Path(f"{name}.png"),) if far == 4 else ())
    assert (
        sum(had.values()) >= sync - 6
    )  # the run's beginning is one, and some had no time to be said


def progress(said: list[str], verb: str) -> dict[str, int]:
    """Tell how far each track is, by what a run said."""
    steps = [line.split() for line in said if line.startswith(f"{verb} ")]
    return {name: ORDER.index(step) for _, name, step in steps}


def test_between_two_steps_of_a_track_there_is_a_sync(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    tracing = strace("-e", "trace=fdatasync,write", log=log)
    code, _ = run(RUN.replace("range(3)", "range(1)"), path, prefix=tracing)
    calls = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
    synced: list[bool] = []
    sync = False
    for call in calls:
        if call.startswith("fdatasync") and "covers.db-wal>" in call:
            sync = True
        elif '"asks ' in call:
            sync = False
        elif '"has ' in call:
            synced.append(sync)

    assert code == 0
    assert synced == [True] * 80


TROUBLE = """
    import resource

    class SizeLimit:  # no file may grow: as a disk that is full, seen from one process
        def begin(self, path):
            wal = os.stat(f"{path}-wal").st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (wal, resource.RLIM_INFINITY))
        def end(self):
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    class FullDisk:
        def begin(self, path):
            self.ballast = Path(path).with_name("ballast")
            with open(self.ballast, "wb", buffering=0) as file:
                try:
                    while file.write(b"x" * 512):
                        pass
                except OSError:
                    pass
        def end(self):
            self.ballast.unlink()

    trouble = FullDisk() if sys.argv[2] == "full disk" else SizeLimit()

    async def main():
        ledger = await Ledger(sys.argv[1]).__aenter__()
        await ledger.take_in([Track(f"m{n}") for n in range(400)])
        entries = await ledger.next_open(TrackState.WAITING, 0, 400)
        await ledger.submitted(entries[0], task(entries[0]))
        say("unwritten", *(task.cover_task_id for task in ledger.unwritten))
        trouble.begin(sys.argv[1])
        known = 1
        while True:
            try:
                await ledger.submitted(entries[known], task(entries[known]))
            except LedgerError as error:
                say(error)
                break
            known += 1
        say("first", f"c{known + 1}")
        answers = await asyncio.gather(
            ledger.submitting(entries[-1]),
            *(ledger.submitted(entry, task(entry)) for entry in entries[known + 1:known + 100]),
            return_exceptions=True)
        say({type(answer).__name__ for answer in answers}, len({id(answer) for answer in answers}))
        unwritten = [task.cover_task_id for task in ledger.unwritten]
        say(unwritten == [f"c{n + 1}" for n in range(known, known + 100)])
        if sys.argv[3] == "never":
            try:
                await ledger.aclose()
            except LedgerError as error:
                say(error)
            say(unwritten == [task.cover_task_id for task in ledger.unwritten])
            return known
        trouble.end()
        if sys.argv[3] == "while open":
            await ledger.take_in([Track("after-all")])
            say([task.cover_task_id for task in ledger.unwritten])
        await ledger.aclose()
        say([task.cover_task_id for task in ledger.unwritten])
        return known + 100

    count = asyncio.run(main())
    known = {entry.music_task_id: entry.task for entry in read(sys.argv[1])}
    say({name for name, task in known.items() if task} == {f"m{n}" for n in range(count)})
    if sys.argv[3] == "never":
        trouble.end()
    async def end():
        async with Ledger(sys.argv[1]) as ledger:
            totals = await ledger.totals()
            say(totals[TrackState.SUBMITTING], "after-all" in known)

    asyncio.run(end())
"""


@pytest.mark.parametrize("trouble", ["size limit", "full disk"])
@pytest.mark.parametrize("repaired", ["while open", "before closing", "never"])
def test_on_a_full_disk_nothing_known_is_lost_while_space_may_still_be_made(
    tmp_path: Path, trouble: str, repaired: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    prefix = disk_of_its_own("1m", disk) if trouble == "full disk" else []
    code, said = run(TROUBLE, disk / "covers.db", trouble, repaired, prefix=prefix)

    assert said[0] == "unwritten"
    assert "cannot be written" in said[1]
    assert "so nothing more is submitted; free space on the disk or repair it" in said[1]
    assert said[3:5] == ["{'LedgerError'} 100", "True"]
    if repaired == "never":
        assert "cannot be written" in said[5]
        assert said[6] == "True"
    else:
        assert said[5:-2] == ["[]"] * (2 if repaired == "while open" else 1)
    assert said[-2:] == ["True", f"0 {repaired == 'while open'}"]
    assert code == 0


DISK_ERRS = """
    async def main():
        async with Ledger(sys.argv[1]) as ledger:
            await ledger.take_in([Track(f"m{n}") for n in range(20)])
            for entry in await ledger.next_open(TrackState.WAITING, 0, 20):
                noted = ledger.submitted if entry.number % 2 else ledger.submitting
                try:
                    await noted(entry, *[task(entry)][:entry.number % 2])
                except LedgerError as error:
                    say("failed", entry.number, error)
                else:
                    say("done", entry.number)
                say("unwritten", *(task.cover_task_id for task in ledger.unwritten))

    asyncio.run(main())
"""


@pytest.mark.parametrize(
    "fault",
    [
        "fdatasync:error=EIO:when=6..9",
        "pwrite64:error=EIO:when=14..17",
        "pwrite64:error=ENOSPC:when=16",
    ],
)
def test_a_disk_that_errs_for_a_while_stops_submits_and_costs_no_cover_task(
    path: Path, fault: str
) -> None:
    """That a submit may go out is not noted later: by then nobody means to send anything."""
    call = fault.partition(":")[0]
    prefix = strace("-P", f"{path}-wal", "-e", f"trace={call}", "-e", f"inject={fault}")
    code, said = run(DISK_ERRS, path, prefix=prefix)
    failed = [int(line.split()[1]) for line in said if line.startswith("failed")]
    states = {entry.number: entry.state for entry in read_now(path)}

    assert code == 0
    assert failed == list(range(failed[0], failed[-1] + 1))
    assert 1 < failed[0] < failed[-1] + 1 < 20
    for line, left in zip(said[::2], said[1::2], strict=True):
        number = int(line.split()[1])
        assert ("SQLITE_IOERR" in line or "SQLITE_FULL" in line) == (number in failed)
        unwritten = [f"c{n}" for n in failed if n % 2 and n <= number] if number in failed else []
        assert left.split() == ["unwritten", *unwritten]
    for number, state in states.items():
        if number % 2:
            assert state is TrackState.SUBMITTED
        else:
            assert state is (TrackState.WAITING if number in failed else TrackState.SUBMITTING)

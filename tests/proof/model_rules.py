"""State machines over callers, catalogs and a host that errs, in virtual time.

`Callers` has callers of one client; `Catalogs` adds runs of a catalog with a ledger. The rules are
what may happen. `model_laws.py` checks what must hold after each; at the end all faults stop, and
every song must be covered.
"""

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Coroutine
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import attrs
import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from suno_cover_async import CoverDetails, CoverFailedError, CoverStatus, CoverTask, TrackState
from suno_cover_async.protocol import codec
from suno_cover_async.sandbox import Fault, Kind, Reply
from tests.proof.model_host import REFUSALS, fault_scripts, host_settings, numbers
from tests.proof.model_laws import FINAL, Laws
from tests.proof.model_world import CALM, FAILING, RESTART, SONGS, Call, World, registered
from tests.support.virtual_time import VirtualTimeLoop

TMPFS = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
JSON = {"Content-Type": "application/json"}
JUST_NOW = 1e-6
LONG_ENOUGH = 4 * 3600.0  # for all patience to end
ROUNDS = 4  # until a song is covered that no other call is at work on

songs = st.sampled_from(SONGS)
moments = st.sampled_from([0.0, 0.0, 0.3, 0.8, 1.0, 5.0, 20.0, 47.0])
ages = st.sampled_from([0.3, 1.0, 5.0, 20.0, 47.0, 100.0, 1000.0, 4000.0])
cancellations = st.sampled_from([1, 1, 2, 3, 5, 100])  # anyio's go on until the caller has left
VERBS = ["generate", "generate", "generate", "submit", "submit", "wait", "watch", "details"]


class Callers(RuleBasedStateMachine):
    """Callers of one client after another, and the host."""

    events: ClassVar[Counter[str]] = Counter()  # of all games
    database: ClassVar[str] = ""  # the URL of one for the ledgers, which are files without it
    images_expired = False

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self._failed: list[dict[str, Any]] = []
        loop = self._runner.get_loop()
        loop.set_exception_handler(lambda _, context: self._failed.append(context))
        loop.set_task_factory(registered)
        self._folder = Path(tempfile.mkdtemp(dir=TMPFS if TMPFS.is_dir() else None))

    def happen(self, work: Coroutine[Any, Any, None]) -> None:
        self._runner.run(work)

    @initialize(
        called_back=st.booleans(),
        seconds=st.sampled_from([1.0, 47.0, 146.0, 2000.0]),
        seed=numbers,
    )
    def begin(self, *, seconds: float, seed: int, called_back: bool) -> None:
        async def work() -> None:
            self.world = World(self._folder, seed, self.database)
            self.laws = Laws(self.world, type(self).events)
            await self.world.begin(called_back=called_back)
            self._set(seconds=seconds, **host_settings(random.Random(seed)))

        self.happen(work())

    @invariant()
    def all_is_well(self) -> None:
        if hasattr(self, "world"):
            self.laws.hold()
        assert not self._failed, self._failed[0]

    # What callers do.

    @rule(
        songs=st.lists(songs, min_size=1, max_size=3),
        verb=st.sampled_from(VERBS),
        many=st.sampled_from([1, 1, 1, 2, 25]),
        faults=fault_scripts,
        then=moments,
        patience=st.sampled_from([30.0, 900.0]),
        cancelled=st.one_of(st.just(0), cancellations),
    )
    def call(
        self,
        *,
        songs: list[str],
        verb: str,
        many: int,
        faults: list[Fault | Reply],
        then: float,
        patience: float,
        cancelled: int,
    ) -> None:
        async def work() -> None:
            kind: Kind = "submit" if verb in {"generate", "submit"} else "details"
            self.world.sandbox.script(kind, *faults)
            for song in songs * many:
                call = self.world.living.call(verb, song, self._cover_of(song), patience)
            await asyncio.sleep(then)
            await self._cancel(call, cancelled)

        self.happen(work())

    @rule(song=songs, reply=st.sampled_from(REFUSALS), often=st.integers(1, 9))
    def call_too_often(self, song: str, reply: Reply, often: int) -> None:
        """Have a submit refused for calling too often, possibly oftener than it tries."""

        async def work() -> None:
            self.world.sandbox.script("submit", *[reply] * often)
            self.world.living.call("submit", song, None, 900)
            await asyncio.sleep(often * 60)

        self.happen(work())

    @rule(
        song=songs, verb=st.sampled_from(["submit", "generate"]), then=moments, times=cancellations
    )
    def cancel_on_the_wire(self, song: str, verb: str, then: float, times: int) -> None:
        """Cancel the only caller of a submit while its answer is on the way."""

        async def work() -> None:
            self.world.sandbox.script("submit", Fault.SLOW)
            call = self.world.living.call(verb, song, None, 900)
            await asyncio.sleep(1)
            await self._cancel(call, times)
            await asyncio.sleep(then)

        self.happen(work())

    def _cover_of(self, song: str) -> CoverTask | str:
        """What callers know a song's cover by."""
        results = [call.result for call in self.world.living.calls if call.song == song]
        tasks = [result for result in results if isinstance(result, CoverTask)]
        return tasks[-1] if tasks else self.world.bills().get(song, "nobody")

    @rule(which=st.integers(0, 30), then=moments, times=cancellations)
    def cancel(self, which: int, then: float, times: int) -> None:
        async def work() -> None:
            calls = [call for call in self.world.living.calls if call.goes_on]
            if calls:
                await self._cancel(calls[which % len(calls)], times)
            await asyncio.sleep(then)

        self.happen(work())

    async def _cancel(self, call: Call, times: int) -> None:
        """Cancel a caller, in so many turns of the event loop that follow each other."""
        self._count(f"{call.verb}: cancelled")
        for number in range(times):
            if not call.goes_on:
                return
            self._count("callers cancelled again, who had not left", number > 0)
            call.cancelled += call.task.cancel()
            await asyncio.sleep(0)

    @rule(then=ages)
    def time_passes(self, then: float) -> None:
        self.happen(asyncio.sleep(then))

    @rule(pause=st.sampled_from([0.0, 0.5, RESTART]), killed=st.booleans())
    def end_and_begin_anew(self, pause: float, *, killed: bool) -> None:
        """Have the process leave all its blocks, or killed, and another one begun."""
        self.happen(self._crash() if killed else self._close())
        self.happen(self._be_born(pause))

    async def _close(self) -> None:
        life = self.world.living
        await life.close()
        self.laws.hold()
        known = [song for song in self.world.bills() if self.laws.callers_know(life, song)]
        self.world.told_before.update(known)
        self.world.possibly_billed = set()
        self._count("clients closed")

    async def _crash(self) -> None:
        life, bills = self.world.living, self.world.bills()
        dead = self.world.crash()
        entries = self.world.entries()
        on_the_wire = {call.song for call in life.calls if call.submits and call.goes_on}
        on_the_wire |= life.client._covers.state.under_way
        self.world.forgotten |= on_the_wire  # billed just now, or in a moment
        for song, cover in bills.items():
            knows = self.laws.ledger_knows(entries.get(song), cover)
            if not knows and self.laws.callers_know(life, song):
                self.world.forgotten.add(song)
        open_ones = [one for one in entries.values() if one.state is TrackState.SUBMITTING]
        self.world.possibly_billed = {one.music_task_id for one in open_ones}
        self._count("crashes")
        self._count("crashes that found an open submit", bool(open_ones))
        billed = sum(one.music_task_id in bills for one in open_ones)
        self._count("open submits at a crash, billed", billed)
        await dead.die()
        await asyncio.sleep(JUST_NOW)  # for what was on the wire
        self.laws.final_states_stay(dead, self.world.entries())

    async def _be_born(self, pause: float) -> None:
        await asyncio.sleep(max(pause, 0.01))
        self.world.be_born()

    # What the host does.

    @rule(kind=st.sampled_from(["submit", "details", "image"]), faults=fault_scripts)
    def trouble(self, kind: Kind, faults: list[Fault | Reply]) -> None:
        self.world.sandbox.script(kind, *faults)

    @rule(number=numbers, expires=st.booleans())
    def host_changes(self, number: int, *, expires: bool) -> None:
        self._set(**host_settings(random.Random(number)))
        if expires:
            self.images_expired = True
            self.world.sandbox.expire_images()

    def _set(self, **values: Any) -> None:
        sandbox = self.world.sandbox
        sandbox.scenario = attrs.evolve(sandbox.scenario, **values)
        self.laws.changed(self.world.now)

    @rule(on=st.booleans(), then=moments)
    def outage(self, then: float, *, on: bool) -> None:
        async def work() -> None:
            self._count("outages", self.world.is_up and not on)
            await self.world.turn_off(on=on)
            await asyncio.sleep(then)

        self.happen(work())

    @rule(
        song=songs, flag=st.sampled_from(CoverStatus), other_cover=st.booleans(), null=st.booleans()
    )
    def lie(self, song: str, flag: CoverStatus, *, other_cover: bool, null: bool) -> None:
        """Make the host answer a poll with details that are false, outdated or premature."""
        cover = self.world.bills().get(song)
        if cover is None:
            return
        music = "foreign-song" if other_cover else song
        images = ("https://127.0.0.1/none.png",) * 2 if flag is CoverStatus.SUCCESS else ()
        details = CoverDetails(cover_task_id=cover, music_task_id=music, status=flag, images=images)
        data = None if null else codec.encode_details(details)
        self.laws.lied.add(cover)
        self._count("lies told")
        body = codec.encode_answer(200, "success", data)
        self.world.sandbox.script("details", Reply(body=body, code=200))

    @rule(
        song=songs,
        of=st.sampled_from(["right", "right", "foreign", "unknown"]),
        forged=st.booleans(),
        copies=st.integers(1, 2),
        code=st.sampled_from([200, 501]),
    )
    def notify(self, song: str, of: str, copies: int, code: int, *, forged: bool) -> None:
        """Send callbacks: to the right or a forged URL, with the right or a wrong body."""
        receiver = self.world.living.receiver
        if receiver is None:
            return
        bills = self.world.bills()
        other = next((bills[one] for one in bills if one != song), "foreign-cover")
        cover = {"right": bills.get(song, "too-early"), "foreign": other}.get(of, "no-such-cover")
        url = receiver.url(song)
        url = url[:-1] + ("A" if url[-1] != "A" else "B") if forged else url
        body = codec.encode_callback(code, "news", cover_task_id=cover, images=None)
        if not forged:
            self._count("callbacks of another cover, to a valid URL", of != "right")
        self.happen(self._notify(url, body, copies, forged=forged))

    async def _notify(self, url: str, body: bytes, copies: int, *, forged: bool) -> None:
        await asyncio.sleep(JUST_NOW)
        before = len(self.world.sandbox.journal.arrivals)
        async with aiohttp.ClientSession() as session:
            for _ in range(copies):
                async with session.post(url, data=body, headers=JSON) as answer:
                    assert answer.status in ({400} if forged else {200, 400}), answer
                who = "forged" if forged else f"of the model's, answered {answer.status}"
                self._count(f"callbacks {who}")
        if forged:
            await asyncio.sleep(JUST_NOW)
            assert len(self.world.sandbox.journal.arrivals) == before

    # The end.

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self._end()
        finally:
            self._clear_away()

    def _end(self) -> None:
        self.happen(self._settle())
        self.all_is_well()
        self.happen(self._leave())
        loop = self._runner.get_loop()
        assert len(loop._selector.get_map()) == 1, "a socket was left"  # type: ignore[attr-defined]
        assert not asyncio.all_tasks(loop)
        assert not self._failed, self._failed[0]
        self.laws.count()

    async def _settle(self) -> None:
        """Stop all faults: each caller then gets its cover, and each song is paid for once."""
        sandbox = self.world.sandbox
        await self.world.turn_off(on=True)
        sandbox._scripts.clear()
        self._set(**attrs.asdict(CALM, recurse=False))
        await asyncio.sleep(LONG_ENOUGH)
        life = self.world.living
        assert not any(call.goes_on for call in life.calls)
        assert not any(run.goes_on for run in life.runs)
        await self._cover_all()

    async def _cover_all(self) -> None:
        for song in SONGS:
            cover_task_id = await self._cover(song)
            assert self.world.bills()[song] == cover_task_id

    async def _cover(self, song: str) -> str | None:
        """Ask for a cover until it is there, as people would; not for long."""
        calls: list[Call] = []
        for _ in range(ROUNDS):
            calls.append(self.world.living.call("generate", song, None, LONG_ENOUGH))
            await asyncio.wait([calls[-1].task])
            if isinstance(error := calls[-1].error, CoverFailedError):
                assert song == FAILING
                return error.cover_task_id
            if isinstance(details := calls[-1].result, CoverDetails):
                assert song != FAILING
                return details.cover_task_id
        raise AssertionError(f"{song} cannot be covered: {[call.error for call in calls]}")

    def _clear_away(self) -> None:
        """Leave nothing for the next example, whatever this one came to."""
        if hasattr(self, "world") and self.world.life is not None:
            self.happen(self.world.life.die())
            self.happen(self.world.end())
        self._runner.close()
        shutil.rmtree(self._folder)

    async def _leave(self) -> None:
        await self.world.living.close()
        self.world.life = None
        await self.world.end()
        for _ in range(10):
            await asyncio.sleep(0)

    def _count(self, event: str, often: int = 1) -> None:
        type(self).events[event] += often


class Catalogs(Callers):
    """A catalog's runs besides, over one ledger that outlives their processes."""

    events: ClassVar[Counter[str]] = Counter()

    @rule(
        anew=st.sampled_from([False, False, True]),
        kind=st.sampled_from(["submit", "submit", "details", "image"]),
        faults=fault_scripts,
        then=moments,
        end=st.sampled_from(["", "", "finished early", "left early", "left at once"]),
    )
    def run_the_catalog(
        self, kind: Kind, faults: list[Fault | Reply], then: float, end: str, *, anew: bool
    ) -> None:
        async def work() -> None:
            self.world.sandbox.script(kind, *faults)
            self._run(anew=anew)
            await asyncio.sleep(then)
            await self._stop(end)

        self.happen(work())

    def _run(self, *, anew: bool) -> None:
        life = self.world.living
        if life.run is None or not life.run.goes_on:
            life.cover(SONGS, self._open_songs(anew=anew), anew=anew)

    def _open_songs(self, *, anew: bool) -> set[str]:
        """Name what a run is to tell the outcome of."""
        ended = {TrackState.SAVED}
        if not anew:
            ended |= {TrackState.FAILED, TrackState.ATTENTION}
        entries = self.world.entries().values()
        return set(SONGS) - {one.music_task_id for one in entries if one.state in ended}

    @rule(
        end=st.sampled_from(["finished early", "left early", "left at once", "killed"]), then=ages
    )
    def stop_on_the_wire(self, end: str, then: float) -> None:
        """Stop a run whose submits are being answered."""

        async def work() -> None:
            self.world.sandbox.script("submit", *[Fault.SLOW] * len(SONGS))
            self._run(anew=False)
            await asyncio.sleep(1)
            if end == "killed":
                await self._crash()
                await self._be_born(0.5)
            else:
                await self._stop(end)
            await asyncio.sleep(then)

        self.happen(work())

    async def _stop(self, end: str) -> None:
        life = self.world.living
        if not end or life.run is None or not life.run.goes_on:
            return
        self._count(f"runs {end}")
        life.run.stopped = True
        if end.startswith("left"):
            await life.leave(life.run, at_once=end == "left at once")
        elif life.run.outcomes is not None:
            life.run.outcomes.finish()

    async def _cover_all(self) -> None:
        for number in range(ROUNDS):
            self._run(anew=number > 0)
            run = self.world.living.run
            assert run is not None
            await asyncio.wait([run.task])
        await super()._cover_all()
        for song, entry in self.world.entries().items():
            self._count(f"tracks that are {entry.state.value} in the end")
            assert entry.task is not None
            assert entry.task.cover_task_id == self.world.bills()[song]
            if entry.task.cover_task_id in self.laws.lied:  # it ended as the host once said
                assert entry.state in {TrackState.COVERED, *FINAL}, entry
            elif song == FAILING:
                assert entry.state is TrackState.FAILED, entry
            elif entry.state is not TrackState.SAVED:
                assert self.images_expired, entry


class SharedCatalogs(Catalogs):
    """The same with a ledger in a database, whose URL `database` is."""

    events: ClassVar[Counter[str]] = Counter()


def play(
    machine: type[Callers],
    games: int,
    steps: int,
    *,
    seed: int,
    fresh: int,
    phases: Collection[Phase] = (Phase.generate,),
) -> Counter[str]:
    """Play so many games of so many steps; returns what happened, raises at a broken law.

    Of one seed, most games are variations of others; so after `fresh` of them comes another.
    """
    machine.events.clear()
    for first in range(0, games, fresh):
        chosen = settings(
            max_examples=min(fresh, games - first),
            stateful_step_count=steps,
            phases=phases,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        seeded = hypothesis.seed(f"{seed} {first}")(machine)
        run_state_machine_as_test(seeded, settings=chosen)
    return machine.events

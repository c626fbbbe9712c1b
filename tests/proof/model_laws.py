"""What must hold at every moment of the model, by the host's journal and by callers' results.

The journal says which submits arrived and how they ended; the client's own counters are not used.
The laws about submits do not depend on the host's own rule for duplicates.
"""

from collections import Counter
from itertools import pairwise

import attrs

from suno_cover_async import (
    CoverDetails,
    Covered,
    CoverExistsError,
    CoverFailedError,
    CoverStatus,
    CoverTask,
    LedgerEntry,
    SunoCoverError,
    TrackState,
)
from suno_cover_async.sandbox import Arrival, DuplicateId, Fault, Scenario
from tests.proof.model_world import AT_ONCE, FAILING, RESTART, SONGS, Call, Life, Run, World

MOST_UNCLEAR = 4  # the first, and three repetitions
TRIES = 5
ATTEMPT = 30.0
SOONEST = 1.0
A_MOMENT = 0.02
UNCLEAR = frozenset(
    {
        Fault.LOST_REQUEST,
        Fault.LOST_ANSWER,
        Fault.RESET,
        Fault.TRUNCATED,
        Fault.GARBAGE,
        Fault.GATEWAY,
        Fault.GATEWAY_AFTER,
        Fault.PAGE,
        Fault.SERVER_ERROR,
        Fault.SERVER_ERROR_AFTER,
    }
)
FINAL = frozenset({TrackState.SAVED, TrackState.FAILED, TrackState.ATTENTION})
PAID = frozenset({TrackState.SUBMITTED, TrackState.COVERED, TrackState.SAVED})
NEXT: dict[TrackState, set[TrackState]] = {
    TrackState.WAITING: set(TrackState),
    TrackState.SUBMITTING: set(TrackState),
    TrackState.SUBMITTED: set(TrackState) - {TrackState.WAITING, TrackState.SUBMITTING},
    TrackState.COVERED: {TrackState.COVERED, *FINAL},
    **{state: {state} for state in FINAL},
}

Entries = dict[str, LedgerEntry]


@attrs.frozen(kw_only=True)
class Submit:
    """A submit as its client must take it: until when it went on, and what it brought."""

    at: float
    until: float
    accepted: bool
    unclear: bool

    @classmethod
    def of(cls, arrival: Arrival, scenario: Scenario, outages: list[float]) -> "Submit":
        slow = scenario.slow_seconds if arrival.fault is Fault.SLOW else 0.0
        cut = [at for at in (*outages, arrival.at + ATTEMPT) if 0 <= at - arrival.at < slow]
        readable = not cut and arrival.fault not in UNCLEAR and arrival.code is not None
        named = scenario.duplicate_id is DuplicateId.RIGHT
        return cls(
            at=arrival.at,
            until=min([arrival.at + slow, *cut]),
            accepted=readable and (arrival.code == 200 or (arrival.code in {400, 409} and named)),
            unclear=not readable,
        )


class Laws:
    """Judges a world; `events` counts what truly happened."""

    def __init__(self, world: World, events: Counter[str]) -> None:
        self._world = world
        self._journal = world.sandbox.journal
        self._events = events
        self._scenarios: list[tuple[float, Scenario]] = [(0.0, world.sandbox.scenario)]
        self.lied: set[str] = set()  # cover tasks that the host told stories of
        self.other_named = False
        self._ends: dict[str, CoverStatus] = {}
        self._before: dict[str, LedgerEntry] = {}
        self._arrivals_before = 0
        self._polled = 0.0

    def changed(self, now: float) -> None:
        """Hear that the host behaves otherwise from now on."""
        scenario = self._world.sandbox.scenario
        self._scenarios.append((now, scenario))
        self.other_named |= scenario.duplicate_id is DuplicateId.WRONG

    def hold(self) -> None:
        """Check whether everything is as it must be."""
        self._at_most_one_bill()
        self._never_refused()
        entries, life = self._world.entries(), self._world.living
        self.submits_are_patient(life)
        self.each_gets_the_truth(life)
        self.nothing_is_lost(life, entries)
        self.final_states_stay(life, entries)

    def _at_most_one_bill(self) -> None:
        billed = Counter(bill.music_task_id for bill in self._journal.bills)
        assert all(count == 1 for count in billed.values()), billed

    def _never_refused(self) -> None:
        """A process that was begun within a window of another's requests cannot know of them."""
        for arrival in self._journal.arrivals:
            young = any(0 <= arrival.at - birth < RESTART for birth in self._world.births[1:])
            assert arrival.admitted or young, arrival

    def _submits(self, life: Life, song: str) -> list[Submit]:
        return [
            self._submit(arrival)
            for arrival in self._journal.of("submit")
            if arrival.music_task_id == song and arrival.at >= life.born
        ]

    def _submit(self, arrival: Arrival) -> Submit:
        return Submit.of(arrival, self._scenario(arrival.at), self._world.outages)

    def _scenario(self, at: float) -> Scenario:
        return [scenario for since, scenario in self._scenarios if since <= at][-1]

    def submits_are_patient(self, life: Life) -> None:
        """Never two at once, none after an acceptance, none 1 s after a possibly billed one."""
        for song in SONGS:
            submits = self._submits(life, song)
            asked = any(call.submits and call.song == song for call in life.calls)
            if song in self._world.possibly_billed and submits and not asked:
                assert submits[0].at >= life.born + SOONEST - A_MOMENT, (song, submits[0])
            for first, second in pairwise(submits):
                unclear = first.unclear and not self._polled_for(song, first, second)
                wait = SOONEST if unclear else 0.0
                assert second.at >= first.until + wait - A_MOMENT, (song, first, second)
                assert not first.accepted or self._asked_again(life, song, first, second), (
                    song,
                    first,
                    second,
                )
            for call in life.calls:
                if call.submits and call.song == song and self._is_alone(life, call):
                    made = [one for one in submits if call.began <= one.at <= call.ends]
                    assert sum(one.unclear for one in made) <= MOST_UNCLEAR, (song, made)
                    assert len(made) <= TRIES, (song, made)

    def _polled_for(self, song: str, first: Submit, second: Submit) -> bool:
        """Whether a callback had named the possibly billed cover, and a poll had confirmed it."""
        return any(
            one.cover_task_id == self._world.bills().get(song) and one.code == 200
            for one in self._journal.of("details")
            if first.at <= one.at <= second.at
        )

    def _asked_again(self, life: Life, song: str, first: Submit, second: Submit) -> bool:
        """Whether another call or run explains the second submit: begun since, or queued."""
        calls = [call for call in life.calls if call.submits and call.song == song]
        if any(first.until <= call.began <= second.at + A_MOMENT for call in calls):
            return True
        running = [run for run in life.runs if run.began <= second.at <= run.ends + A_MOMENT]
        if any(run.anew and first.at <= run.began <= second.at for run in life.runs):
            return True  # it was left, and another run goes on with what it was to retry
        if running and any(call.began <= first.at <= call.ends for call in calls):
            return True  # the first one was not for the catalog, whose ledger does not know it
        in_flight = AT_ONCE * any(run.began <= first.until <= run.ends for run in life.runs)
        generating = [call for call in life.calls if call.verb == "generate"]
        queue = [call for call in generating if call.began <= first.until <= call.ends]
        return in_flight + len(queue) > AT_ONCE and any(call.song == song for call in queue)

    def _is_alone(self, life: Life, call: Call) -> bool:
        end = call.ends
        return not any(
            other is not call
            and other.submits
            and other.song == call.song
            and other.began <= end
            and call.began <= other.ends
            for other in life.calls
        ) and not any(run.began <= end and call.began <= run.ends for run in life.runs)

    def each_gets_the_truth(self, life: Life) -> None:
        for call in life.calls:
            if not call.goes_on and not call.judged:
                call.judged = True
                self._judge(call)
        for run in life.runs:
            if not run.goes_on and not run.judged:
                run.judged = True
                self._run_is_whole(run)

    def _judge(self, call: Call) -> None:
        error = call.error
        assert call.task.cancelled() == bool(call.cancelled), call
        assert error is None or isinstance(error, SunoCoverError), call
        if not call.cancelled:
            self._events[f"{call.verb} ended by {type(error or call.result).__name__}"] += 1
        cover = self._world.bills().get(call.song)
        if isinstance(call.result, CoverTask):
            self._events["cover tasks adopted"] += call.result.adopted
            assert call.result.music_task_id == call.song
            strange = call.result.adopted and self.other_named
            assert call.result.cover_task_id == cover or strange, (call, cover)
        if isinstance(error, CoverFailedError):
            self._is_true(call, error.details)
        if isinstance(call.result, CoverDetails):
            if call.verb == "generate":
                assert call.result.cover_task_id == cover, (call, cover)
            self._is_true(call, call.result)
        told = [details.status for details in call.seen]
        assert not any(status.finished for status in told[:-1]), told
        assert all(one is not other for one, other in pairwise(told)), told

    def _is_true(self, call: Call, details: CoverDetails) -> None:
        """A final result is that of the caller's own song, and the same for all callers."""
        songs = {cover: song for song, cover in self._world.bills().items()}
        song = songs.get(details.cover_task_id)
        if not details.finished or details.cover_task_id in self.lied:
            return
        if song is None:  # another song's, requested by its bare id
            assert isinstance(call.asked, str), call
            return
        truth = CoverStatus.FAILED if song == FAILING else CoverStatus.SUCCESS
        assert details.status is truth, details
        assert details.music_task_id == song, details
        assert len(details.images) == 2 * (song != FAILING) or call.verb == "details", details
        assert self._ends.setdefault(details.cover_task_id, details.status) is details.status
        if isinstance(call.asked, CoverTask):
            assert call.asked.music_task_id == song, details

    def nothing_is_lost(self, life: Life, entries: Entries) -> None:
        """Every bill is known to a caller, the client or the ledger."""
        for song, cover in self._world.bills().items():
            known = song in self._world.forgotten or song in self._world.told_before
            known = known or self.ledger_knows(entries.get(song), cover)
            assert known or self.callers_know(life, song), (song, cover, entries.get(song))

    def ledger_knows(self, entry: LedgerEntry | None, cover: str) -> bool:
        if entry is None or entry.state is TrackState.WAITING:
            return False
        if entry.state in {TrackState.SUBMITTING, TrackState.ATTENTION}:
            return True
        task = entry.task
        strange = self.other_named and entry.state is TrackState.SUBMITTED  # polls will tell
        return task is not None and (task.cover_task_id == cover or (strange and task.adopted))

    @staticmethod
    def callers_know(life: Life, song: str) -> bool:
        """Whether those who asked in person know; what a catalog asked for, its ledger must.

        Those who were cancelled have left, and the client finishes what was on the wire.
        """
        about = [call for call in life.calls if call.song == song]
        calls = [call for call in about if call.submits]
        client = life.client
        unclaimed = {task.music_task_id for task in client.unclaimed}
        if calls and song in {*client.possibly_billed, *unclaimed, *client._covers.state.under_way}:
            return True
        if any(_is_told_the_end(call) for call in about):
            return True
        return any(call.goes_on or call.result is not None or _names(call.error) for call in calls)

    def final_states_stay(self, life: Life, entries: Entries) -> None:
        """So does what is paid for, and nothing is submitted for it, unless asked to."""
        arrivals = self._journal.arrivals
        new, self._arrivals_before = arrivals[self._arrivals_before :], len(arrivals)
        submitted = {arrival.music_task_id for arrival in new if arrival.kind == "submit"}
        before, self._before = self._before, entries
        since, self._polled = self._polled, self._world.now
        if any(run.anew and run.began >= since for run in life.runs):
            return
        for song, entry in before.items():
            after = entries.get(song)
            if after is None:  # a catalog drops what waits, before it takes it in again
                assert entry.state is TrackState.WAITING, entry
                continue
            assert after.state in NEXT[entry.state], (entry, after)
            if entry.state in FINAL:
                self._events[f"checks of tracks that are {entry.state.value}"] += 1
                assert after == entry, (entry, after)
            if entry.state in {*FINAL, *PAID}:
                calls = (call for call in life.calls if call.submits and call.song == song)
                assert song not in submitted or any(call.ends >= since for call in calls), entry

    def _run_is_whole(self, run: Run) -> None:
        """Each track has one outcome at most; exactly one, if the run came to its end."""
        told = Counter(outcome.track.music_task_id for outcome in run.told)
        assert all(count == 1 for count in told.values()), told
        assert not run.task.cancelled() or run.stopped, run
        error = None if run.task.cancelled() else run.task.exception()
        assert error is None or isinstance(error, SunoCoverError), error
        self._events[f"runs ended by {type(error).__name__ if error else 'themselves'}"] += 1
        if error is None and not run.stopped:
            assert set(told) == set(run.open_before), (told, run.open_before)
        songs = {cover: song for song, cover in self._world.bills().items()}
        for outcome in run.told:
            if isinstance(outcome, Covered):
                assert songs[outcome.details.cover_task_id] == outcome.track.music_task_id
                assert len(outcome.files) == 2

    def count(self) -> None:
        """Count what truly happened, by the journal."""
        events, journal = self._events, self._journal
        submits = journal.of("submit")
        events["bills"] += len(journal.bills)
        events["requests refused by the limit, after a restart"] += sum(
            not arrival.admitted for arrival in journal.arrivals
        )
        for arrival in journal.arrivals:
            events[f"{arrival.kind}: {arrival.fault.value}"] += 1
            events[f"{arrival.kind}: refused with {arrival.code}"] += (arrival.code or 200) != 200
        faulty = [arrival for arrival in journal.of("image") if arrival.fault is not Fault.NONE]
        events["images with a fault"] += len(faulty)
        for bill in journal.bills:
            first = next(
                one
                for one in submits
                if one.at == bill.at and one.cover_task_id == bill.cover_task_id
            )
            events["bills whose answer was lost"] += self._submit(first).unclear
            if self._world.public_url is not None:
                cover = self._world.sandbox._world._covers[bill.cover_task_id]
                events[f"callbacks {cover.mishap.value}"] += cover.done is not None
        events["callbacks let in"] += sum(one.status == 200 for one in journal.callbacks)


def _is_told_the_end(call: Call) -> bool:
    """Whether it has the cover, or heard that there is none; it may have waited by a bare id."""
    if isinstance(call.error, CoverFailedError):
        return True
    return isinstance(call.result, CoverDetails) and call.result.finished


def _names(error: BaseException | None) -> bool:
    """Whether an error tells its caller that there is, or may be, a cover."""
    return isinstance(error, SunoCoverError) and (
        error.cover_task_id is not None
        or error.possibly_billed
        or isinstance(error, CoverExistsError)
    )

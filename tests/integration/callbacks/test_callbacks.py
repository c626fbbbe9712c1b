"""A client with a receiver, against the sandbox that calls back: few requests, and nothing lost.

Fallback polls are hours away wherever a callback is to end a wait, so a wait that a callback does
not end runs into the time limit of the tests.
"""

import asyncio
import statistics
import time
from collections import Counter

import attrs
import pytest

from suno_cover_async import (
    AuthenticationError,
    Callback,
    CallbackReceiver,
    CoverDetails,
    CoverExistsError,
    CoverFailedError,
    CoverStatus,
    CoverTask,
    PollPolicy,
    RateLimit,
    RetryPolicy,
    SunoCoverClient,
)
from suno_cover_async.sandbox import DuplicateId, Fault, Reply, Sandbox, Scenario
from tests.support.clients import connect, receiving
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

HOURS = 50_000.0
PATIENT = PollPolicy(fallback_delay=HOURS, fallback_interval=HOURS, timeout=10 * HOURS)
QUICK = Scenario(rate_limit=None, seconds=0.1)


def requests(sandbox: Sandbox) -> list[str]:
    return [arrival.kind for arrival in sandbox.journal.arrivals]


async def test_a_callback_ends_generate_with_two_requests_in_all() -> None:
    async with Sandbox(QUICK) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            details = await client.generate(song)

        assert len(details.images) == 2
        assert requests(sandbox) == ["submit", "details"]
        assert [delivery.status for delivery in sandbox.journal.callbacks] == [200]


async def test_every_submit_has_a_url_of_its_own_with_a_token_that_only_we_can_make() -> None:
    async with Sandbox(QUICK) as sandbox, receiving() as receiver:
        songs = sandbox.add_music(3)
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            await asyncio.gather(*(client.generate(song) for song in songs))

        urls = {delivery.url for delivery in sandbox.journal.callbacks}
        assert urls == {receiver.url(song) for song in songs}


async def test_a_failure_is_told_by_its_callback_too() -> None:
    async with Sandbox(QUICK) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music(fails=True)
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            with pytest.raises(CoverFailedError):
                await client.generate(song)

        assert requests(sandbox) == ["submit", "details"]


async def generated(scenario: Scenario, poll: PollPolicy = PATIENT) -> list[str]:
    """Generate one cover; return the requests that it took."""
    async with Sandbox(scenario) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        async with connect(sandbox, receiver=receiver, poll=poll) as client:
            await client.generate(song)

        return requests(sandbox)


async def test_a_callback_before_the_submits_answer_finds_its_waiter() -> None:
    asked = await generated(attrs.evolve(QUICK, early_callbacks=1.0))

    assert asked == ["submit", "details"]


async def test_a_callback_between_submit_and_wait_is_not_lost() -> None:
    async with Sandbox(attrs.evolve(QUICK, seconds=0)) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            task = await client.submit(song)
            await until(lambda: sandbox.journal.callbacks)
            await client.wait(task)

        assert requests(sandbox) == ["submit", "details"]


@pytest.mark.parametrize("by_id", [True, False])
async def test_wait_and_watch_hear_callbacks_as_well(by_id: bool) -> None:
    async with Sandbox(attrs.evolve(QUICK, seconds=0.3)) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            task = await client.submit(song)
            what = task.cover_task_id if by_id else task

            async def watched() -> list[CoverDetails]:
                return [details async for details in client.watch(what)]

            waited, seen = await asyncio.gather(client.wait(what), watched())

        assert seen[1:] == [waited]
        assert seen[0].status is CoverStatus.PENDING
        assert requests(sandbox) == ["submit", "details"]


@pytest.mark.parametrize("answers_lost", [1, 4])
async def test_a_lost_answer_is_made_good_by_the_callback(answers_lost: int) -> None:
    scenario = attrs.evolve(QUICK, duplicate_id=DuplicateId.ABSENT)
    async with Sandbox(scenario) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        sandbox.script("submit", *[Fault.LOST_ANSWER] * answers_lost)
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            details = await client.generate(song)

            assert client.possibly_billed == ()
            assert client.unclaimed == ()
        [bill] = sandbox.journal.bills
        assert details.cover_task_id == bill.cover_task_id


async def test_a_cover_that_exists_is_waited_for_until_its_callback_names_it() -> None:
    overdue = attrs.evolve(PATIENT, fallback_delay=0.1)  # which is no reason to stop waiting
    scenario = attrs.evolve(QUICK, seconds=2.5, duplicate_id=DuplicateId.ABSENT)
    async with Sandbox(scenario) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        sandbox.script("submit", Fault.LOST_ANSWER)
        async with connect(sandbox, receiver=receiver, poll=overdue) as client:
            task = await client.submit(song)  # its second attempt, 1 s later, is refused

            assert sandbox.journal.callbacks
            assert task.cover_task_id == sandbox.journal.bills[0].cover_task_id
        assert len(sandbox.journal.of("submit")) == 2


async def test_a_callback_of_an_earlier_run_names_the_cover_task_to_the_next_one() -> None:
    scenario = attrs.evolve(QUICK, duplicate_id=DuplicateId.ABSENT)
    async with Sandbox(scenario) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        async with connect(sandbox, callback_url=receiver.url(song)) as crashed:
            await crashed.submit(song)
        await until(lambda: sandbox.journal.callbacks)
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            task = await client.submit(song)

        assert task.adopted
        assert len(sandbox.journal.of("submit")) == 1


async def test_a_claim_that_cannot_be_checked_now_is_kept_for_the_next_submit() -> None:
    scenario = attrs.evolve(QUICK, duplicate_id=DuplicateId.ABSENT)
    async with Sandbox(scenario) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        async with connect(sandbox, callback_url=receiver.url(song)) as crashed:
            await crashed.submit(song)
        await until(lambda: sandbox.journal.callbacks)
        sandbox.script("details", Fault.MAINTENANCE)
        retry = RetryPolicy(max_attempts=1)
        async with connect(sandbox, receiver=receiver, poll=PATIENT, retry=retry) as client:
            with pytest.raises(CoverExistsError):
                await client.submit(song)
            task = await client.submit(song)

        assert task.cover_task_id == sandbox.journal.bills[0].cover_task_id


@pytest.mark.parametrize("code", [400, 401, 402, 404, 422])
async def test_a_claim_outlives_a_poll_that_was_refused(code: int) -> None:
    """Only a poll that shows other music disproves it."""
    scenario = attrs.evolve(QUICK, duplicate_id=DuplicateId.ABSENT)
    poll = PollPolicy(min_interval=0.05, timeout=10)
    async with Sandbox(scenario) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        sandbox.script("submit", Fault.LOST_ANSWER)
        sandbox.script("details", Reply(body=b'{"code": %d, "msg": "no"}' % code))
        async with connect(sandbox, receiver=receiver, poll=poll) as client:
            task = await client.submit(song)

        assert task.cover_task_id == sandbox.journal.bills[0].cover_task_id


async def test_the_callback_of_a_failed_cover_is_no_reason_not_to_submit_again() -> None:
    async with Sandbox(QUICK) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music(fails=True)
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            for _ in range(2):
                with pytest.raises(CoverFailedError):
                    await client.generate(song)

        assert len(sandbox.journal.of("submit")) == 2


@pytest.mark.parametrize("again", ["wait", "generate"])
async def test_who_asks_for_a_cover_once_more_has_it_at_once(again: str) -> None:
    async with Sandbox(QUICK) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            task = await client.submit(song)
            first = await client.wait(task)
            second = await (client.wait(task) if again == "wait" else client.generate(song))

        assert second == first


async def test_two_clients_with_one_receiver_take_nothing_from_each_other() -> None:
    """One has the cover; the other, whose answer was lost, still finds it by its callback."""
    scenario = attrs.evolve(QUICK, duplicate_id=DuplicateId.ABSENT)
    async with Sandbox(scenario) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        async with (
            connect(sandbox, receiver=receiver, poll=PATIENT) as one,
            connect(sandbox, receiver=receiver, poll=PATIENT) as other,
        ):
            sandbox.script("submit", Fault.LOST_ANSWER)
            late = asyncio.create_task(other.generate(song))
            await until(lambda: sandbox.journal.bills)
            first = await one.wait(
                CoverTask(cover_task_id=sandbox.journal.bills[0].cover_task_id, music_task_id=song)
            )

            assert await late == first


async def test_a_callback_that_names_another_cover_is_refused_while_ours_is_waited_for() -> None:
    async with Sandbox(attrs.evolve(QUICK, seconds=1000)) as sandbox, receiving() as receiver:
        songs = sandbox.add_music(2)
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            one, two = [await client.submit(song) for song in songs]
            waits = [asyncio.create_task(client.wait(task)) for task in (one, two)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            swapped = Callback(music_task_id=songs[0], cover_task_id=two.cover_task_id)
            unknown = Callback(music_task_id=songs[0], cover_task_id="never-heard-of")

            assert not receiver.notify(swapped)
            assert not receiver.notify(unknown)
        await asyncio.gather(*waits, return_exceptions=True)
        assert len(sandbox.journal.arrivals) == 2


async def test_generate_waits_for_a_lost_answers_callback_no_longer_than_it_was_told() -> None:
    scenario = attrs.evolve(QUICK, lost_callbacks=1.0, duplicate_id=DuplicateId.ABSENT)
    async with Sandbox(scenario) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        sandbox.script("submit", Fault.LOST_ANSWER)
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            with pytest.raises(CoverExistsError) as caught:
                await client.generate(song, timeout=0.2)

        assert caught.value.possibly_billed


async def test_a_cover_that_failed_before_is_not_taken_for_the_one_that_was_paid_for_now() -> None:
    """Should a host let a failed cover be asked for again, which is documented nowhere."""
    async with Sandbox(QUICK) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music(fails=True)
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            with pytest.raises(CoverFailedError) as failed:
                await client.generate(song)
            music = sandbox._world._music[song]
            music.cover_task_id, music.fails = None, False
            sandbox.script("submit", Fault.LOST_ANSWER)
            sandbox.scenario = attrs.evolve(QUICK, seconds=1.5, duplicate_id=DuplicateId.ABSENT)
            details = await client.generate(song)

        assert details.cover_task_id == sandbox.journal.bills[1].cover_task_id
        assert details.cover_task_id != failed.value.cover_task_id


async def test_an_error_that_waiting_cannot_repair_is_raised_at_once_for_any_song() -> None:
    async with Sandbox(QUICK) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        sandbox.script("submit", Fault.LOST_REQUEST)
        async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
            doomed = asyncio.create_task(client.submit(song))
            await until(lambda: client.possibly_billed)
            doomed.cancel()
            await asyncio.wait([doomed])
            sandbox.script("submit", Reply(body=b'{"code": 401, "msg": "no"}'))

            with pytest.raises(AuthenticationError):
                await client.submit(song)


async def test_callbacks_that_never_come_cost_one_poll_for_safety() -> None:
    soon = attrs.evolve(PATIENT, fallback_delay=0.5)
    asked = await generated(attrs.evolve(QUICK, lost_callbacks=1.0), soon)

    assert asked == ["submit", "details"]


async def test_an_adopted_task_is_polled_since_its_callback_goes_elsewhere() -> None:
    async with Sandbox(attrs.evolve(QUICK, seconds=0.3)) as sandbox, receiving() as receiver:
        [song] = sandbox.add_music()
        async with connect(sandbox) as other_cover:
            await other_cover.submit(song)
        async with connect(sandbox, receiver=receiver) as client:  # with the quick polls of tests
            await client.generate(song)

        assert len(sandbox.journal.of("details")) > 2


async def test_a_forged_callback_costs_no_request_and_wakes_no_waiter() -> None:
    async with Sandbox(attrs.evolve(QUICK, forged_callbacks=1.0)) as sandbox:
        async with receiving() as receiver:
            songs = sandbox.add_music(20)
            async with connect(sandbox, receiver=receiver, poll=PATIENT) as client:
                await asyncio.gather(*(client.generate(song) for song in songs))

        told = Counter((call.forged, call.status) for call in sandbox.journal.callbacks)
        assert told == {(True, 400): 20, (False, 200): 20}
        assert Counter(requests(sandbox)) == {"submit": 20, "details": 20}


@pytest.mark.parametrize(("key", "statuses"), [("right", {200}), ("wrong", {400})])
async def test_the_hosts_signature_is_checked_when_a_key_is_set(
    key: str, statuses: set[int]
) -> None:
    poll = attrs.evolve(PATIENT, fallback_delay=0.5)
    scenario = attrs.evolve(QUICK, hmac_key="right", callback_pause=0)
    async with Sandbox(scenario) as sandbox, receiving(hmac_key=key) as receiver:
        [song] = sandbox.add_music()
        async with connect(sandbox, receiver=receiver, poll=poll) as client:
            await client.generate(song)

        assert {delivery.status for delivery in sandbox.journal.callbacks} == statuses


async def test_one_process_receives_and_another_waits() -> None:
    """Two receivers with one secret: what the first is told is passed on to the second."""
    told: list[Callback] = []
    async with Sandbox(QUICK) as sandbox, receiving(on_callback=told.append) as front:
        address = front.url("any").rpartition("/")[0]
        waiting = CallbackReceiver(public_url=address, secret="s" * 32)
        [song] = sandbox.add_music()
        async with connect(sandbox, receiver=waiting, poll=PATIENT) as client:
            generating = asyncio.create_task(client.generate(song))
            await until(lambda: told)
            waiting.notify(told[0])
            await generating

        assert requests(sandbox) == ["submit", "details"]


async def test_a_flood_of_notifications_leaves_submits_a_quarter_of_the_limit() -> None:
    """Somebody holds our tokens and notifies for every cover that is waited for, without end."""
    limit = RateLimit(calls=20, seconds=0.5)
    poll = attrs.evolve(PATIENT, min_interval=0.001)
    async with (
        Sandbox(Scenario(rate_limit=limit, seconds=1000)) as sandbox,
        receiving() as receiver,
    ):
        songs = sandbox.add_music(60)
        client = connect(sandbox, receiver=receiver, poll=poll, rate_limit=limit)
        waits = [asyncio.create_task(client.generate(song)) for song in songs]
        while len(sandbox.journal.bills) < len(songs):
            for bill in sandbox.journal.bills:
                receiver.notify(
                    Callback(music_task_id=bill.music_task_id, cover_task_id=bill.cover_task_id)
                )
            await asyncio.sleep(0.01)
        await client.aclose()
        await asyncio.gather(*waits, return_exceptions=True)

        arrivals = sandbox.journal.arrivals
        assert all(arrival.admitted for arrival in arrivals)
        last = sandbox.journal.of("submit")[-1].at
        polls = sum(arrival.at < last for arrival in sandbox.journal.of("details"))
        assert 20 <= polls <= 3 * len(songs) + 20


async def test_1000_covers_with_a_third_of_the_callbacks_lost_doubled_early_late_or_forged() -> (
    None
):
    share = 1 / 15
    scenario = Scenario(
        rate_limit=None,
        seconds=(0.2, 0.6),
        lost_callbacks=share,
        doubled_callbacks=share,
        early_callbacks=share,
        late_callbacks=share,
        forged_callbacks=share,
        late_seconds=5,
    )
    poll = PollPolicy(fallback_delay=9, fallback_interval=5, timeout=60)
    ends: dict[str, float] = {}
    async with Sandbox(scenario) as sandbox, receiving() as receiver:
        songs = sandbox.add_music(1000)
        async with connect(sandbox, receiver=receiver, poll=poll, concurrency=250) as client:

            async def cover(song: str) -> CoverDetails:
                details = await client.generate(song)
                ends[details.cover_task_id] = time.monotonic()
                return details

            covers = await asyncio.gather(*map(cover, songs))

        bills = {bill.music_task_id: bill.cover_task_id for bill in sandbox.journal.bills}
        assert len(sandbox.journal.bills) == len(bills) == 1000
        assert {cover.music_task_id: cover.cover_task_id for cover in covers} == bills
        assert all(len(cover.images) == 2 for cover in covers)
        assert 2.0 <= len(sandbox.journal.arrivals) / 1000 <= 2.2
        assert {call.status for call in sandbox.journal.callbacks if not call.forged} == {200}
        assert {call.status for call in sandbox.journal.callbacks if call.forged} == {400}
        took = [ends[bill.cover_task_id] - bill.at for bill in sandbox.journal.bills]
        assert statistics.quantiles(took, n=10)[7] < 9  # before any fallback poll


def test_a_submit_has_one_callback_url() -> None:
    receiver = CallbackReceiver(public_url="https://me.example/suno", secret="s")
    with pytest.raises(ValueError, match="callback_url or receiver"):
        SunoCoverClient("key-of-a-test", receiver=receiver, callback_url="https://me.example")
    with pytest.raises(TypeError, match="receiver must be a CallbackReceiver"):
        SunoCoverClient("key-of-a-test", receiver="https://me.example")  # type: ignore[arg-type]

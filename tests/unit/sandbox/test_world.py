from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.models import CoverStatus
from suno_cover_async.policies import RateLimit
from suno_cover_async.sandbox.scenario import Mishap
from tests.support.worlds import URL, WALL, a_cover, a_world, statuses

DAY = 86_400.0


@given(
    arrivals=st.lists(st.floats(0, 100), max_size=60).map(sorted),
    calls=st.integers(1, 5),
    seconds=st.floats(0.1, 30),
)
def test_no_window_admits_more_than_the_rate_and_none_refuses_less(
    arrivals: list[float], calls: int, seconds: float
) -> None:
    world = a_world(rate_limit=RateLimit(calls=calls, seconds=seconds))
    admitted = list[float]()

    for now in arrivals:
        recent = [moment for moment in admitted if now - moment < seconds]
        assert world.admit(now) is (len(recent) < calls)
        if len(recent) < calls:
            admitted.append(now)


def test_an_arrival_exactly_one_window_later_is_admitted() -> None:
    world = a_world(rate_limit=RateLimit(calls=1, seconds=10))

    assert [world.admit(now) for now in (0.0, 9.999, 10.0, 19.0)] == [True, False, True, False]


def test_the_window_shrinks_with_the_scale() -> None:
    world = a_world(rate_limit=RateLimit(calls=1, seconds=10), scale=100)

    assert [world.admit(now) for now in (0.0, 0.05, 0.11)] == [True, False, True]


def test_no_rate_admits_everything() -> None:
    world = a_world(rate_limit=None)

    assert all(world.admit(0.0) for _ in range(1000))


@given(st.lists(st.integers(0, 3), max_size=20))
def test_a_music_task_is_billed_once_however_often_it_is_submitted(orders: list[int]) -> None:
    world = a_world(price=2.5)
    music = world.add_music(4, status="SUCCESS", fails=None)

    for order in orders:
        try:
            world.submit(music[order], URL, 1000.0)
        except ValueError:
            assert world.cover_of(music[order]) is not None

    billed = Counter(bill.music_task_id for bill in world.bills)
    assert billed == Counter({music[order]: 1 for order in set(orders)})
    assert world.credits == 1_000_000 - 2.5 * len(set(orders))


def test_an_unknown_music_task_gets_no_cover() -> None:
    with pytest.raises(LookupError):
        a_world().submit("nobody", URL, 1000.0)


def test_one_id_is_one_music_task() -> None:
    assert a_world().add_music("mine", status="SUCCESS", fails=None) == ["mine"]


def test_a_music_task_cannot_be_added_twice_to_be_billed_twice() -> None:
    world = a_world()
    world.add_music(["mine"], status="SUCCESS", fails=None)

    with pytest.raises(ValueError, match="mine"):
        world.add_music(["mine"], status="SUCCESS", fails=None)


def test_credits_run_out_to_the_last_one() -> None:
    world = a_world(credits=0.3, price=0.1)

    for _ in range(3):
        a_cover(world)

    assert (world.credits, world.affordable) == (0.0, False)
    with pytest.raises(ValueError, match="credits"):
        a_cover(world)
    assert len(world.bills) == 3


def test_time_finishes_a_cover_by_way_of_pending_and_generating() -> None:
    world = a_world(seconds=40)
    _, cover_task_id = a_cover(world, 1000.0)

    assert statuses(world, cover_task_id, [1000.0, 1009.9, 1010.0, 1039.9, 1040.0, 2000.0]) == [
        CoverStatus.PENDING,
        CoverStatus.PENDING,
        CoverStatus.GENERATING,
        CoverStatus.GENERATING,
        CoverStatus.SUCCESS,
        CoverStatus.SUCCESS,
    ]


def test_polls_finish_a_cover_at_exactly_that_poll() -> None:
    world = a_world(polls=4, seconds=0)
    _, cover_task_id = a_cover(world)

    assert statuses(world, cover_task_id, [1000.0] * 5) == [
        CoverStatus.PENDING,
        CoverStatus.GENERATING,
        CoverStatus.GENERATING,
        CoverStatus.SUCCESS,
        CoverStatus.SUCCESS,
    ]


def test_null_polls_come_first_and_do_not_count() -> None:
    world = a_world(polls=2, null_polls=2)
    _, cover_task_id = a_cover(world)

    assert statuses(world, cover_task_id, [1000.0] * 4) == [
        None,
        None,
        CoverStatus.PENDING,
        CoverStatus.SUCCESS,
    ]


def test_an_unknown_cover_task_is_nothing() -> None:
    assert a_world().poll("nobody", 1000.0) is None


def test_moments_tell_the_duration_that_the_client_experiences() -> None:
    world = a_world(seconds=47, scale=10)
    music_task_id, cover_task_id = a_cover(world, 1005.0)

    details = world.poll(cover_task_id, 1100.0)

    assert details is not None
    assert details.music_task_id == music_task_id
    assert details.created_at == WALL + timedelta(seconds=5)
    assert details.duration == timedelta(seconds=4.7)


def test_a_success_may_hide_its_images_at_first() -> None:
    world = a_world(seconds=0, imageless_polls=2)
    _, cover_task_id = a_cover(world)

    polls = [world.poll(cover_task_id, 1000.0) for _ in range(3)]

    assert [poll and len(poll.images) for poll in polls] == [0, 0, 2]


@pytest.mark.parametrize(("share", "fails"), [(1.0, None), (0.0, True)])
def test_a_failing_cover_says_why_and_shows_nothing(share: float, fails: bool | None) -> None:
    world = a_world(seconds=10, failures=share)
    _, cover_task_id = a_cover(world, fails=fails)

    assert statuses(world, cover_task_id, [1009.0]) == [CoverStatus.GENERATING]
    details = world.poll(cover_task_id, 1010.0)
    assert details is not None
    assert (details.status, details.images) == (CoverStatus.FAILED, ())
    assert (details.error_code, bool(details.error_message)) == (500, True)
    assert [callback.images for callback in world.due(1010.0)] == [None]


def test_a_music_task_that_must_not_fail_does_not() -> None:
    world = a_world(seconds=0, failures=1.0)
    _, cover_task_id = a_cover(world, fails=False)

    assert statuses(world, cover_task_id, [1000.0]) == [CoverStatus.SUCCESS]


def test_a_callback_is_due_once_and_when_time_finishes_the_cover() -> None:
    world = a_world(seconds=10)
    late, early = a_cover(world, 1005.0)[1], a_cover(world, 1000.0)[1]

    assert world.next_due() == 1010.0
    assert world.due(1009.9) == []
    assert [callback.cover_task_id for callback in world.due(1010.0)] == [early]
    assert [callback.cover_task_id for callback in world.due(1020.0)] == [late]
    assert (world.due(9999.0), world.next_due()) == ([], None)


def test_a_callback_is_due_at_the_poll_that_finishes_the_cover() -> None:
    world = a_world(polls=2)
    _, cover_task_id = a_cover(world)

    world.poll(cover_task_id, 1001.0)
    assert world.due(5000.0) == []
    details = world.poll(cover_task_id, 5001.0)
    (callback,) = world.due(5001.0)

    assert details is not None
    assert (callback.url, callback.images) == (URL, details.images)


def test_an_image_knows_whose_it_is_and_is_kept_14_days() -> None:
    world = a_world(seconds=0)
    music_task_id, cover_task_id = a_cover(world)

    details = world.poll(cover_task_id, 1000.0)
    assert details is not None
    found = [world.image(path) for path in details.images]

    assert [image and (image.music_task_id, image.style) for image in found] == [
        (music_task_id, 1),
        (music_task_id, 2),
    ]
    assert {image and image.expires_at for image in found} == {1000.0 + 14 * DAY}
    assert world.image("/s/0_0.png") is None


def test_images_expire_sooner_by_the_scale_or_by_order() -> None:
    world = a_world(seconds=0, scale=DAY)
    first, second = (world.poll(a_cover(world)[1], 1000.0) for _ in range(2))

    assert first is not None
    assert second is not None
    image = world.image(first.images[0])
    world.expire_images(1003.0)
    expired = world.image(second.images[1])

    assert image is not None
    assert expired is not None
    assert (image.expires_at, expired.expires_at) == (1014.0, 1003.0)


def test_the_other_cover_is_a_finished_one_of_another_music_task_for_free() -> None:
    world = a_world(polls=3)
    a_cover(world)

    details = world.poll(world.other_cover(1000.0), 1000.0)

    assert details is not None
    assert details.status is CoverStatus.SUCCESS
    assert details.music_task_id not in {bill.music_task_id for bill in world.bills}
    assert world.other_cover(1001.0) == world.other_cover(1002.0)


def test_music_has_audio_once_it_is_ready() -> None:
    world = a_world()
    (music_task_id,) = world.add_music(["a-song-of-mine"], status="GENERATING", fails=None)

    before = world.music(music_task_id)
    world.set_music(music_task_id, "SUCCESS")
    after = world.music(music_task_id)

    assert before is not None
    assert after is not None
    assert (before.ready, before.audio_urls) == (False, ())
    assert after.ready
    assert len(set(after.audio_urls)) == 2
    assert world.music("nobody") is None
    with pytest.raises(LookupError):
        world.set_music("nobody", "SUCCESS")


def test_the_same_seed_makes_the_same_world() -> None:
    def tale(seed: int) -> list[object]:
        world = a_world(seed=seed, seconds=(1, 9), failures=0.5)
        covers = [a_cover(world)[1] for _ in range(20)]
        return [world.poll(cover, 2000.0) for cover in covers]

    assert tale(7) == tale(7)
    assert tale(7) != tale(8)


def test_a_finish_is_known_from_the_poll_that_shows_it() -> None:
    world = a_world(seconds=40, null_polls=1)
    _, cover_task_id = a_cover(world, 1000.0)

    known = list[float | None]()
    for now in (1041.0, 1050.0, 1060.0):
        world.poll(cover_task_id, now)
        known.append(world.finished_at(cover_task_id))

    assert known == [None, 1040.0, 1040.0]
    assert world.finished_at("nobody") is None


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("fields", [{"seconds": 60}, {"polls": 9}])
def test_an_early_cover_is_finished_when_it_is_submitted(
    fields: dict[str, Any], fails: bool
) -> None:
    world = a_world(early_callbacks=1, **fields)
    _, cover_task_id = a_cover(world, fails=fails)

    (callback,) = world.due(1000.0)
    details = world.poll(cover_task_id, 1000.0)

    assert (callback.cover_task_id, callback.mishap) == (cover_task_id, Mishap.EARLY)
    assert details is not None
    assert details.status is (CoverStatus.FAILED if fails else CoverStatus.SUCCESS)
    assert callback.images == (None if fails else details.images)
    assert world.due(9999.0) == []


def test_a_late_callback_is_due_long_after_its_cover_finished() -> None:
    world = a_world(seconds=20, late_callbacks=1, late_seconds=100, scale=2)
    _, cover_task_id = a_cover(world)

    assert statuses(world, cover_task_id, [1010.0]) == [CoverStatus.SUCCESS]
    assert world.next_due() == 1060.0
    assert world.due(1059.9) == []
    assert [callback.cover_task_id for callback in world.due(1060.0)] == [cover_task_id]


def test_a_callback_is_late_by_300_s_after_the_poll_that_finishes_its_cover() -> None:
    world = a_world(polls=1, late_callbacks=1)
    world.poll(a_cover(world)[1], 1001.0)

    assert world.next_due() == 1301.0


@pytest.mark.parametrize(
    ("share", "mishap"),
    [("doubled_callbacks", Mishap.DOUBLED), ("forged_callbacks", Mishap.FORGED)],
)
def test_what_happens_on_the_way_is_due_in_time_and_marked(share: str, mishap: Mishap) -> None:
    world = a_world(seconds=10, **{share: 1})
    a_cover(world)

    assert [callback.mishap for callback in world.due(1010.0)] == [mishap]

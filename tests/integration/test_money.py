"""Never pay twice, never lose a cover: the sandbox's bills are the judge."""

import asyncio
import socket

import pytest

from suno_cover_async import (
    AuthenticationError,
    ClientBlockedError,
    CoverDetails,
    CoverExistsError,
    CoverFailedError,
    CoverStatus,
    InsufficientCreditsError,
    InvalidRequestError,
    RetryPolicy,
    SunoCoverClient,
    SunoCoverError,
    TransportError,
    UnexpectedResponseError,
)
from suno_cover_async.sandbox import DuplicateId, Fault, Reply, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.clients import FAST_RETRY, FREE, connect
from tests.support.runs import billed

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_generate_submits_waits_and_gives_two_images() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)

        details = await client.generate(music)

        assert details.status is CoverStatus.SUCCESS
        assert details.music_task_id == music
        assert len(details.images) == 2
        assert billed(sandbox) == {music: 1}


LOST_AFTER = [
    Fault.LOST_ANSWER,
    Fault.RESET,
    Fault.TRUNCATED,
    Fault.GARBAGE,
    Fault.PAGE,
    Fault.GATEWAY_AFTER,
    Fault.SERVER_ERROR_AFTER,
]

LOST_AFTER_TOO = [
    Fault.SLOW,
    Reply(status=204, executes=True),
    Reply(status=201, body=b"created", executes=True),
    Reply(status=200, body=b'{"code":200,"msg":"success","data":null}', executes=True),
    Reply(status=200, body=b'{"code":200,"msg":"success","data":{"taskId":5}}', executes=True),
    Reply(status=504, body=b"<html>Gateway time-out</html>", executes=True),
    Reply(status=200, body=b'{"code":408,"msg":"upstream"}', executes=True),
]


@pytest.mark.parametrize("fault", LOST_AFTER + LOST_AFTER_TOO, ids=lambda fault: repr(fault)[:60])
async def test_a_lost_answer_never_pays_twice_and_loses_nothing(fault: Fault | Reply) -> None:
    scenario = Scenario(rate_limit=None, polls=1, slow_seconds=5)
    retry = RetryPolicy(initial_delay=0.001, attempt_timeout=0.3)
    async with Sandbox(scenario) as sandbox, connect(sandbox, retry=retry) as client:
        (music,) = sandbox.add_music(1)
        await client.credits()  # so that a gateway's answer is no sign of a wrong address
        sandbox.script("submit", fault)

        task = await client.submit(music)

        assert task.adopted
        assert billed(sandbox) == {music: 1}
        assert task.cover_task_id == sandbox.journal.bills[0].cover_task_id
        first, second = sandbox.journal.of("submit")
        assert second.at - first.at >= 1.0


@pytest.mark.parametrize(
    "fault", [Fault.LOST_REQUEST, Fault.GATEWAY, Fault.SERVER_ERROR, Fault.MAINTENANCE]
)
async def test_a_submit_that_was_not_executed_is_made_again(fault: Fault) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", fault)

        task = await client.submit(music)

        assert not task.adopted
        assert billed(sandbox) == {music: 1}


def test_a_submit_that_was_never_sent_is_tried_again_at_once_and_in_full() -> None:
    async def scenario() -> float:
        began = asyncio.get_running_loop().time()
        async with SunoCoverClient("key-of-a-test", base_url=url, retry=FAST_RETRY) as client:
            with pytest.raises(TransportError):
                await client.submit("a-song")
        return asyncio.get_running_loop().time() - began

    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    assert virtual_time.run(scenario()) < 0.9  # a possibly billed one would wait for 1 s


async def test_a_nonsense_timeout_is_refused_before_anything_is_paid() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)

        for nonsense in (-1, float("nan"), "5"):
            with pytest.raises((ValueError, TypeError), match="timeout"):
                await client.generate(music, timeout=nonsense)  # type: ignore[arg-type]

        assert not sandbox.journal.arrivals


async def test_a_possibly_billed_submit_is_repeated_at_most_three_times() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", *[Fault.LOST_ANSWER] * 10)

        with pytest.raises(SunoCoverError) as caught:
            await client.submit(music)

        assert caught.value.retryable
        assert caught.value.music_task_id == music
        assert len(sandbox.journal.of("submit")) == 4
        assert billed(sandbox) == {music: 1}


@pytest.mark.parametrize("code", [400, 409])
async def test_a_song_covered_before_is_adopted(code: int) -> None:
    scenario = Scenario(rate_limit=None, polls=1, duplicate_code=code)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as first, connect(sandbox) as second:
        (music,) = sandbox.add_music(1)
        original = await first.generate(music)

        adopted = await second.submit(music)
        again = await second.generate(music)

        assert adopted.adopted
        assert again == original
        assert billed(sandbox) == {music: 1}


async def test_a_duplicate_without_an_id_is_an_error_of_its_own() -> None:
    scenario = Scenario(rate_limit=None, polls=1, duplicate_id=DuplicateId.ABSENT)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        await client.submit(music)

        with pytest.raises(CoverExistsError) as caught:
            await client.submit(music)

        assert caught.value.music_task_id == music


async def test_another_songs_cover_is_never_taken_for_ours() -> None:
    scenario = Scenario(rate_limit=None, polls=1, duplicate_id=DuplicateId.WRONG)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        await client.submit(music)

        with pytest.raises(CoverExistsError, match="is said to belong to"):
            await client.generate(music)
        assert client.possibly_billed == (music,)


OUT_OF_STEP = {  # answers to another request on the same connection
    "the submit of another song": (200, '{"taskId":"COVER"}'),
    "the refusal of another song": (409, '{"taskId":"COVER"}'),
    "a poll of another song's cover": (200, '{"taskId":"unheard-of","parentTaskId":"another"}'),
}


@pytest.mark.parametrize(("code", "data"), OUT_OF_STEP.values(), ids=OUT_OF_STEP)
async def test_an_answer_to_another_songs_request_leaves_a_submit_possibly_billed(
    code: int, data: str
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        ours, theirs = sandbox.add_music(2)
        other = await client.submit(theirs)
        body = f'{{"code":{code},"data":{data.replace("COVER", other.cover_task_id)}}}'
        sandbox.script("submit", Reply(body=body.encode(), executes=True))

        details = await client.generate(ours)

        assert details.music_task_id == ours
        assert billed(sandbox) == {ours: 1, theirs: 1}
        _, first, second = sandbox.journal.of("submit")
        assert second.at - first.at >= 1.0


async def test_whose_a_cover_task_is_is_believed_until_its_details_say_otherwise() -> None:
    scenario = Scenario(rate_limit=None, polls=1)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client, connect(sandbox) as other:
        ours, theirs = sandbox.add_music(2)
        task = await other.submit(theirs)
        stray = b'{"code":200,"data":{"taskId":"%b"}}' % task.cover_task_id.encode()
        sandbox.script("submit", Reply(body=stray, executes=True))
        with pytest.raises(UnexpectedResponseError, match="is said to belong to"):
            await client.generate(ours)

        assert list(client.possibly_billed) == [ours]

        covers = [await client.generate(song) for song in (theirs, ours)]

        assert list(client.possibly_billed) == []
        assert [cover.music_task_id for cover in covers] == [theirs, ours]
        assert billed(sandbox) == {ours: 1, theirs: 1}


async def test_a_poll_that_is_answered_about_another_task_is_made_again() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        foreign = b'{"code":200,"data":{"taskId":"another","successFlag":3}}'
        sandbox.script("details", Reply(body=foreign), Reply(body=foreign))

        details = await client.generate(music)

        assert details.status is CoverStatus.SUCCESS
        assert len(sandbox.journal.of("details")) == 3


async def test_an_adopted_task_must_name_its_parent_in_the_end() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)
        adopted = await client.submit(music)
        parentless = (
            b'{"code":200,"data":{"taskId":"%b","successFlag":1,"response":{"images":["u"]}}}'
        )
        sandbox.script("details", Reply(body=parentless % task.cover_task_id.encode()))

        with pytest.raises(CoverExistsError):
            await client.wait(adopted)


async def test_details_of_an_accepted_task_that_name_another_song_are_refused() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)
        foreign = b'{"code":200,"data":{"taskId":"%b","parentTaskId":"other","successFlag":2}}'
        sandbox.script("details", Reply(body=foreign % task.cover_task_id.encode()))

        with pytest.raises(UnexpectedResponseError, match="other"):
            await client.wait(task)


async def test_concurrent_generates_of_one_song_are_one_submit_and_one_stream_of_polls() -> None:
    scenario = Scenario(rate_limit=None, polls=5)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)

        details = await asyncio.gather(*(client.generate(music) for _ in range(50)))

        assert len(set(details)) == 1
        assert len(sandbox.journal.of("submit")) == 1
        assert len(sandbox.journal.of("details")) == 5


async def test_a_failed_cover_raises_on_that_very_poll() -> None:
    async with Sandbox(Scenario(rate_limit=None, polls=2)) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1, fails=True)

        with pytest.raises(CoverFailedError) as caught:
            await client.generate(music)

        assert caught.value.details.status is CoverStatus.FAILED
        assert caught.value.music_task_id == music
        assert len(sandbox.journal.of("details")) == 2


async def test_no_credits_no_key_and_no_such_song_are_said_at_once() -> None:
    async with Sandbox(Scenario(rate_limit=None, credits=0)) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)

        with pytest.raises(InsufficientCreditsError):
            await client.submit(music)
        with pytest.raises(InvalidRequestError):
            await client.submit("unknown-song")

        assert len(sandbox.journal.of("submit")) == 2
        assert not sandbox.journal.bills


async def test_a_wrong_key_is_said_at_once() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox, api_key="wrong-key") as client:
        with pytest.raises(AuthenticationError):
            await client.credits()

        assert len(sandbox.journal.arrivals) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_refused_and_neither_body_nor_key_travels_on(status: int) -> None:
    async with (
        Sandbox(FREE) as sandbox,
        Sandbox(FREE, api_key="other-key") as other,
        connect(sandbox) as client,
    ):
        (music,) = sandbox.add_music(1)
        away = Reply(status=status, headers={"Location": f"{other.url}/elsewhere"})
        sandbox.script("submit", away)
        sandbox.script("credits", away)

        with pytest.raises(UnexpectedResponseError):
            await client.submit(music)
        with pytest.raises(UnexpectedResponseError):
            await client.credits()

        assert not other.journal.arrivals
        assert len(sandbox.journal.arrivals) == 2


async def test_each_waiter_checks_the_parent_in_either_order() -> None:
    scenario = Scenario(rate_limit=None, polls=3)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client, connect(sandbox) as other:
        ours, theirs = sandbox.add_music(2)
        task = await other.submit(ours)  # so that only its details tell the client whose it is
        named = b'{"code":409,"msg":"Cover record already exists","data":{"taskId":"%b"}}'
        wrong = Reply(body=named % task.cover_task_id.encode())
        sandbox.script("submit", wrong, wrong)

        for first, second in ((theirs, task), (task, theirs)):
            waits = [
                client.generate(who) if isinstance(who, str) else client.wait(who)
                for who in (first, second)
            ]
            outcomes = dict(
                zip(
                    (first, second),
                    await asyncio.gather(*waits, return_exceptions=True),
                    strict=True,
                )
            )
            assert isinstance(outcomes[theirs], CoverExistsError)
            assert isinstance(outcomes[task], CoverDetails)


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Reply(body=b'{"code":402,"msg":"Insufficient credits"}'), InsufficientCreditsError),
        (Reply(status=403, body=b"error code: 1010"), ClientBlockedError),
        (Reply(body=b'{"code":409,"msg":"exists","data":null}'), CoverExistsError),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_refusal_after_a_lost_answer_does_not_hide_that_a_bill_may_exist(
    refusal: Reply, error: type[SunoCoverError]
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", Fault.LOST_ANSWER, refusal)

        with pytest.raises(error) as caught:
            await client.submit(music)

        assert caught.value.possibly_billed
        assert caught.value.retryable
        assert client.possibly_billed == (music,)
        assert (await client.submit(music)).adopted
        assert not client.possibly_billed
        assert billed(sandbox) == {music: 1}

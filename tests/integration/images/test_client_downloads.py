"""`client.download`: both images, without the key, again when they moved."""

from pathlib import Path

import aiohttp
import attrs
import pytest

from suno_cover_async import (
    CoverExpiredError,
    SunoCoverError,
    UnexpectedResponseError,
)
from suno_cover_async.protocol import codec
from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.clients import FREE, connect

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_both_images_are_saved_under_the_songs_name(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)

        files = await client.download(details, into=tmp_path / "covers")
        named = await client.download(details, tmp_path, name="AC/DC: Live")

        assert [file.name for file in files] == [f"{music}-1.png", f"{music}-2.png"]
        assert all(file.read_bytes().startswith(b"\x89PNG") for file in (*files, *named))
        assert {file.parent for file in named} == {tmp_path}
        assert files[0].read_bytes() != files[1].read_bytes()
        assert sorted(tmp_path.rglob("*.part")) == []


async def test_both_images_are_fetched_at_once(tmp_path: Path) -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.1, 0.1))
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        await client.download(await client.generate(music), into=tmp_path)

        first, second = sandbox.journal.of("image")
        assert second.at - first.at < 0.1


async def test_the_key_never_goes_to_the_image_host(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.api_key}", "Cookie": "a=b"}
        async with (
            aiohttp.ClientSession(headers=headers) as borrowed,
            connect(sandbox, session=borrowed) as client,
        ):
            (music,) = sandbox.add_music(1)
            await client.download(await client.generate(music), into=tmp_path)

        images = sandbox.journal.of("image")
        assert len(images) == 2
        assert not any(image.key_sent for image in images)


async def test_an_image_that_stumbles_is_fetched_again(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        empty = Reply(body=b"", headers={"Content-Type": "image/png"})
        sandbox.script("image", Fault.RESET, Fault.TRUNCATED, empty)

        files = await client.download(details, into=tmp_path)

        assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


async def test_gone_images_are_asked_for_once_more_and_then_expired(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        polls = len(sandbox.journal.of("details"))
        sandbox.expire_images()

        with pytest.raises(CoverExpiredError) as caught:
            await client.download(details, into=tmp_path)

        assert caught.value.music_task_id == music
        assert len(sandbox.journal.of("details")) == polls + 1
        assert list(tmp_path.iterdir()) == []


async def test_images_that_moved_are_found_at_their_new_place(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        old = attrs.evolve(details, images=(f"{sandbox.url}/s/1_a.png", f"{sandbox.url}/s/1_b.png"))

        assert len(await client.download(old, into=tmp_path)) == 2


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"parentTaskId": "another-song"}, UnexpectedResponseError),
        ({"successFlag": 3}, CoverExpiredError),
        ({"successFlag": 2}, CoverExpiredError),
    ],
)
async def test_images_of_another_song_or_of_no_success_do_not_stand_in_for_ones_that_are_gone(
    tmp_path: Path, said: dict[str, object], error: type[SunoCoverError]
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        old = attrs.evolve(details, images=(f"{sandbox.url}/s/1_a.png",))
        record = {"taskId": details.cover_task_id, "parentTaskId": music, "successFlag": 1}
        record |= {"response": {"images": list(details.images)}} | said
        sandbox.script("details", Reply(body=codec.encode_answer(200, "success", record)))
        sandbox.script("image", Reply(status=404))

        with pytest.raises(error):
            await client.download(old, into=tmp_path)

        assert len(sandbox.journal.of("image")) == 1
        assert list(tmp_path.iterdir()) == []


async def test_details_without_images_are_refused(tmp_path: Path) -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=60)) as sandbox,
        connect(sandbox) as client,
    ):
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)

        with pytest.raises(ValueError, match="no images"):
            await client.download(await client.details(task), into=tmp_path)

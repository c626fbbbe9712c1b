"""`client.download`: both images, without the key, again when they moved."""

from pathlib import Path

import aiohttp
import pytest

from suno_cover_async.sandbox import Sandbox, Scenario
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


async def test_details_without_images_are_refused(tmp_path: Path) -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=60)) as sandbox,
        connect(sandbox) as client,
    ):
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)

        with pytest.raises(ValueError, match="no images"):
            await client.download(await client.details(task), into=tmp_path)

"""The images that the sandbox serves."""

import io

import pytest
from PIL import Image

from suno_cover_async.sandbox import Fault
from tests.support.raw_sandbox import SAMPLES, an_api


async def test_images_are_two_distinct_pngs_that_need_no_key() -> None:
    async with an_api(image_size=512) as api:
        body = await api.details(await api.cover())
        api.http.headers.pop("Authorization")
        urls = body["data"]["response"]["images"]
        answers = [await api.get(url) for url in urls]

    for _, content in answers:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert (picture.format, picture.size) == ("PNG", (512, 512))
    assert answers[0] != answers[1]
    assert not any(arrival.key_sent for arrival in api.sandbox.journal.of("image"))
    live = SAMPLES["details_success_live"]["data"]["response"]["images"]
    assert [len(url.rsplit("/s/")[1]) for url in urls] == [
        len(url.rsplit("/s/")[1]) for url in live
    ]


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_expired_images_are_gone(status: int) -> None:
    async with an_api(gone_status=status) as api:
        body = await api.details(await api.cover())
        (url, _) = body["data"]["response"]["images"]
        before, _ = await api.get(url)
        api.sandbox.expire_images()

        assert before == 200
        async with api.http.get(url) as response:
            assert (response.status, await response.read()) == (status, b"")


async def test_an_unknown_image_is_not_found() -> None:
    async with an_api() as api:
        assert (await api.get("/s/1_a.png"))[0] == 404


async def test_a_fault_of_an_image_is_an_http_status() -> None:
    async with an_api() as api:
        api.sandbox.script("image", Fault.SERVER_ERROR, Fault.MAINTENANCE)

        assert [(await api.get("/s/1_a.png"))[0] for _ in range(2)] == [500, 455]

"""suno-easy, the other client of this API with covers, runs against the sandbox as it is."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.waiting import until

suno_easy = pytest.importorskip("suno_easy", reason="suno-easy is not installed")
webhooks = pytest.importorskip("suno_easy.webhooks", reason="suno-easy is not installed")


def their_client(sandbox: Sandbox, callback_url: str | None = None) -> Any:
    client = suno_easy.SunoClient(sandbox.api_key, callback_url=callback_url)
    client.BASE_URL = sandbox.url
    return client


async def test_suno_easy_reads_the_music_record_and_its_songs() -> None:
    async with Sandbox(Scenario(rate_limit=None)) as sandbox:
        (music,) = sandbox.add_music()
        client = their_client(sandbox)

        record = await asyncio.to_thread(client.music.get_task, music)
        client.session.close()

        songs = suno_easy.Song.from_task_data(record)
        assert record["taskId"] == music
        assert len({song.id for song in songs}) == 2
        for song in songs:
            assert all(vars(song)[name] for name in ("title", "audio_url", "stream_url"))
            assert all(vars(song)[name] for name in ("image_url", "prompt", "tags", "model_name"))
            assert song.duration > 0
            assert song.create_time


@pytest.mark.parametrize("fails", [False, True])
async def test_suno_easys_webhooks_accept_the_callbacks_of_the_sandbox(*, fails: bool) -> None:
    bodies: list[bytes] = []

    async def webhook(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/webhook", webhook)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with Sandbox(Scenario(rate_limit=None, seconds=0.05)) as sandbox:
        (music,) = sandbox.add_music(fails=fails)
        host, port = runner.addresses[0]
        client = their_client(sandbox, f"http://{host}:{port}/webhook")

        task = await asyncio.to_thread(client.audio.generate_cover_image, music, wait=False)
        await until(lambda: bool(bodies))
        payload = json.loads(bodies[0])
        if fails:
            with pytest.raises(suno_easy.TaskFailed, match="Cover generation failed"):
                webhooks.parse_cover_image_webhook(payload)
        else:
            event, cover = webhooks.parse_cover_image_webhook(payload)
            polled = await asyncio.to_thread(client.audio.get_cover_image, task.task_id)

            assert event.is_success
            assert event.task_id == task.task_id
            assert cover.images == polled.images
            assert len(cover.images) == 2
            assert webhooks.dispatch_webhook(payload)[1]["images"] == cover.images
        client.session.close()
    await runner.cleanup()

"""No event, no span, no metric and no field of the log shows a secret."""

import itertools
import json
from pathlib import Path

import attrs
import pytest

from suno_cover_async import Event, SunoCoverError, cover_catalog
from suno_cover_async.sandbox import Fault, Reply, Sandbox
from tests.support.canary import API_KEY, HMAC_KEY, Search, forms
from tests.support.canary_calls import FREE, Observing, at, details, door, polls, tried, word
from tests.support.clients import FAST_POLL
from tests.support.telemetry import Telemetry


class Both:
    """A hook that keeps the events and makes spans and metrics of them."""

    def __init__(self) -> None:
        self.telemetry = Telemetry()
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.telemetry.hook(event)

    def search(self, search: Search) -> None:
        """Search all events and everything that OpenTelemetry has."""
        for event in self.events:
            search.value("event", event)
            search.text("event", json.dumps(event.to_dict()))
        search.text("telemetry", self.telemetry.everything())
        search.value("hook", self.telemetry.hook)


async def test_no_fault_of_the_api_shows_a_secret_to_the_hook(observing: Observing) -> None:
    both = Both()
    async with (
        observing() as search,
        door() as receiver,
        Sandbox(attrs.evolve(FREE, hmac_key=HMAC_KEY), api_key=API_KEY) as sandbox,
    ):
        songs = sandbox.add_music([f"music {fault.value}".replace(" ", "-") for fault in Fault])
        search.tokens(receiver, *songs)
        poll = attrs.evolve(FAST_POLL, timeout=0.05)
        async with at(sandbox, receiver=receiver, poll=poll, on_event=both) as client:
            for song, fault in zip(songs, Fault, strict=True):
                for kind in ("details", "credits", "music", "submit"):
                    sandbox.script(kind, fault)
                await tried(search, client, polls(song))
        both.search(search)

    assert len(both.telemetry.spans) > len(Fault)


@pytest.mark.parametrize("form", forms(API_KEY))
async def test_a_key_that_the_host_repeats_or_a_caller_gives_as_an_id_reaches_no_hook(
    observing: Observing, form: str
) -> None:
    both, names = Both(), (f"song-{number}" for number in itertools.count())
    body = '{"code": CODE, "msg": "no KEY", "data": null}'.replace("KEY", forms(API_KEY)[form])
    async with observing() as search, Sandbox(FREE, api_key=API_KEY) as sandbox:
        async with at(sandbox, on_event=both) as client:
            for code in (400, 429, 455, 500):
                for kind in ("details", "credits", "submit"):
                    sandbox.script(kind, Reply(body=body.replace("CODE", str(code)).encode()))
                await tried(search, client, polls(next(names)))
            with pytest.raises((SunoCoverError, ValueError)):
                await client.generate(API_KEY)
        both.search(search)

    assert both.events


async def test_a_catalog_and_its_images_show_no_secret_to_the_hook(
    observing: Observing, tmp_path: Path
) -> None:
    both = Both()
    async with (
        observing() as search,
        door() as receiver,
        Sandbox(attrs.evolve(FREE, hmac_key=HMAC_KEY), api_key=API_KEY) as sandbox,
        at(sandbox, receiver=receiver, on_event=both) as client,
    ):
        songs = sandbox.add_music(3)
        search.tokens(receiver, *songs)
        sandbox.script("submit", word(422))
        sandbox.script("image", Fault.GATEWAY)
        async with cover_catalog(client, songs, into=tmp_path) as run:
            async for outcome in run:
                search.value("outcome", outcome)
        with pytest.raises(SunoCoverError):
            await client.download(details(f"{sandbox.url}/x.png?key={API_KEY}"), tmp_path)
        both.search(search)

    assert len(sandbox.journal.bills) >= 2


async def test_a_hook_that_fails_shows_no_secret_in_its_traceback(observing: Observing) -> None:
    def hook(event: Event) -> None:
        raise RuntimeError(type(event).__name__)

    async with (
        observing() as search,
        Sandbox(FREE, api_key=API_KEY) as sandbox,
        at(sandbox, on_event=hook) as client,
    ):
        await tried(search, client, polls(*sandbox.add_music(1)))

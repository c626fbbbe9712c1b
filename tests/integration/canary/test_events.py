"""No event, no span, no metric and no field of the log shows a secret."""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from suno_cover_async import (
    BreakerChanged,
    CallbackReceiver,
    Event,
    Ledger,
    RequestRetried,
    RequestsPaused,
    RetryPolicy,
    SunoCoverError,
    cover_catalog,
)
from suno_cover_async.sandbox import Fault, Reply, Sandbox
from tests.support.breakers import now
from tests.support.canary import API_KEY, HMAC_KEY, SECRET, Search, forms
from tests.support.canary_calls import (
    FREE,
    OWN_CALLBACK_URL,
    OWN_TOKENS,
    Observing,
    at,
    details,
    door,
    polls,
    repeating,
    tried,
    word,
)
from tests.support.clients import FAST_POLL, FAST_RETRY
from tests.support.commands import a_free_port
from tests.support.memory_network import in_memory
from tests.support.peers import answer as said
from tests.support.peers import peer
from tests.support.runs import covered
from tests.support.telemetry import Telemetry


class Both:
    """A hook that keeps the events and makes spans and metrics of them."""

    def __init__(self) -> None:
        self.telemetry = Telemetry()
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.telemetry.hook(event)

    @property
    def reasons(self) -> list[str]:
        """The reasons of all events that have one."""
        kinds = (RequestRetried, RequestsPaused, BreakerChanged)
        found = [one.reason for one in self.events if isinstance(one, kinds)]
        return [reason for reason in found if reason is not None]

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
    observing: Observing, form: str, tmp_path: Path
) -> None:
    both, names = Both(), (f"song-{number}" for number in itertools.count())
    body = '{"code": CODE, "msg": "no KEY", "data": null}'.replace("KEY", forms(API_KEY)[form])
    async with observing() as search, Sandbox(FREE, api_key=API_KEY) as sandbox:
        async with at(sandbox, on_event=both) as client:
            for code in (400, 429, 455, 500):
                for kind in ("details", "credits", "submit"):
                    sandbox.script(kind, Reply(body=body.replace("CODE", str(code)).encode()))
                await tried(search, client, polls(next(names)))
            before = len(sandbox.journal.arrivals)
            given = forms(API_KEY)[form]
            for code in (429, 500):
                sandbox.script("submit", Reply(body=body.replace("CODE", str(code)).encode()))
                for wrong in {given, API_KEY}:
                    with pytest.raises(ValueError, match="is the API key"):
                        await client.generate(wrong)
            async with Ledger(tmp_path / "covers.db") as ledger:
                for tracks in ([next(names), given], iter([next(names), given])):
                    with pytest.raises(ValueError, match="is the API key"):
                        await covered(client, tracks, ledger)
            search.folder(tmp_path)
            assert len(sandbox.journal.arrivals) == before
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


@pytest.mark.parametrize("form", forms(OWN_CALLBACK_URL))
@pytest.mark.parametrize("code", [400, 429, 455, 500])
@in_memory
async def test_a_callback_url_that_the_api_repeats_reaches_no_hook(
    observing: Observing, form: str, code: int
) -> None:
    both, attempts = Both(), 1 if code == 400 else 2
    twice = RetryPolicy(max_attempts=2)
    receiver = CallbackReceiver(public_url="https://me.example/suno", secret=SECRET)
    urls: dict[str, dict[str, object]] = {
        receiver.url("song"): {"receiver": receiver},
        OWN_CALLBACK_URL: {"callback_url": OWN_CALLBACK_URL},
    }
    async with observing() as search, Sandbox(FREE, api_key=API_KEY, clock=now) as sandbox:
        search.tokens(receiver, "song")
        search.also(*OWN_TOKENS)
        for url, options in urls.items():
            sandbox.script("submit", *[repeating(url, form, code)] * attempts)
            async with at(sandbox, on_event=both, retry=twice, **options) as client:
                (error,) = await tried(search, client, polls("song")[3:])
            assert "callBackUrl not reachable: " in str(error)
            assert "[callback URL]" in str(error)
        both.search(search)

    assert len(sandbox.journal.of("submit")) == 2 * attempts
    assert bool(both.reasons) is (code != 400)
    if form != "JSON in JSON":  # of that one the tokens alone can be cut out
        assert all("me.example" not in reason for reason in both.reasons)


IMAGE_CANARY = "Canary-in-the-path-of-an-image-6b20"


@pytest.mark.parametrize("status", [404, 502])
async def test_the_path_of_an_image_reaches_no_hook(
    observing: Observing, tmp_path: Path, status: int
) -> None:
    both, quick = Both(), RetryPolicy(initial_delay=0.001, max_delay=0.01, probe_delay=0.01)
    async with (
        observing(),
        Sandbox(FREE, api_key=API_KEY) as sandbox,
        at(sandbox, on_event=both, retry=quick) as client,
    ):
        young = attrs.evolve(
            details(f"{sandbox.url}/s/{IMAGE_CANARY}.png"), completed_at=datetime.now(UTC)
        )
        sandbox.script("image", *[Reply(status=status)] * 9)
        with client.breakers.armed(), pytest.raises(SunoCoverError) as caught:
            await client.download(young, tmp_path)
    search = Search(IMAGE_CANARY)
    both.search(search)

    assert IMAGE_CANARY in str(caught.value)  # an error may hold the URL
    assert [reason for reason in both.reasons if sandbox.url in reason]
    assert any(isinstance(one, BreakerChanged) for one in both.events) is (status == 502)
    assert not search.hits


BASE_CANARY = "Canary-in-the-base-URL-8e57"


async def test_the_path_of_the_base_url_reaches_no_hook(observing: Observing) -> None:
    both, path = Both(), f"/tenant/{BASE_CANARY}"
    page = said(f"cannot GET {path}/api/v1/credit".encode(), status="502 Bad Gateway")
    nobody = f"http://127.0.0.1:{a_free_port()}"
    async with observing(), peer(page) as gateway:
        for place in (nobody, gateway.url):
            base_url = f"{place}{path}"
            client = at(gateway, base_url=base_url, on_event=both, retry=FAST_RETRY)
            async with client:
                with client.breakers.armed(), pytest.raises(SunoCoverError):
                    await client.credits()
    search = Search(BASE_CANARY)
    both.search(search)

    assert any(f"no answer from {nobody}: " in reason for reason in both.reasons)
    assert any("cannot GET /api/v1/credit" in reason for reason in both.reasons)
    assert any(isinstance(one, BreakerChanged) for one in both.events)
    assert not search.hits

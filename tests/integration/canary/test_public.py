"""No secret is in what is public: values, representations, pickles and errors."""

import copy
import gc
import pickle
import warnings
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

import suno_cover_async as package
from suno_cover_async import (
    Callback,
    Decision,
    Ledger,
    RateLimit,
    RateLimiter,
    SunoCoverClient,
    SunoCoverError,
    Track,
    cover_catalog,
    errors,
)
from suno_cover_async.images.image_files import read_image
from suno_cover_async.sandbox import Fault, Kind, Reply, Sandbox
from tests.support.canary import (
    API_KEY,
    HMAC_KEY,
    Search,
)
from tests.support.canary_calls import (
    FAILED_COVER,
    FREE,
    Observing,
    Verb,
    at,
    details,
    door,
    raised,
    tried,
    word,
)
from tests.support.runs import read_now
from tests.support.saved_covers import save_covers

NO_IMAGES = {"taskId": "cover", "successFlag": 1, "parentTaskId": API_KEY}

PAGE = Reply(
    status=403,
    body=f'{{"cloudflare_error":true,"error_code":1010,"detail":"{API_KEY}"}}'.encode(),
)

SAID: dict[type[SunoCoverError], tuple[Kind, Reply | Fault]] = {
    errors.TransportError: ("credits", Fault.LOST_ANSWER),
    errors.UnexpectedResponseError: ("credits", word(200, {API_KEY: API_KEY})),
    errors.AuthenticationError: ("credits", word(401)),
    errors.InsufficientCreditsError: ("credits", word(402)),
    errors.InvalidRequestError: ("submit", word(422)),
    errors.CoverExistsError: ("submit", word(409)),
    errors.NotFoundError: ("credits", word(404)),
    errors.RateLimitError: ("submit", word(429)),
    errors.MaintenanceError: ("credits", word(455)),
    errors.ServerError: ("credits", word(500)),
    errors.ClientBlockedError: ("credits", PAGE),
    errors.WrongAddressError: ("credits", Reply(status=404, body=f"no {API_KEY}".encode())),
    errors.MusicFailedError: ("music", word(200, {"taskId": "music", "status": "FAILED"})),
    errors.CoverFailedError: ("details", word(200, FAILED_COVER)),
    errors.ImagesMissingError: ("details", word(200, NO_IMAGES)),
    errors.CoverTimeoutError: ("details", word(200, None)),
    errors.CoverExpiredError: ("image", Reply(status=404)),
    errors.DownloadError: ("image", Reply(body=b"no image")),
}

ASK: dict[Kind, Callable[[SunoCoverClient, str, Path], Coroutine[Any, Any, object]]] = {
    "credits": lambda client, _, __: client.credits(),
    "submit": lambda client, _, __: client.submit("music"),
    "music": lambda client, _, __: client.wait_for_music("music", timeout=5),
    "details": lambda client, _, __: client.wait("cover", timeout=0.3),
    "image": lambda client, url, folder: client.download(details(f"{url}/s/1.png"), folder),
}


def as_verb(ask: Callable[[], Coroutine[Any, Any, object]]) -> Verb:
    return lambda _: ask()


async def conflict(path: Path) -> BaseException:
    """Decide about a cover that somebody else has decided about; return the error."""
    await save_covers(path, [Track("music")])
    async with Ledger(path).choices() as choices:
        await choices.choose(1, Decision.LATER, revision=0, by="Ann")
        with pytest.raises(errors.ChoiceConflictError) as refused:
            await choices.choose(1, Decision.NEITHER, revision=0, by="Ben")
    return refused.value


async def test_every_error_there_is_holds_no_secret(observing: Observing, tmp_path: Path) -> None:
    found: list[object] = []
    async with (
        observing() as search,
        door() as receiver,
        Sandbox(FREE, api_key=API_KEY) as sandbox,
    ):
        search.tokens(receiver, "music")
        for kind, (asked, step) in SAID.items():
            sandbox.script(asked, *[step] * (4 if kind is errors.ImagesMissingError else 1))
            async with at(sandbox) as client:
                ask = partial(ASK[asked], client, sandbox.url, tmp_path)
                found += await tried(search, client, [as_verb(ask)])
        found += await tried(search, client)  # it is closed
        path = receiver.url("music")
        found.append(raised(partial(receiver.read, "GET", path, {}, b"")))
        (tmp_path / "not-a-ledger").write_text(API_KEY)
        found.append(raised(partial(read_now, tmp_path / "not-a-ledger")))
        found.append(raised(partial(read_image, tmp_path / "not-a-ledger")))
        found.append(await conflict(tmp_path / "covers.db"))
        for one in found:
            search.error("error", cast("BaseException", one))

    kinds = {one for one in vars(errors).values() if isinstance(one, type)} & {
        *SunoCoverError.__subclasses__(),
        *errors.APIError.__subclasses__(),
        *errors.UnexpectedResponseError.__subclasses__(),
    }
    assert {type(one) for one in found} == kinds - {errors.APIError}


async def test_nothing_public_shows_a_secret(observing: Observing, tmp_path: Path) -> None:
    async with observing() as search, door() as receiver:
        scenario = attrs.evolve(FREE, hmac_key=HMAC_KEY)
        async with Sandbox(scenario, api_key=API_KEY) as sandbox:
            [song] = sandbox.add_music()
            search.tokens(receiver, song)
            async with at(sandbox, receiver=receiver) as client:
                cover = await client.generate(song)
                task = await client.submit(song)
                async with Ledger(tmp_path / "covers.db") as ledger:
                    work = cover_catalog(client, [song], ledger=ledger, into=tmp_path)
                    async with work as outcomes:
                        shown: list[object] = [work, outcomes, outcomes.progress]
                        shown += [one async for one in outcomes]
                    shown += [ledger, *read_now(ledger)]
                answer = await receiver.receive("POST", receiver.url(song), {}, b"{}")
                callback = Callback(music_task_id=song, cover_task_id=cover.cover_task_id)
                shown += [client, client.breakers.api, cover, task, receiver, receiver.notifier]
                shown += [answer, callback, receiver.asgi, client.slot(), client.generate]
                shown += [RateLimiter(RateLimit(calls=1, seconds=1)), *package.HOSTS.values()]
                search.text("sandbox", f"{sandbox!r} {sandbox}")  # it is the API, and may know
                for one in shown:
                    search.value("public", one)

        for refused in (client, receiver):
            for act in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="not pickled"):
                    act(refused)


async def test_a_client_that_nobody_closed_is_complained_of_without_a_secret(
    observing: Observing,
) -> None:
    async with observing(debug=True) as search, Sandbox(FREE, api_key=API_KEY) as sandbox:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            client = at(sandbox)
            await client.credits()
            del client
            gc.collect()
        complaints = [str(warning.message) for warning in warned]
        search.text("complaints", repr(complaints))

        assert any("Unclosed client session" in complaint for complaint in complaints)


@pytest.mark.parametrize(
    "wrong",
    [{"base_url": "nowhere"}, {"rate_limit": 5}, {"concurrency": 0}, {"callback_url": "x"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_argument_of_a_client_leaves_no_key_in_a_frame(wrong: dict[str, Any]) -> None:
    search = Search(API_KEY)

    for key in (API_KEY, f"{API_KEY}\n"):
        search.error("wrong", raised(partial(SunoCoverClient, key, **wrong)))

    assert search.searched
    assert not search.hits

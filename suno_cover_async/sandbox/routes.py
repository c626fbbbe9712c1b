"""Answer requests as the host does: map a request and the world to a reply.

It owns routes, codes and messages, the two styles of errors, and how each fault changes a reply.
It knows no socket. `codec.py` owns the encoding of bodies, `world.py` the rules of covers.
"""

import hmac
import random
import re
from collections.abc import Callable, Mapping

import attrs

from suno_cover_async.hosts import HOSTS
from suno_cover_async.protocol import codec, requests
from suno_cover_async.sandbox import images, music_record
from suno_cover_async.sandbox.scenario import API_KINDS, DuplicateId, Fault, Kind, Reply, Scenario
from suno_cover_async.sandbox.world import World

_ROUTES: dict[tuple[str, str], Kind] = {
    ("POST", requests.SUBMIT_PATH): "submit",
    ("GET", requests.DETAILS_PATH): "details",
    ("GET", requests.MUSIC_PATH): "music",
    **{("GET", host.credits_path): "credits" for host in HOSTS.values()},
}
_IMAGES = "/s/"
_DEFAULT_CLIENT = re.compile(r"python-urllib|python/[0-9]", re.IGNORECASE)

_OK = 200
_UNAUTHORIZED = 401
_NOT_FOUND = 404
_INVALID = 422
_MAINTENANCE = 455
_BROKEN = 500
_BAD_GATEWAY = 502
_EXISTS = {400: "Cover already generated for this task", 409: "Cover record already exists"}
_JSON = {"Content-Type": "application/json"}
_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n<body><center><h1>502 \
Bad Gateway</h1></center><hr><center>cloudflare</center></body></html>\n"
)
_GARBAGE_BYTES = 64
_PAGES = {Fault.GATEWAY: _BAD_GATEWAY, Fault.GATEWAY_AFTER: _BAD_GATEWAY, Fault.PAGE: _OK}
_BROKE = (_BROKEN, "Server Error - An unexpected error occurred while processing the request")
_REFUSALS = {
    Fault.MAINTENANCE: (_MAINTENANCE, "System is currently undergoing maintenance"),
    Fault.SERVER_ERROR: _BROKE,
    Fault.SERVER_ERROR_AFTER: _BROKE,
}

BLOCKED = Reply(status=403, body=b"error code: 1010", headers={"Content-Type": "text/plain"})
"""The answer of the gateway to a client without a User-Agent of its own [seen live]."""

NO_ROUTE = Reply(status=_NOT_FOUND, body=b'{"status":404,"error":"Not Found"}', headers=_JSON)
"""The web framework's answer to an unknown route: HTTP 404 without a code of the API."""


@attrs.frozen(kw_only=True)
class ApiRequest:
    """One request, parsed.

    Attributes:
        kind: The kind of request.
        path: Its path.
        at: When the API processes it, by the world's clock.
        base_url: The base of the URLs in the answer.
        task_id: The task that it names.
        callback_url: The callback URL of a submit.
        authorized: Whether its key is right.
    """

    kind: Kind
    path: str
    at: float
    base_url: str
    task_id: str | None = None
    callback_url: str | None = None
    authorized: bool = False

    @property
    def music_task_id(self) -> str | None:
        """The music task that it names."""
        return self.task_id if self.kind in {"submit", "music"} else None

    @property
    def cover_task_id(self) -> str | None:
        """The cover task that it names."""
        return self.task_id if self.kind == "details" else None


def kind_of(method: str, path: str) -> Kind:
    """Return the kind of a request."""
    if method == "GET" and path.startswith(_IMAGES):
        return "image"
    return _ROUTES.get((method, path), "other")


def is_blocked(user_agent: str | None) -> bool:
    """Return whether the gateway blocks a client: no User-Agent, or a library's default one."""
    return not user_agent or bool(_DEFAULT_CLIENT.match(user_agent))


def holds_key(header: str | None, api_key: str) -> bool:
    """Return whether an `Authorization` header has the key."""
    sent = (header or "").encode(errors="surrogateescape")  # as aiohttp decoded it
    return hmac.compare_digest(sent, f"Bearer {api_key}".encode())


def read(kind: Kind, query: Mapping[str, str], body: bytes) -> tuple[str | None, str | None]:
    """Return the task that a request names, and the callback URL of a submit."""
    if kind != "submit":
        return requests.task_id_in(query), None
    submission = codec.decode_submission(body.decode(errors="replace"))
    return submission.music_task_id, submission.callback_url


def execute(asked: ApiRequest, world: World) -> Reply:
    """Execute a request, and return the answer."""
    if asked.kind in API_KINDS and not asked.authorized:
        return _refuse(world.scenario, _UNAUTHORIZED, "You do not have access permissions")
    return _ACTS[asked.kind](asked, world)


def apply_fault(
    fault: Fault, kind: Kind, reply: Reply, scenario: Scenario, dice: random.Random
) -> Reply:
    """Return the reply that a fault leaves; faults of the socket do not change the reply."""
    if kind == "image":
        scenario = attrs.evolve(scenario, http_errors=True)
    if fault is Fault.GARBAGE:
        return Reply(body=dice.randbytes(_GARBAGE_BYTES), headers=_JSON)
    if fault is Fault.TOO_OFTEN:
        return too_often(scenario)
    if fault in _PAGES:
        return Reply(status=_PAGES[fault], body=_PAGE, headers={"Content-Type": "text/html"})
    if fault in _REFUSALS:
        return _refuse(scenario, *_REFUSALS[fault])
    return reply


def too_often(scenario: Scenario) -> Reply:
    """Return the refusal for calling too often."""
    message = "Your call frequency is too high. Please try again later."
    reply = _refuse(scenario, scenario.too_often_code, message)
    if scenario.retry_after is None:
        return reply
    return attrs.evolve(reply, headers={**reply.headers, "Retry-After": scenario.retry_after})


def _submit(asked: ApiRequest, world: World) -> Reply:
    scenario, music_task_id = world.scenario, asked.task_id
    if not asked.callback_url:
        return _refuse(scenario, _INVALID, "Please enter callBackUrl.")
    if music_task_id is None or world.music(music_task_id) is None:
        return _refuse(scenario, _INVALID, "Original music record does not exist")
    cover_task_id = world.cover_of(music_task_id)
    if cover_task_id is not None:
        return _duplicate(world, cover_task_id, asked.at)
    if not world.affordable:
        return _refuse(scenario, scenario.no_credits_code, "Insufficient credits")
    return _accept(
        codec.encode_submitted(world.submit(music_task_id, asked.callback_url, asked.at))
    )


def _duplicate(world: World, cover_task_id: str, now: float) -> Reply:
    scenario = world.scenario
    wrong = scenario.duplicate_id is DuplicateId.WRONG
    named = codec.encode_submitted(world.other_cover(now) if wrong else cover_task_id)
    data = None if scenario.duplicate_id is DuplicateId.ABSENT else named
    code = scenario.duplicate_code
    return _refuse(scenario, code, _EXISTS[code], data)


def _details(asked: ApiRequest, world: World) -> Reply:
    found = world.poll(asked.task_id or "", asked.at)
    if found is None:
        return _accept(None)
    urls = tuple(asked.base_url + path for path in found.images)
    return _accept(codec.encode_details(attrs.evolve(found, images=urls), world.scenario.times))


def _music(asked: ApiRequest, world: World) -> Reply:
    found = world.music(asked.task_id or "")
    if found is None:
        return _accept(None)
    urls = tuple(asked.base_url + path for path in found.audio_urls)
    return _accept(music_record.write(attrs.evolve(found, audio_urls=urls), world.began))


def _credits(_: ApiRequest, world: World) -> Reply:
    return _accept(world.credits)


def _other(_: ApiRequest, __: World) -> Reply:
    return NO_ROUTE


def _image(asked: ApiRequest, world: World) -> Reply:
    found = world.image(asked.path)
    if found is None:
        return NO_ROUTE
    if asked.at >= found.expires_at:
        return Reply(status=world.scenario.gone_status, body=b"", headers=_JSON)
    body = images.draw(found.music_task_id, found.style, world.scenario.image_size)
    return Reply(body=body, headers={"Content-Type": "image/png"})


def _accept(data: object) -> Reply:
    return Reply(body=codec.encode_answer(_OK, "success", data), headers=_JSON, code=_OK)


def _refuse(scenario: Scenario, code: int, message: str, data: object = None) -> Reply:
    status = code if scenario.http_errors else _OK
    return Reply(
        status=status, body=codec.encode_answer(code, message, data), headers=_JSON, code=code
    )


_ACTS: dict[Kind, Callable[[ApiRequest, World], Reply]] = {
    "submit": _submit,
    "details": _details,
    "credits": _credits,
    "music": _music,
    "image": _image,
    "other": _other,
}

"""Refuse requests that no page of this server sent, and send every answer with its headers.

It knows HTTP headers: Host, Origin, Sec-Fetch-Site and Content-Type. It must not know what the
requests do. `app.py` uses the guards of every application, `server.py` those of a page that runs
by itself.
"""

import ipaddress
import logging
from collections.abc import Collection
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from suno_cover_async.errors import LedgerError
from suno_cover_async.log_fields import fields

_log = logging.getLogger("suno_cover_async")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OPEN = frozenset({"page", "unslashed", "file", "session"})
"""Names of the routes that need no session and show nothing: the page's own files, and its door.

A link of another site may lead to them.
"""

_OWN_SITES = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site: from the page itself, and from the address bar."""

_SENTENCES = {404: "there is no such page", 405: "the method is not allowed here"}
_NOT_OURS = "the request is not from this page"
_HTTP_PORT = 80


def is_open(request: web.Request) -> bool:
    """Return whether a request is for a route that needs no session."""
    return request.match_info.route.name in _OPEN


def refusal(status: int, reason: str) -> web.Response:
    """Return an answer with an error, one sentence."""
    return web.json_response({"error": reason}, status=status)


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers of every answer (for `on_response_prepare`)."""
    response.headers.update(_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as `{"error": "sentence"}`."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        said = error.reason != HTTPStatus(error.status).phrase
        return refusal(
            error.status, error.reason if said else _SENTENCES.get(error.status, error.reason)
        )
    except LedgerError as error:
        _log.warning(
            "the review page cannot use the ledger: %s",
            error,
            extra=fields("review_ledger_failed", error),
        )
        return refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    except Exception:  # noqa: BLE001 - of a function of the user, or of ours; it is logged
        _log.exception("a request of the review page failed", extra=fields("review_request_failed"))
        return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed; see the log")


def from_this_page(*schemes: str) -> Middleware:
    """Return a middleware that refuses what a page of another origin sends.

    A request that changes something needs an Origin that is the Host, with one of these schemes,
    and a JSON body, which no form can send. Data and images are not for other sites' pages either.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            origins, host = request.headers.getall("Origin", []), request.headers.get("Host", "")
            if [one.lower() for one in origins] not in [[f"{s}://{host.lower()}"] for s in schemes]:
                return refusal(HTTPStatus.FORBIDDEN, _NOT_OURS)
            if request.content_type != "application/json":
                return refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be JSON")
        elif not is_open(request) and not _is_own(request):
            return refusal(HTTPStatus.FORBIDDEN, _NOT_OURS)
        return await handler(request)

    return guard


def _is_own(request: web.Request) -> bool:
    return request.headers.get("Sec-Fetch-Site", "none") in _OWN_SITES


def known_hosts(port: int, names: Collection[str], *, any_address: bool) -> Middleware:
    """Return a middleware that refuses a Host that is not this server's.

    A page of another site may have its own name resolve to this machine (DNS rebinding); its
    requests name that host. An IP address cannot be rebound.

    Args:
        port: Where the server listens.
        names: Further names of it.
        any_address: Whether it listens on more than loopback, so that any IP address may be its.
    """
    known = {"127.0.0.1", "localhost", "[::1]", *(name.lower() for name in names)}

    def is_known(host: str) -> bool:
        name, colon, number = host.lower().rpartition(":")
        if not (colon and number.isdecimal()):
            name, number = host.lower(), str(_HTTP_PORT)
        return number == str(port) and (name in known or (any_address and _is_address(name)))

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not is_known(hosts[0]) or not request.raw_path.startswith("/"):
            return refusal(HTTPStatus.MISDIRECTED_REQUEST, "this is not the host of the page")
        return await handler(request)

    return guard


def _is_address(name: str) -> bool:
    try:
        if name.startswith("[") and name.endswith("]"):
            ipaddress.IPv6Address(name[1:-1])
        else:
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True

"""Who may use the page: one-time tokens for URLs, and the cookies of sessions that they become.

It owns names of people and random text, all of it in memory alone. It must not know what a page
does.
"""

import secrets
from collections.abc import Callable, Iterable
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from suno_cover_async.review.guard import is_open, refusal
from suno_cover_async.review.requests import json_body

_BYTES = 32
_USED = (
    "This URL was used before, or it is of an earlier start. Take the newest URL of the terminal "
    "where suno-cover review runs.\n"
)


class Sessions:
    """A token for each person, and any number of sessions.

    A token is good for one session. Once it was used, its person has a new one, so that a second
    browser can come in, or one that lost its session.
    """

    def __init__(
        self, people: Iterable[str], *, cookie: str, used: Callable[[str, str], None]
    ) -> None:
        """Make a token for each person.

        Args:
            people: Their names.
            cookie: The name of the cookie. Browsers send a cookie to every port of a host, so the
                name has the port.
            used: Called when a token was used, with the person's name and the next token.
        """
        self._tokens = {person: secrets.token_urlsafe(_BYTES) for person in people}
        self._sessions: dict[str, str] = {}
        self._cookie = cookie
        self._used = used

    @property
    def tokens(self) -> dict[str, str]:
        """Return the token of each person that was not used yet."""
        return dict(self._tokens)

    def begin(self, token: str) -> str | None:
        """Use a token: return a new session, or None for a wrong or used token."""
        person = _found(token, {one: person for person, one in self._tokens.items()})
        if person is None:
            return None
        self._tokens[person] = secrets.token_urlsafe(_BYTES)
        session = secrets.token_urlsafe(_BYTES)
        self._sessions[session] = person
        self._used(person, self._tokens[person])
        return session

    def person(self, request: web.Request) -> str:
        """Return whose session a request belongs to; empty if it has none."""
        # Servers on other ports set cookies for this host as well: of any form, on which aiohttp's
        # parser may stop, and of this name, so that several arrive.
        pairs = ";".join(request.headers.getall("Cookie", [])).split(";")
        named = (pair.strip().partition("=") for pair in pairs)
        given = (value for name, _, value in named if name == self._cookie)
        return next(filter(None, (_found(one, self._sessions) for one in given)), "")

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let requests of a session pass, and those that begin one or get the page's files."""
        if "token" in request.query and request.match_info.route.name == "page":
            return self._enter(request)
        if is_open(request) or self.person(request):
            return await handler(request)
        return refusal(
            HTTPStatus.UNAUTHORIZED,
            "the page's session ended; take the newest URL of the terminal",
        )

    def _enter(self, request: web.Request) -> web.Response:
        session = self.begin(request.query["token"])
        if session is None and not self.person(request):
            return web.Response(status=HTTPStatus.UNAUTHORIZED, text=_USED)
        # The answer leads away, so that no history and no address bar has the token.
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "./"})
        self._remember(response, session)
        return response

    async def post(self, request: web.Request) -> web.Response:
        """Begin a session for a page that is open already."""
        given = await json_body(request, {"token"})
        token = given["token"]
        session = self.begin(token) if isinstance(token, str) else None
        if session is None:
            return refusal(HTTPStatus.UNAUTHORIZED, _USED.strip())
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        self._remember(response, session)
        return response

    def _remember(self, response: web.Response, session: str | None) -> None:
        if session is not None:
            response.set_cookie(self._cookie, session, path="/", httponly=True, samesite="Strict")


def _found(text: str, known: dict[str, str]) -> str | None:
    """Return the value of a secret, compared with each of them in constant time."""
    given, value = text.encode(errors="replace"), None
    for secret, one in known.items():
        if secrets.compare_digest(secret.encode(), given):
            value = one
    return value

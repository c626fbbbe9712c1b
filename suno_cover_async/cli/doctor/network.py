"""Check the way to the API: name, connection, TLS, one request that costs nothing, and the clock.

The request is the one for the balance. It goes through a client, which takes its turn in the
account's shared limit. What comes from the network is untrusted text.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from yarl import URL

from suno_cover_async import AuthenticationError, RetryPolicy, SunoCoverError, WrongAddressError
from suno_cover_async.cli import settings
from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.doctor.finding import (
    SECONDS,
    Finding,
    State,
    fault,
    not_checked,
    ok,
    warning,
    within,
)
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.failures import advise, explain
from suno_cover_async.http.server_clock import session_that_notes_dates
from suno_cover_async.network import certificates
from suno_cover_async.network.certificates import ProxyStatusError
from suno_cover_async.network.connector import open_socket
from suno_cover_async.network.proxies import CHECK, proxies, refusal
from suno_cover_async.network.reach import addresses_of, connect, handshake

_REQUEST_SECONDS = 25.0  # it may wait for its turn behind other commands
_MOST_AHEAD = 30.0  # seconds
_SOON = timedelta(days=3)
_NO_TLS = (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
_CHECK_NETWORK = "check the network, and --base-url or --host"
_WHY_CLOCK = "set this machine's clock: signatures of kie.ai's callbacks are valid for 300 s, and "


@attrs.frozen
class Way:
    """The way to the API.

    Attributes:
        url: The base URL of the API.
        proxy: The proxy in between, if there is one; its URL may hold a password.
    """

    url: URL
    proxy: URL | None = attrs.field(repr=False)

    @property
    def first(self) -> tuple[str, int]:
        """The host and the port that this machine connects to."""
        there = self.url if self.proxy is None else self.proxy
        return there.host or "", there.port or 443

    @property
    def what(self) -> str:
        """What is connected to, in words."""
        return "the host" if self.proxy is None else "the proxy"

    @property
    def advice(self) -> str:
        """What to check."""
        return _CHECK_NETWORK if self.proxy is None else CHECK


def way_to(connection: Connection, base_url: str) -> Way:
    """Return the way to the API; raises ValueError if the environment's proxy is invalid."""
    url = URL(base_url)
    return Way(url, proxies(settings.proxy(connection).value, trust_env=True).of(url))


async def check_network(way: Way) -> list[Finding]:
    """Check the name, the connection and TLS, in this order, up to the first fault."""
    names = ("name", "connection", "TLS")
    checks = (_check_name, _check_connection, _check_tls)
    findings: list[Finding] = []
    for name, check in zip(names, checks, strict=True):
        findings.append(await _timed(name, check, way))
        if is_fault(findings):
            break
    rest = names[len(findings) :]
    return [*findings, *(not_checked(name, "the check before failed") for name in rest)]


def is_fault(findings: Sequence[Finding]) -> bool:
    """Return whether the last check failed."""
    return findings[-1].state in (State.FAULT, State.NOT_CHECKED)


async def _timed(
    name: str, check: Callable[[Way], Coroutine[Any, Any, Finding]], way: Way
) -> Finding:
    try:
        return await within(lambda: check(way))
    except TimeoutError:
        return fault(name, f"{way.what} did not answer within {SECONDS:g} s", way.advice)


async def _check_name(way: Way) -> Finding:
    host, port = way.first
    try:
        found = await addresses_of(host, port)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be a name"
        return fault("name", f"{host}, {way.what}, is not found ({reason})", way.advice)
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return ok("name", f"{host}, {way.what}, is {found[0]}{more}")


async def _check_connection(way: Way) -> Finding:
    host, port = way.first
    try:
        await connect(host, port)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return fault("connection", f"{way.what} does not connect ({reason})", way.advice)
    return ok("connection", f"{way.what} connects at port {port}")


async def _check_tls(way: Way) -> Finding:
    if way.url.scheme != "https":
        return ok("TLS", "none: the base URL is http, on this machine")
    host, port = way.url.host or "", way.url.port or 443
    try:
        made = await handshake(host, port, way.proxy)
    except ssl.SSLCertVerificationError as error:
        return fault("TLS", await certificates.untrusted(host, port, error, open_socket, way.proxy))
    except ProxyStatusError as error:
        told = refusal(error.status, host) or f"the proxy answered HTTP {error.status}; {CHECK}"
        return fault("TLS", told)
    except _NO_TLS as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return fault("TLS", f"there is no TLS with {host} ({reason})", way.advice)
    words = f"{made.version}, issued by {made.issuer or 'unknown'}"
    words += f", valid until {made.valid_until:%Y-%m-%d}"
    if made.valid_until - datetime.now(UTC) < _SOON:
        return warning("TLS", words, "the certificate expires soon: tell who runs the host")
    return ok("TLS", words)


@attrs.define
class _Asked:
    """What the request for the balance brought."""

    balance: float | None = None
    error: Exception | None = None
    ahead: float | None = None


async def check_api(connection: Connection, base_url: str) -> list[Finding]:
    """Ask for the balance, once, and compare the clocks."""
    try:
        asked = await within(lambda: _ask(connection, base_url), _REQUEST_SECONDS)
    except TimeoutError:
        message = f"no answer within {_REQUEST_SECONDS:g} s"
        advice = "other commands may use up the account's limit: try again when they have ended"
        return [fault("API", message, advice), *_unasked("the API did not answer")]
    if asked.error is not None:
        return [_of_error(asked.error), not_checked("balance", "no answer"), _of_clock(asked.ahead)]
    findings = [ok("API", "it answers, and accepts the key")]
    return [*findings, _of_balance(asked.balance or 0.0), _of_clock(asked.ahead)]


def unasked(because: str) -> list[Finding]:
    """Return the findings if no request can be made."""
    return [not_checked("API", because), *_unasked(because)]


def _unasked(because: str) -> list[Finding]:
    return [not_checked("balance", because), not_checked("clock", because)]


async def _ask(connection: Connection, base_url: str) -> _Asked:
    asked = _Asked()

    def note(ahead: float | None) -> None:
        asked.ahead = ahead

    once = RetryPolicy(max_attempts=1, attempt_timeout=SECONDS)
    async with session_that_notes_dates(base_url, note) as session:
        try:
            async with connection.client(retry=once, session=session) as client:
                asked.balance = await client.credits()
        except (SunoCoverError, ValueError, OSError) as error:
            asked.error = error
    return asked


def _of_error(error: Exception) -> Finding:
    if isinstance(error, AuthenticationError):
        advice = "check the key, and that it is one of this host (--host, --base-url)"
        return fault("API", f"the key was refused: {explain(error)}", advice, code=ExitCode.KEY)
    code = ExitCode.USAGE if isinstance(error, WrongAddressError) else ExitCode.FAILED
    return fault("API", explain(error), advise(error), code=code)


def _of_balance(balance: float) -> Finding:
    words = f"{balance:,.10g} credits"
    if balance <= 0:
        return warning("balance", words, "buy credits at the host before you submit songs")
    return ok("balance", words)


def _of_clock(ahead: float | None) -> Finding:
    if ahead is None:
        return not_checked("clock", "the host told no date")
    words = f"this machine's clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'}"
    words += " the host's"
    if abs(ahead) > _MOST_AHEAD:
        return warning("clock", words, f"{_WHY_CLOCK}images are deleted after 14 days")
    return ok("clock", words if abs(ahead) > 2 else "as the host's")  # noqa: PLR2004 - seconds

"""Which proxy a request goes through: the one that was given, or the environment's, as curl does.

It knows URLs and the environment; it sends nothing. A proxy's URL may hold a password, so no error
and no repr shows it.
"""

import urllib.request
from collections.abc import Mapping

import attrs
from yarl import URL

from suno_cover_async.common.addresses import is_loopback
from suno_cover_async.common.text import printable

_SCHEMES = ("http", "https")
_NEEDS_PASSWORD = 407
_FINAL = frozenset({400, 401, 403, 404, 405, 451})

CHECK = "check the proxy: HTTPS_PROXY, ALL_PROXY, --proxy or proxy=; NO_PROXY names hosts without"
"""What to do when a proxy is not reached, or is none."""


def _parsed(name: str, value: object) -> URL:
    """Parse the URL of a proxy.

    Raises:
        TypeError: It is not a str.
        ValueError: It is no http or https URL of a host; the message does not show it.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, such as http://proxy.example:3128")
    problem = "is no URL; it must be such as http://proxy.example:3128"
    try:
        url = URL(value if "://" in value else f"http://{value}")
        is_whole = bool(url.host) and url.port is not None and url.path in {"", "/"}
    except (ValueError, IndexError):  # yarl raises IndexError for http://[]@
        url, is_whole = URL(), False
    else:
        if url.scheme not in _SCHEMES and url.scheme.startswith("socks"):
            problem = "is a SOCKS proxy, which is not supported; give an http or https proxy"
        is_whole = is_whole and url.scheme in _SCHEMES
    if is_whole and ":" in (url.user or ""):
        problem, is_whole = "has a colon in its user name, which no proxy can be sent", False
    if is_whole and not _is_latin(f"{url.user}{url.password}"):
        problem, is_whole = "has a user name or password that is not in Latin-1", False
    if is_whole and not (url.query_string or url.fragment):
        return url
    raise ValueError(f"{name} {problem} (its value is not shown, since it may hold a password)")


def _is_latin(text: str) -> bool:
    """Return whether aiohttp can send a text to a proxy as credentials."""
    return all(ord(character) < 256 for character in text)  # noqa: PLR2004


def refusal(status: int, host: str) -> str | None:
    """Return what it means that a proxy answered with this HTTP status in place of connecting.

    Returns:
        What is wrong and what to do, if trying again is of no use; else None.
    """
    if status == _NEEDS_PASSWORD:
        advice = (
            "it wants a user name and a password: give them in the proxy's URL, such as "
            "http://user:password@proxy.example:3128"
        )
    elif status in _FINAL:
        advice = "ask who runs it to allow that, or go another way"
    else:
        return None
    return f"the proxy refuses to connect to {printable(host)} (HTTP {status}); {advice}"


@attrs.frozen(repr=False)
class Proxies:
    """The proxies of one client; requests to loopback never go through one.

    Attributes:
        given: The proxy of all requests; None takes that of the environment.
        environment: The proxy that the environment names for https; None uses none.
    """

    given: URL | None = None
    environment: URL | None = None

    @property
    def none(self) -> bool:
        """Whether no request goes through a proxy."""
        return self.given is None and self.environment is None

    def of(self, url: URL) -> URL | None:
        """Return the proxy of a request, or None."""
        host = url.host or ""
        if is_loopback(host.removesuffix(".")):
            return None
        if self.given is not None:
            return self.given
        if self.environment is None or urllib.request.proxy_bypass(host):
            return None
        return self.environment


def proxies(proxy: object, *, trust_env: object) -> Proxies:
    """Return the proxies of a client, from its arguments and the environment as it is now.

    The environment's are HTTPS_PROXY, or else ALL_PROXY, in lower or upper case, but for the hosts
    in NO_PROXY; on macOS and Windows also the system's settings. All requests are https, but for
    those to loopback, so HTTP_PROXY is not used.

    Raises:
        TypeError: `proxy` is neither a str nor None, or `trust_env` is not a bool.
        ValueError: The proxy is no http or https URL.
    """
    if not isinstance(trust_env, bool):
        raise TypeError("trust_env must be True or False")
    if proxy is not None:
        return Proxies(given=_parsed("proxy", proxy))
    found: Mapping[str, str] = urllib.request.getproxies() if trust_env else {}
    for name in ("https", "all"):
        if found.get(name):
            return Proxies(environment=_parsed(f"{name.upper()}_PROXY", found[name]))
    return Proxies()

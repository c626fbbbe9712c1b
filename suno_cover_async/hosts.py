"""The hosts that serve the Cover API, the differences between them, and a client's base URL.

A `Host` is a frozen value; `responses.py` and the client read it. A `BaseUrl` is mutable: it
records that the API has answered. Nothing here does I/O.

Sources: the hosts' public documentation (docs.sunoapi.org, docs.kie.ai, docs.api.box) and
recorded traffic.
"""

import attrs

from suno_cover_async.common import validation
from suno_cover_async.common.validation import checked


@attrs.define(eq=False)
class BaseUrl:
    """The base URL of the API, and whether the API has answered there; mutable.

    Attributes:
        url: Scheme and authority, possibly a path, without a trailing slash.
        has_answered: Whether the API itself has answered there, with any code.
    """

    url: str
    has_answered: bool = False


@attrs.frozen(kw_only=True)
class Host:
    """One host of the Cover API.

    Attributes:
        name: Its name on the command line.
        base_url: Scheme and authority, without a trailing slash.
        credits_path: The path that returns the account's balance.
        rate_codes: The codes that mean "called too often".
        credits_429: Whether 429 means insufficient credits outside the cover endpoints
            (documented by sunoapi.org for its music and credits endpoints).

    Raises:
        ValueError: `base_url` is not https (or http on loopback), or `credits_path` is not a path.
    """

    name: str
    base_url: str = attrs.field(validator=checked(validation.base_url))
    credits_path: str = attrs.field(
        default="/api/v1/generate/credit", validator=checked(validation.path)
    )
    rate_codes: frozenset[int] = frozenset({429})
    credits_429: bool = False


SUNOAPI = Host(
    name="sunoapi",
    base_url="https://api.sunoapi.org",
    rate_codes=frozenset({405, 429, 430}),
    credits_429=True,
)
"""sunoapi.org, the default."""

KIE = Host(name="kie", base_url="https://api.kie.ai", credits_path="/api/v1/chat/credit")
"""kie.ai: the only host that can sign its callbacks."""

APIBOX = Host(
    name="apibox",
    base_url="https://api.api.box",
    rate_codes=frozenset({405, 429, 430}),
    credits_429=True,
)
"""api.box, which is assumed to behave like sunoapi.org."""

HOSTS = {host.name: host for host in (SUNOAPI, KIE, APIBOX)}
"""All hosts, by name."""


def host_of(host: Host | str) -> Host:
    """Return the host, which may be given by its name in `HOSTS`, in any letter case.

    Raises:
        TypeError: It is neither a `Host` nor a str.
        ValueError: No host has this name.
    """
    if isinstance(host, str):
        if host.lower() not in HOSTS:
            raise ValueError(f"host must be a Host, or one of {', '.join(HOSTS)}, not {host!r:.80}")
        return HOSTS[host.lower()]
    return validation.instance("host", host, Host)

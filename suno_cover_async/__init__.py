"""Cover art for finished AI-generated songs, without ever paying twice.

    from suno_cover_async import SunoCoverClient

    async with SunoCoverClient() as client:  # the key from SUNO_API_KEY
        details = await client.generate("73d6128b3523a0079df10da9471017c8")
        files = await client.download(details, into="covers")

This is the shop window: everything public is imported from here, and nothing is defined here. Each
thing is fetched when somebody first asks for it, so that whoever wants a client starts without
aiohttp.web and SQLite; no other module of the package imports late. The sandbox is
`suno_cover_async.sandbox`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from suno_cover_async._version import __version__

if TYPE_CHECKING:  # what is fetched below, for those who read and do not run
    from suno_cover_async.catalog import Catalog, read_catalog
    from suno_cover_async.circuit_breaker import Breakers, CircuitBreaker
    from suno_cover_async.client import NO_CALLBACK_URL, SunoCoverClient
    from suno_cover_async.entry import LedgerEntry, LedgerRun, TrackState
    from suno_cover_async.errors import (
        APIError,
        AuthenticationError,
        CallbackRefusedError,
        ClientBlockedError,
        ClientUsageError,
        CoverExistsError,
        CoverExpiredError,
        CoverFailedError,
        CoverTimeoutError,
        DownloadError,
        ImagesMissingError,
        InsufficientCreditsError,
        InvalidRequestError,
        LedgerError,
        MaintenanceError,
        MusicFailedError,
        NotFoundError,
        RateLimitError,
        ServerError,
        SunoCoverError,
        TransportError,
        UnexpectedResponseError,
        WrongAddressError,
    )
    from suno_cover_async.hosts import APIBOX, HOSTS, KIE, SUNOAPI, Host
    from suno_cover_async.ledger import Ledger
    from suno_cover_async.lines import BadLine
    from suno_cover_async.models import (
        Callback,
        CoverDetails,
        CoverStatus,
        CoverTask,
        MusicDetails,
        Track,
    )
    from suno_cover_async.outcomes import Covered, Failed, InFlight, Outcome, Progress, Step
    from suno_cover_async.policies import PollPolicy, RateLimit, RetryPolicy
    from suno_cover_async.rate_limiter import RateLimiter
    from suno_cover_async.receiver import CallbackReceiver
    from suno_cover_async.runner import CatalogRun, cover_catalog
    from suno_cover_async.verification import CallbackAnswer

__all__ = [
    "APIBOX",
    "HOSTS",
    "KIE",
    "NO_CALLBACK_URL",
    "SUNOAPI",
    "APIError",
    "AuthenticationError",
    "BadLine",
    "Breakers",
    "Callback",
    "CallbackAnswer",
    "CallbackReceiver",
    "CallbackRefusedError",
    "Catalog",
    "CatalogRun",
    "CircuitBreaker",
    "ClientBlockedError",
    "ClientUsageError",
    "CoverDetails",
    "CoverExistsError",
    "CoverExpiredError",
    "CoverFailedError",
    "CoverStatus",
    "CoverTask",
    "CoverTimeoutError",
    "Covered",
    "DownloadError",
    "Failed",
    "Host",
    "ImagesMissingError",
    "InFlight",
    "InsufficientCreditsError",
    "InvalidRequestError",
    "Ledger",
    "LedgerEntry",
    "LedgerError",
    "LedgerRun",
    "MaintenanceError",
    "MusicDetails",
    "MusicFailedError",
    "NotFoundError",
    "Outcome",
    "PollPolicy",
    "Progress",
    "RateLimit",
    "RateLimitError",
    "RateLimiter",
    "RetryPolicy",
    "ServerError",
    "Step",
    "SunoCoverClient",
    "SunoCoverError",
    "Track",
    "TrackState",
    "TransportError",
    "UnexpectedResponseError",
    "WrongAddressError",
    "__version__",
    "cover_catalog",
    "read_catalog",
]

_ROOMS = {
    "verification": ("CallbackAnswer",),
    "outcomes": ("Covered", "Failed", "InFlight", "Outcome", "Step", "Progress"),
    "runner": ("CatalogRun", "cover_catalog"),
    "catalog": ("Catalog", "read_catalog"),
    "circuit_breaker": ("Breakers", "CircuitBreaker"),
    "client": ("NO_CALLBACK_URL", "SunoCoverClient"),
    "entry": ("LedgerEntry", "LedgerRun", "TrackState"),
    "errors": (
        "APIError",
        "AuthenticationError",
        "CallbackRefusedError",
        "ClientBlockedError",
        "ClientUsageError",
        "CoverExistsError",
        "CoverExpiredError",
        "CoverFailedError",
        "CoverTimeoutError",
        "DownloadError",
        "ImagesMissingError",
        "InsufficientCreditsError",
        "InvalidRequestError",
        "LedgerError",
        "MaintenanceError",
        "MusicFailedError",
        "NotFoundError",
        "RateLimitError",
        "ServerError",
        "SunoCoverError",
        "TransportError",
        "UnexpectedResponseError",
        "WrongAddressError",
    ),
    "hosts": ("APIBOX", "HOSTS", "KIE", "SUNOAPI", "Host"),
    "ledger": ("Ledger",),
    "lines": ("BadLine",),
    "models": ("Callback", "CoverDetails", "CoverStatus", "CoverTask", "MusicDetails", "Track"),
    "policies": ("PollPolicy", "RateLimit", "RetryPolicy"),
    "receiver": ("CallbackReceiver",),
    "rate_limiter": ("RateLimiter",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

if not TYPE_CHECKING:  # or a misspelt name would pass for one

    def __getattr__(name: str) -> object:
        """Fetch what is asked for the first time (PEP 562); from then on it stands here."""
        if name in _ROOMS:
            return import_module(f"{__name__}.{name}")
        if name not in _ROOM_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

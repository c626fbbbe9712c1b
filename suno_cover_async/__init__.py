"""Cover art for finished AI-generated songs, without ever paying twice.

    from suno_cover_async import SunoCoverClient

    async with SunoCoverClient() as client:  # the key from SUNO_API_KEY
        details = await client.generate("73d6128b3523a0079df10da9471017c8")
        files = await client.download(details, into="covers")

Everything public is imported from here, and nothing is defined here. Each name is fetched when
somebody first asks for it, so that whoever wants a client starts without aiohttp.web and SQLite.
The sandbox is `suno_cover_async.sandbox`.

The folders, from the top: `cli` (the command line), `batch` (whole catalogs), `client` (the verbs),
`callbacks` (the receiver), `covers` (submit, poll, notify), `http`, `images`, `ledger`, `protocol`
(the API's language), `resilience` (limiter, breaker, retry), and `common`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from suno_cover_async.common.version import __version__

if TYPE_CHECKING:  # what is fetched below, for type checkers
    from suno_cover_async.batch.catalog import Catalog, read_catalog
    from suno_cover_async.batch.line_reader import BadLine
    from suno_cover_async.batch.outcomes import Covered, Failed, InFlight, Outcome, Progress, Step
    from suno_cover_async.batch.runner import CatalogRun, cover_catalog
    from suno_cover_async.callbacks.receiver import CallbackReceiver
    from suno_cover_async.callbacks.verification import CallbackAnswer
    from suno_cover_async.client import NO_CALLBACK_URL, SunoCoverClient
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
    from suno_cover_async.ledger.entry import LedgerEntry, LedgerRun, TrackState
    from suno_cover_async.ledger.ledger import Ledger
    from suno_cover_async.models import (
        Callback,
        CoverDetails,
        CoverStatus,
        CoverTask,
        MusicDetails,
        Track,
    )
    from suno_cover_async.policies import PollPolicy, RateLimit, RetryPolicy
    from suno_cover_async.resilience.circuit_breaker import Breakers, CircuitBreaker
    from suno_cover_async.resilience.rate_limiter import RateLimiter

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

_MODULES = {
    "callbacks.verification": ("CallbackAnswer",),
    "batch.outcomes": ("Covered", "Failed", "InFlight", "Outcome", "Step", "Progress"),
    "batch.runner": ("CatalogRun", "cover_catalog"),
    "batch.catalog": ("Catalog", "read_catalog"),
    "resilience.circuit_breaker": ("Breakers", "CircuitBreaker"),
    "client": ("NO_CALLBACK_URL", "SunoCoverClient"),
    "ledger.entry": ("LedgerEntry", "LedgerRun", "TrackState"),
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
    "ledger.ledger": ("Ledger",),
    "batch.line_reader": ("BadLine",),
    "models": ("Callback", "CoverDetails", "CoverStatus", "CoverTask", "MusicDetails", "Track"),
    "policies": ("PollPolicy", "RateLimit", "RetryPolicy"),
    "callbacks.receiver": ("CallbackReceiver",),
    "resilience.rate_limiter": ("RateLimiter",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # or a misspelt name would pass for one

    def __getattr__(name: str) -> object:
        """Fetch what is asked for the first time (PEP 562); it is kept here from then on."""
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Cover art for finished AI-generated songs, without ever paying twice.

    from suno_cover_async import SunoCoverClient

    async with SunoCoverClient() as client:  # the key from SUNO_API_KEY
        details = await client.generate("73d6128b3523a0079df10da9471017c8")
        files = await client.download(details, into="covers")

All public names are imported from here; none is defined here. Each name is loaded at its first use,
so that a program that only needs a client does not load aiohttp.web and SQLite. The sandbox is
`suno_cover_async.sandbox`, what is made of chosen images is `suno_cover_async.artwork`, and
OpenTelemetry is `suno_cover_async.telemetry`.

The folders and modules, from the top layer down: `cli` (the command line), `agents` (a server for
agents, by the Model Context Protocol) and `review` (the page on which people choose images),
`artwork` (files for stores and players), `pytest_plugin` (fixtures for tests of others) and
`telemetry` (OpenTelemetry), `batch` (whole catalogs), `client` (the public methods), `callbacks`
(the receiver) and `fleet` (what processes share), `client_arguments` (their checks), `covers`
(submit, poll, notify), `sandbox` (a simulated API), `http` (requests) and `images` (downloads),
`ledger`, `protocol` (requests, responses and their JSON) and `resilience` (rate limiter, circuit
breaker, retry), `emitter` (calls the hook with events), `log_fields` (facts of the log's records),
`errors`, `events` and `models` (values), `policies` (settings) and `hosts`, `network` (connections,
proxies, TLS) and `postgres` (connections to a database), and `common`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from suno_cover_async.common.version import __version__

if TYPE_CHECKING:  # the names that __getattr__ loads, for type checkers
    from suno_cover_async.batch.catalog import Catalog, read_catalog
    from suno_cover_async.batch.catalog_run import CatalogRun
    from suno_cover_async.batch.line_reader import BadLine
    from suno_cover_async.batch.outcomes import Covered, Failed, InFlight, Outcome, Progress, Step
    from suno_cover_async.batch.plan import CatalogPlan, plan_catalog
    from suno_cover_async.batch.runner import cover_catalog
    from suno_cover_async.callbacks.receiver import CallbackReceiver
    from suno_cover_async.callbacks.verification import CallbackAnswer
    from suno_cover_async.client import SunoCoverClient
    from suno_cover_async.client_arguments import NO_CALLBACK_URL
    from suno_cover_async.errors import (
        AddressRefusedError,
        APIError,
        ArtworkError,
        AuthenticationError,
        CallbackRefusedError,
        CertificateError,
        ChoiceConflictError,
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
        ProxyError,
        RateLimitError,
        ServerError,
        SunoCoverError,
        TransportError,
        UnexpectedResponseError,
        WrongAddressError,
    )
    from suno_cover_async.events import (
        BreakerChanged,
        CoverFinished,
        CoverSubmitted,
        CreditsRead,
        Event,
        ImagesSaved,
        Operation,
        OperationEnded,
        OperationStarted,
        RequestEnded,
        RequestRetried,
        RequestSent,
        RequestsPaused,
        TrackEnded,
        TrackOutcome,
    )
    from suno_cover_async.fleet.callback_bus import CallbackBus
    from suno_cover_async.fleet.limiter import SharedRateLimiter
    from suno_cover_async.hosts import APIBOX, HOSTS, KIE, SUNOAPI, Host
    from suno_cover_async.images.saved_images import SavedImages
    from suno_cover_async.ledger.choices import Choices
    from suno_cover_async.ledger.condition import LedgerCondition
    from suno_cover_async.ledger.entry import LedgerEntry, LedgerHolder, LedgerRun, TrackState
    from suno_cover_async.ledger.ledger import Ledger
    from suno_cover_async.models import (
        Callback,
        Choice,
        CoverDetails,
        CoverStatus,
        CoverTask,
        Decision,
        MusicDetails,
        Track,
    )
    from suno_cover_async.policies import PollPolicy, RateLimit, RetryPolicy
    from suno_cover_async.resilience.circuit_breaker import Breakers, CircuitBreaker
    from suno_cover_async.resilience.limiter import Limiter
    from suno_cover_async.resilience.rate_limiter import RateLimiter

__all__ = [
    "APIBOX",
    "HOSTS",
    "KIE",
    "NO_CALLBACK_URL",
    "SUNOAPI",
    "APIError",
    "AddressRefusedError",
    "ArtworkError",
    "AuthenticationError",
    "BadLine",
    "BreakerChanged",
    "Breakers",
    "Callback",
    "CallbackAnswer",
    "CallbackBus",
    "CallbackReceiver",
    "CallbackRefusedError",
    "Catalog",
    "CatalogPlan",
    "CatalogRun",
    "CertificateError",
    "Choice",
    "ChoiceConflictError",
    "Choices",
    "CircuitBreaker",
    "ClientBlockedError",
    "ClientUsageError",
    "CoverDetails",
    "CoverExistsError",
    "CoverExpiredError",
    "CoverFailedError",
    "CoverFinished",
    "CoverStatus",
    "CoverSubmitted",
    "CoverTask",
    "CoverTimeoutError",
    "Covered",
    "CreditsRead",
    "Decision",
    "DownloadError",
    "Event",
    "Failed",
    "Host",
    "ImagesMissingError",
    "ImagesSaved",
    "InFlight",
    "InsufficientCreditsError",
    "InvalidRequestError",
    "Ledger",
    "LedgerCondition",
    "LedgerEntry",
    "LedgerError",
    "LedgerHolder",
    "LedgerRun",
    "Limiter",
    "MaintenanceError",
    "MusicDetails",
    "MusicFailedError",
    "NotFoundError",
    "Operation",
    "OperationEnded",
    "OperationStarted",
    "Outcome",
    "PollPolicy",
    "Progress",
    "ProxyError",
    "RateLimit",
    "RateLimitError",
    "RateLimiter",
    "RequestEnded",
    "RequestRetried",
    "RequestSent",
    "RequestsPaused",
    "RetryPolicy",
    "SavedImages",
    "ServerError",
    "SharedRateLimiter",
    "Step",
    "SunoCoverClient",
    "SunoCoverError",
    "Track",
    "TrackEnded",
    "TrackOutcome",
    "TrackState",
    "TransportError",
    "UnexpectedResponseError",
    "WrongAddressError",
    "__version__",
    "cover_catalog",
    "plan_catalog",
    "read_catalog",
]

_MODULES = {
    "callbacks.verification": ("CallbackAnswer",),
    "batch.outcomes": ("Covered", "Failed", "InFlight", "Outcome", "Step", "Progress"),
    "batch.catalog_run": ("CatalogRun",),
    "batch.plan": ("CatalogPlan", "plan_catalog"),
    "batch.runner": ("cover_catalog",),
    "batch.catalog": ("Catalog", "read_catalog"),
    "resilience.circuit_breaker": ("Breakers", "CircuitBreaker"),
    "client": ("SunoCoverClient",),
    "client_arguments": ("NO_CALLBACK_URL",),
    "ledger.entry": ("LedgerEntry", "LedgerHolder", "LedgerRun", "TrackState"),
    "errors": (
        "APIError",
        "AddressRefusedError",
        "ArtworkError",
        "AuthenticationError",
        "CallbackRefusedError",
        "CertificateError",
        "ChoiceConflictError",
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
        "ProxyError",
        "RateLimitError",
        "ServerError",
        "SunoCoverError",
        "TransportError",
        "UnexpectedResponseError",
        "WrongAddressError",
    ),
    "events": (
        "BreakerChanged",
        "CoverFinished",
        "CoverSubmitted",
        "CreditsRead",
        "Event",
        "ImagesSaved",
        "Operation",
        "OperationEnded",
        "OperationStarted",
        "RequestEnded",
        "RequestRetried",
        "RequestSent",
        "RequestsPaused",
        "TrackEnded",
        "TrackOutcome",
    ),
    "hosts": ("APIBOX", "HOSTS", "KIE", "SUNOAPI", "Host"),
    "images.saved_images": ("SavedImages",),
    "ledger.choices": ("Choices",),
    "ledger.condition": ("LedgerCondition",),
    "ledger.ledger": ("Ledger",),
    "batch.line_reader": ("BadLine",),
    "models": (
        "Callback",
        "Choice",
        "CoverDetails",
        "CoverStatus",
        "CoverTask",
        "Decision",
        "MusicDetails",
        "Track",
    ),
    "policies": ("PollPolicy", "RateLimit", "RetryPolicy"),
    "callbacks.receiver": ("CallbackReceiver",),
    "resilience.limiter": ("Limiter",),
    "resilience.rate_limiter": ("RateLimiter",),
    "fleet.callback_bus": ("CallbackBus",),
    "fleet.limiter": ("SharedRateLimiter",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # else type checkers would accept misspelt names

    def __getattr__(name: str) -> object:
        """Load a public name at its first use (PEP 562), and keep it in this module."""
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

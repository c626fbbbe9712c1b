"""The attributes of spans and metrics, by OpenTelemetry's semantic conventions for HTTP.

Names that the conventions do not have begin with `suno_cover.`.
"""

from urllib.parse import urlsplit

from suno_cover_async.events import OperationStarted, RequestEnded, RequestRetried, RequestSent

Attributes = dict[str, str | bool | int | float]

_DEFAULT_PORTS = {"http": 80, "https": 443}


def without_none(**facts: str | float | None) -> Attributes:
    """Return the facts that are known, with dots in place of double underscores in the names."""
    return {k.replace("__", "."): v for k, v in facts.items() if v is not None}


def of_route(event: RequestSent | RequestEnded | RequestRetried) -> Attributes:
    """Return method, server and the API's path, which have few values: for metrics and spans."""
    place = urlsplit(event.origin)
    return without_none(
        http__request__method=event.method,
        server__address=place.hostname,
        server__port=place.port or _DEFAULT_PORTS.get(place.scheme),
        url__template=event.path or None,
    )


def of_end(event: RequestEnded) -> Attributes:
    """Return how a request ended."""
    return without_none(http__response__status_code=event.http_status, error__type=event.error)


def of_request(event: RequestSent) -> Attributes:
    """Return what is known of a request when it is sent."""
    url = without_none(
        url__scheme=urlsplit(event.origin).scheme,
        url__full=event.origin + event.path if event.path else None,
        http__request__resend_count=event.attempt - 1 or None,
        suno_cover__permit__wait_time=event.waited,
    )
    return of_route(event) | url | of_ids(event)


def of_ids(event: OperationStarted | RequestSent) -> Attributes:
    """Return the ids that an event has."""
    return without_none(
        suno_cover__music_task_id=event.music_task_id,
        suno_cover__cover_task_id=event.cover_task_id,
    )

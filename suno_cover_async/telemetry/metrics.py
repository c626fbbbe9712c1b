"""The metrics: requests, waits for permits, retries, pauses, breakers, covers and credits.

Their attributes have few values, so that no id makes a series of its own.
"""

from opentelemetry.metrics import Meter

from suno_cover_async.events import (
    BreakerChanged,
    CoverFinished,
    CoverSubmitted,
    CreditsRead,
    Event,
    ImagesSaved,
    OperationEnded,
    RequestEnded,
    RequestRetried,
    RequestSent,
    RequestsPaused,
    TrackEnded,
)
from suno_cover_async.telemetry.attributes import of_end, of_route, without_none

# Seconds. The first are those that the conventions advise for `http.client.request.duration`.
_OF_REQUESTS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
_OF_WAITS = [0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600]
_OF_OPERATIONS = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600]


class Metrics:
    """The instruments of one meter."""

    def __init__(self, meter: Meter) -> None:
        """Make the instruments."""
        self._requests = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_OF_REQUESTS,
        )
        self._waits = meter.create_histogram(
            "suno_cover.permit.wait_time",
            unit="s",
            description="The time that a request waited for a permit of the rate limiter.",
            explicit_bucket_boundaries_advisory=_OF_WAITS,
        )
        self._operations = meter.create_histogram(
            "suno_cover.operation.duration",
            unit="s",
            description="Duration of generate, submit, wait, download and catalog.",
            explicit_bucket_boundaries_advisory=_OF_OPERATIONS,
        )
        self._retries = meter.create_counter(
            "suno_cover.request.retries", unit="{retry}", description="Requests sent again."
        )
        self._pauses = meter.create_counter(
            "suno_cover.pauses",
            unit="{pause}",
            description="Pauses of all requests after a refusal for calling too often.",
        )
        self._breakers = meter.create_up_down_counter(
            "suno_cover.breakers.open",
            unit="{breaker}",
            description="Circuit breakers that hold requests back.",
        )
        self._submitted = meter.create_counter(
            "suno_cover.covers.submitted",
            unit="{cover}",
            description="Submits that were answered with a cover task: billed or adopted.",
        )
        self._finished = meter.create_counter(
            "suno_cover.covers.finished",
            unit="{cover}",
            description="Cover tasks found finished: success or failed.",
        )
        self._saved = meter.create_counter(
            "suno_cover.covers.saved",
            unit="{cover}",
            description="Covers of which all images were saved.",
        )
        self._tracks = meter.create_counter(
            "suno_cover.tracks", unit="{track}", description="Outcomes of tracks of catalogs."
        )
        self._credits = meter.create_gauge(
            "suno_cover.credits", unit="{credit}", description="The balance when last read."
        )

    def receive(self, event: Event) -> None:
        """Measure an event."""
        match event:
            case RequestSent():
                self._waits.record(event.waited, of_route(event))
            case RequestEnded():
                self._requests.record(event.duration, of_route(event) | of_end(event))
            case RequestRetried():
                self._retries.add(1, of_route(event) | {"error.type": event.error})
            case RequestsPaused():
                self._pauses.add(1)
            case BreakerChanged():
                about = {"suno_cover.breaker": event.breaker}
                self._breakers.add(1 if event.is_open else -1, about)
            case CreditsRead():
                self._credits.set(event.credits)
            case _:
                self._receive_result(event)

    def _receive_result(self, event: Event) -> None:
        match event:
            case OperationEnded():
                about = without_none(
                    suno_cover__operation=event.operation.value, error__type=event.error
                )
                self._operations.record(event.duration, about)
            case CoverSubmitted():
                outcome = "adopted" if event.adopted else "billed"
                self._submitted.add(1, {"suno_cover.outcome": outcome})
            case CoverFinished():
                self._finished.add(1, {"suno_cover.outcome": event.status.value.lower()})
            case ImagesSaved():
                self._saved.add(1)
            case TrackEnded():
                about = without_none(
                    suno_cover__outcome=event.outcome.value, error__type=event.error
                )
                self._tracks.add(1, about)
            case _:
                pass

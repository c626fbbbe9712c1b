"""The spans of operations and requests.

Events name their operation, so a span gets its right parent in whichever task it begins. A span
ends with its operation or request, however these end.
"""

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from suno_cover_async.events import (
    CoverFinished,
    CoverSubmitted,
    Event,
    ImagesSaved,
    OperationEnded,
    OperationStarted,
    RequestEnded,
    RequestSent,
)
from suno_cover_async.telemetry.attributes import (
    Attributes,
    of_end,
    of_ids,
    of_request,
    without_none,
)


class Spans:
    """The open spans of the clients that share a hook."""

    def __init__(self, tracer: Tracer) -> None:
        """Begin no span yet."""
        self._tracer = tracer
        self._open: dict[str, Span] = {}

    def receive(self, event: Event) -> None:
        """Begin, complete or end the span of an event."""
        match event:
            case OperationStarted():
                name = f"suno_cover.{event.operation}"
                self._begin(event.operation_id, event.parent_id, name, of_ids(event))
            case RequestSent():
                name = f"{event.method} {event.path}".strip()
                parent, about = event.operation_id, of_request(event)
                self._begin(event.request_id, parent, name, about, kind=SpanKind.CLIENT)
            case OperationEnded():
                self._end(event.operation_id, event.error, without_none(error__type=event.error))
            case RequestEnded():
                about = of_end(event) | without_none(suno_cover__code=event.code)
                self._end(event.request_id, event.error, about)
            case CoverSubmitted() | CoverFinished() | ImagesSaved():
                self._complete(event)
            case _:
                pass

    def _begin(
        self,
        own_id: str,
        parent_id: str | None,
        name: str,
        about: Attributes,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        # Without a parent of ours, the span becomes a child of the caller's current one.
        parent = self._open.get(parent_id or "")
        context = None if parent is None else set_span_in_context(parent)
        self._open[own_id] = self._tracer.start_span(
            name, context=context, kind=kind, attributes=about
        )

    def _end(self, own_id: str, error: str | None, about: Attributes) -> None:
        span = self._open.pop(own_id, None)
        if span is None:
            return
        span.set_attributes(about)
        if error is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def _complete(self, event: CoverSubmitted | CoverFinished | ImagesSaved) -> None:
        span = self._open.get(event.operation_id or "")
        if span is not None:
            span.set_attributes(_result_of(event))


def _result_of(event: CoverSubmitted | CoverFinished | ImagesSaved) -> Attributes:
    about = without_none(suno_cover__cover_task_id=event.cover_task_id)
    match event:
        case CoverSubmitted():
            return about | {"suno_cover.adopted": event.adopted}
        case CoverFinished():
            took = without_none(suno_cover__host_time=event.host_seconds)
            return about | {"suno_cover.status": event.status.value} | took
        case ImagesSaved():
            return about | {"suno_cover.files": len(event.files)}

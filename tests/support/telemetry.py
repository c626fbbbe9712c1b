"""OpenTelemetry with everything in memory: the spans and numbers of a run, read afterwards."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from suno_cover_async.telemetry import OpenTelemetry


class Telemetry:
    """A hook, and what it made.

    Attributes:
        hook: For `SunoCoverClient(on_event=...)`.
        tracer: Makes spans of the user.
    """

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer = provider.get_tracer("user")
        self.hook = OpenTelemetry(tracer_provider=provider, meter_provider=meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that ended, in that order."""
        return list(self._exporter.get_finished_spans())

    @property
    def metrics(self) -> list[Any]:
        """The metrics that have a value."""
        data = self._reader.get_metrics_data()
        return [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    @property
    def open_spans(self) -> int:
        """How many spans have not ended."""
        return len(self.hook._spans._open)

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]

    def tree(self) -> Counter[tuple[str, ...]]:
        """Count the spans by their names, each after those of its parents."""
        by_id = {span.context.span_id: span for span in self.spans if span.context}

        def path(span: ReadableSpan) -> tuple[str, ...]:
            parent = by_id.get(span.parent.span_id) if span.parent else None
            return (*(path(parent) if parent else ()), span.name)

        return Counter(map(path, self.spans))

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric."""
        found = [one for one in self.metrics if one.name == name]
        return [point for one in found for point in one.data.data_points]

    def values(self, name: str, *labels: str) -> dict[Any, float]:
        """Return the values of a metric, or a histogram's counts, by the values of some labels."""
        found: defaultdict[Any, float] = defaultdict(float)
        for point in self.points(name):
            about: Mapping[str, Any] = point.attributes or {}
            key = tuple(about.get(label) for label in labels)
            number: Any = getattr(point, "count", None) or getattr(point, "value", 0)
            found[key[0] if len(key) == 1 else key] += number
        return dict(found)

    def everything(self) -> str:
        """Return all that would leave the process, as text."""
        data = self._reader.get_metrics_data()
        spans = [span.to_json() for span in self.spans]
        resources = [repr((span.events, span.links, span.status)) for span in self.spans]
        return "\n".join([*spans, *resources, data.to_json() if data else ""])

"""The hook that turns the events of clients into OpenTelemetry's spans and metrics."""

from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import TracerProvider, get_tracer

from suno_cover_async.common.version import __version__
from suno_cover_async.events import Event
from suno_cover_async.telemetry.metrics import Metrics
from suno_cover_async.telemetry.spans import Spans

_NAME = "suno_cover_async"


class OpenTelemetry:
    """A hook for `SunoCoverClient(on_event=...)`; several clients may share one.

    Spans: `suno_cover.generate`, `.submit`, `.wait`, `.download` and `.catalog`, and one of kind
    CLIENT for each request. The current span of the caller is the parent of the outermost.

    The attributes hold ids, names, counts and seconds: never the key, a callback URL, a title, a
    message of the host, or more of an image's URL than its host.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        """Make the instruments.

        Args:
            tracer_provider: Where spans go; None uses the process's provider, which may be set
                later.
            meter_provider: Where metrics go; None uses the process's provider.
        """
        self._spans = Spans(get_tracer(_NAME, __version__, tracer_provider))
        self._metrics = Metrics(get_meter(_NAME, __version__, meter_provider))

    def __call__(self, event: Event) -> None:
        """Begin, end or complete a span, and measure."""
        self._spans.receive(event)
        self._metrics.receive(event)

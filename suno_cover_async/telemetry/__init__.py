"""OpenTelemetry: spans and metrics from the events of a client.

It owns the names of spans, metrics and attributes, by the semantic conventions of OpenTelemetry.
It must not know the client: it reads events, and calls nothing but OpenTelemetry's API (the extra
`otel`). Open `open_telemetry.py` first.
"""

try:
    from opentelemetry import metrics as _metrics
    from opentelemetry import trace as _trace
except ImportError as _error:
    raise ModuleNotFoundError(
        "OpenTelemetry's API is missing: pip install 'suno-cover-async[otel]'",
        name="opentelemetry",
    ) from _error

from suno_cover_async.telemetry.open_telemetry import OpenTelemetry

del _metrics, _trace

__all__ = ["OpenTelemetry"]

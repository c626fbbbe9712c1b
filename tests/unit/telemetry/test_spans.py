"""Spans from single events, also in an order that a client never makes."""

from suno_cover_async import (
    CoverFinished,
    CoverStatus,
    Event,
    ImagesSaved,
    Operation,
    OperationEnded,
    OperationStarted,
    RequestSent,
)
from tests.support.telemetry import Telemetry


def play(*events: Event) -> Telemetry:
    telemetry = Telemetry()
    for event in events:
        telemetry.hook(event)
    return telemetry


def test_events_of_unknown_operations_do_no_harm() -> None:
    telemetry = play(
        OperationEnded(operation=Operation.WAIT, operation_id="x", duration=1.0),
        ImagesSaved(operation_id="x", cover_task_id="c", files=()),
        RequestSent(
            request_id="r", operation_id="x", method="GET", origin="https://api", path="/p"
        ),
    )

    assert telemetry.spans == []
    assert telemetry.open_spans == 1


def test_a_wait_has_the_status_and_the_hosts_own_time() -> None:
    telemetry = play(
        OperationStarted(operation=Operation.WAIT, operation_id="w"),
        CoverFinished(
            operation_id="w", cover_task_id="c", status=CoverStatus.FAILED, host_seconds=61.5
        ),
        OperationEnded(
            operation=Operation.WAIT, operation_id="w", duration=1.0, error="CoverFailedError"
        ),
    )

    (span,) = telemetry.spans
    assert dict(span.attributes or {}) == {
        "suno_cover.cover_task_id": "c",
        "suno_cover.status": "FAILED",
        "suno_cover.host_time": 61.5,
        "error.type": "CoverFailedError",
    }

"""Metrics: names, units and attributes as the page and the conventions have them."""

import re
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    BreakerChanged,
    CoverFinished,
    CoverStatus,
    CoverSubmitted,
    CreditsRead,
    Event,
    ImagesSaved,
    Operation,
    OperationEnded,
    RequestEnded,
    RequestRetried,
    RequestSent,
    RequestsPaused,
    TrackEnded,
    TrackOutcome,
)
from tests.support.telemetry import Telemetry

PAGE = Path(__file__).parents[3] / "docs/how-to/observe.md"

ROUTE: dict[str, Any] = {"method": "GET", "origin": "https://api.example", "path": "/p"}

EVENTS: list[tuple[str, str, Event]] = [
    ("http.client.request.duration", "s", RequestEnded(request_id="r", duration=1.0, **ROUTE)),
    ("suno_cover.permit.wait_time", "s", RequestSent(request_id="r", waited=1.0, **ROUTE)),
    (
        *("suno_cover.operation.duration", "s"),
        OperationEnded(operation=Operation.WAIT, operation_id="w", duration=1.0),
    ),
    (
        *("suno_cover.request.retries", "{retry}"),
        RequestRetried(attempt=1, delay=1.0, error="E", reason="it failed", **ROUTE),
    ),
    ("suno_cover.pauses", "{pause}", RequestsPaused(seconds=10.0, reason="too often")),
    ("suno_cover.breakers.open", "{breaker}", BreakerChanged(breaker="api", is_open=True)),
    (
        *("suno_cover.covers.submitted", "{cover}"),
        CoverSubmitted(music_task_id="m", cover_task_id="c", adopted=False),
    ),
    (
        *("suno_cover.covers.finished", "{cover}"),
        CoverFinished(cover_task_id="c", status=CoverStatus.SUCCESS),
    ),
    ("suno_cover.covers.saved", "{cover}", ImagesSaved(cover_task_id="c", files=())),
    (
        *("suno_cover.tracks", "{track}"),
        TrackEnded(music_task_id="m", title="a title", outcome=TrackOutcome.LEFT, error="E"),
    ),
    ("suno_cover.credits", "{credit}", CreditsRead(credits=1.0)),
]


@pytest.mark.parametrize(("name", "unit", "event"), EVENTS, ids=lambda one: str(one)[:40])
def test_an_event_is_one_point_of_its_metric_without_ids_or_words(
    name: str, unit: str, event: Event
) -> None:
    telemetry = Telemetry()

    telemetry.hook(event)

    (metric,) = telemetry.metrics
    assert (metric.name, metric.unit) == (name, unit)
    (point,) = metric.data.data_points
    assert not {"m", "c", "r", "w", "a title", "it failed", "too often"} & set(
        (point.attributes or {}).values()
    )


def test_the_buckets_of_requests_are_those_of_the_conventions() -> None:
    telemetry = Telemetry()
    telemetry.hook(EVENTS[0][2])

    (point,) = telemetry.points("http.client.request.duration")
    assert point.explicit_bounds == (
        *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
    )


def test_the_page_names_every_metric_with_its_unit() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| `?([a-z{}]+)`? \|", PAGE.read_text(), re.MULTILINE)

    assert rows == [(name, unit) for name, unit, _ in EVENTS]

"""The values that a hook gets: frozen, small, written as JSON, and documented as they are."""

import inspect
import json
import re
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

from suno_cover_async import CoverStatus, Event, Operation, TrackOutcome

PAGE = Path(__file__).parents[2] / "docs/how-to/observe.md"
KINDS: tuple[type[Any], ...] = get_args(Event)

VALUES: dict[str, Any] = {
    "operation": Operation.SUBMIT,
    "outcome": TrackOutcome.LEFT,
    "status": CoverStatus.SUCCESS,
    "files": (Path("covers/a-1.png"),),
    "attempt": 2,
    "duration": 0.5,
    "delay": 1.0,
    "waited": 0.25,
    "seconds": 10.0,
    "credits": 12.0,
    "host_seconds": 60.0,
    "http_status": 200,
    "code": 200,
    "adopted": True,
    "is_open": False,
}


def made(kind: type[Any]) -> Any:
    return kind(**{field.name: VALUES.get(field.name, "x") for field in attrs.fields(kind)})


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_is_frozen_and_goes_to_json_and_back(kind: type[Any]) -> None:
    event = made(kind)

    assert kind.from_dict(json.loads(json.dumps(event.to_dict()))) == event
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(event, attrs.fields(kind)[0].name, "other")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_an_event_is_documented(kind: type[Any]) -> None:
    text = inspect.getdoc(kind) or ""

    documented = re.findall(r"^    (\w+): ", text, re.MULTILINE)

    assert documented == [field.name for field in attrs.fields(kind)]


def test_the_table_of_the_page_has_every_event_with_its_fields_in_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)

    table = [(name, re.findall(r"`(\w+)`", names)) for name, names in rows if name in _names()]

    assert table == [(kind.__name__, [one.name for one in attrs.fields(kind)]) for kind in KINDS]


def _names() -> set[str]:
    return {kind.__name__ for kind in KINDS}

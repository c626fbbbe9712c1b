"""What a client told its hook, and what the journal says of the same requests."""

from collections import Counter
from typing import Any, TypeVar

from suno_cover_async import (
    Event,
    Operation,
    OperationEnded,
    OperationStarted,
    RequestEnded,
    RequestSent,
)
from suno_cover_async.sandbox import Sandbox

E = TypeVar("E")

Facts = tuple[str, str, int | None, int | None]


class Seen:
    """A hook that keeps every event, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def started(self, operation: Operation) -> list[OperationStarted]:
        """Return the starts of a kind of operation."""
        return [one for one in self.of(OperationStarted) if one.operation is operation]

    def ended(self, operation: Operation) -> list[OperationEnded]:
        """Return the ends of a kind of operation."""
        return [one for one in self.of(OperationEnded) if one.operation is operation]

    def index(self, event: Event) -> int:
        """Return the place of an event."""
        return next(number for number, one in enumerate(self.events) if one is event)

    def check_pairs(self) -> None:
        """Check that all that began has ended, once and later, inside its operation."""
        begun: dict[str, tuple[str | None, int]] = {}
        ended: dict[str, int] = {}
        for number, event in enumerate(self.events):
            match event:
                case OperationStarted():
                    begun[event.operation_id] = (event.parent_id, number)
                case RequestSent():
                    begun[event.request_id] = (event.operation_id, number)
                case OperationEnded():
                    assert event.operation_id not in ended
                    ended[event.operation_id] = number
                case RequestEnded():
                    assert event.request_id not in ended
                    ended[event.request_id] = number
                case _:
                    pass
        assert begun.keys() == ended.keys()
        for own, (parent, number) in begun.items():
            assert number < ended[own]
            assert parent is None or begun[parent][1] < number < ended[parent]


def told(seen: Seen) -> Counter[Facts]:
    """Count the requests that the hook was told of, by method, path, HTTP status and code."""
    return Counter(
        (one.method, one.path, one.http_status, one.code) for one in seen.of(RequestEnded)
    )


def arrived(sandbox: Sandbox) -> Counter[Facts]:
    """Count the requests that arrived, likewise; an image's path is told to nobody."""
    facts: Any = (
        (one.method, "" if one.kind == "image" else one.path, one.status, one.code)
        for one in sandbox.journal.arrivals
    )
    return Counter(facts)

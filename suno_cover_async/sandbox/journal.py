"""Record what truly happened: every request that arrived, every bill, every callback delivery.

It has values and the lists that hold them. It knows no socket and no rule of the API. All times
are seconds of the sandbox's clock, which is `time.monotonic` unless another one was passed.
"""

import attrs

from suno_cover_async.sandbox.scenario import Fault, Kind


@attrs.frozen(kw_only=True)
class Arrival:
    """One request, as the server received it.

    Attributes:
        at: When it arrived.
        method: The HTTP method.
        path: The path, without the query.
        kind: The kind of request.
        music_task_id: The music task that it names; None if it names none.
        cover_task_id: The cover task that it names; for a submit, the cover task that was made, or
            existed already.
        user_agent: The `User-Agent` header.
        key_sent: Whether an `Authorization` header was present, right or wrong; its text is stored
            nowhere.
        admitted: Whether the limit allowed it.
        executed: Whether the API itself processed it (a refusal of its own counts), whatever
            reached the client then.
        fault: The fault that was applied to it.
        status: The HTTP status of the answer; None without an answer (yet).
        code: The `code` in the answer's body, if there was one.
        finished_at: When its cover task finished, if this is a poll and its answer says so.
    """

    at: float
    method: str
    path: str
    kind: Kind
    music_task_id: str | None = None
    cover_task_id: str | None = None
    user_agent: str | None = None
    key_sent: bool = False
    admitted: bool = True
    executed: bool = False
    fault: Fault = Fault.NONE
    status: int | None = None
    code: int | None = None
    finished_at: float | None = None


@attrs.frozen(kw_only=True)
class Bill:
    """One cover that was billed."""

    at: float
    music_task_id: str
    cover_task_id: str
    credits: float


@attrs.frozen(kw_only=True)
class Delivery:
    """One attempt to deliver a callback.

    Attributes:
        at: When it was answered, or given up.
        cover_task_id: The cover task that it names.
        url: The callback URL.
        status: The HTTP status of the answer; None without an answer.
        skipped: Whether nothing was sent, because the address is not this machine's own.
        forged: Whether it was a forged one: made-up images, and a URL that is almost right.
    """

    at: float
    cover_task_id: str
    url: str
    status: int | None = None
    skipped: bool = False
    forged: bool = False


@attrs.frozen
class Journal:
    """Everything that happened, in order of arrival."""

    arrivals: list[Arrival] = attrs.field(factory=list[Arrival])
    bills: list[Bill] = attrs.field(factory=list[Bill])
    callbacks: list[Delivery] = attrs.field(factory=list[Delivery])

    def of(self, kind: Kind) -> list[Arrival]:
        """Return the arrivals of one kind."""
        return [arrival for arrival in self.arrivals if arrival.kind == kind]

    def delays(self) -> dict[str, float]:
        """Return how late the ends of cover tasks were noticed, in seconds, by cover task id.

        That is the time from the end of a cover task to the arrival of the first poll whose answer
        says so; the answer's travel time is not included.
        """
        noticed = dict[str, float]()
        for one in self.arrivals:
            if one.cover_task_id is not None and one.finished_at is not None:
                noticed.setdefault(one.cover_task_id, max(one.at - one.finished_at, 0.0))
        return noticed

"""The sandbox's truth: every request that arrived, every bill, every delivery of a callback.

Values and the lists that hold them. It knows no socket and no rule of the API; all moments are
seconds of the sandbox's clock, `time.monotonic` unless it was given another.
"""

import attrs

from suno_cover_async.sandbox.scenario import Fault, Kind


@attrs.frozen(kw_only=True)
class Arrival:
    """One request, as the server saw it.

    Attributes:
        at: When it arrived.
        method: The HTTP method.
        path: The path, without the query.
        kind: What it was.
        music_task_id: The music task it was about, where it said so.
        cover_task_id: The cover task it was about, where it said so; for a submit, the cover task
            that was made or had been made already.
        user_agent: The `User-Agent` header.
        key_sent: An `Authorization` header was present, right or wrong; its text is kept nowhere.
        admitted: The limit had room for it.
        executed: The API itself dealt with it (a refusal of its own counts), whatever reached the
            client then.
        fault: The fault that struck it.
        status: The HTTP status answered; None when nothing was (yet).
        code: The `code` in the body answered, where there was one.
        finished_at: When its cover task had finished, for a look that was answered so.
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
    """One cover, paid for."""

    at: float
    music_task_id: str
    cover_task_id: str
    credits: float


@attrs.frozen(kw_only=True)
class Delivery:
    """One attempt to deliver a callback.

    Attributes:
        at: When it was answered, or given up.
        cover_task_id: The cover task it told of.
        url: Where to.
        status: The HTTP status answered; None when nothing was.
        skipped: Never contacted, because the address is not this machine's own.
        forged: It was not the API's: made-up images, and a URL that is almost right.
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
        """Choose the arrivals of one kind."""
        return [arrival for arrival in self.arrivals if arrival.kind == kind]

    def delays(self) -> dict[str, float]:
        """Tell how late the ends of cover tasks were noticed, by cover task id.

        That is the time from the end to the arrival of the first look that was answered so, in
        seconds; how long the answer travels is not in it.
        """
        noticed = dict[str, float]()
        for one in self.arrivals:
            if one.cover_task_id is not None and one.finished_at is not None:
                noticed.setdefault(one.cover_task_id, max(one.at - one.finished_at, 0.0))
        return noticed

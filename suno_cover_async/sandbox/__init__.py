"""The Cover API on this machine's loopback: for tests, for users' own tests, and for trying out.

It bills made-up credits, draws real pictures, and breaks as the real one may break.
"""

from suno_cover_async.protocol.fields import Times
from suno_cover_async.sandbox.durations import Lognormal
from suno_cover_async.sandbox.journal import Arrival, Bill, Delivery, Journal
from suno_cover_async.sandbox.proxy.faults import Wire, WireFault
from suno_cover_async.sandbox.proxy.server import Exchange, FaultProxy
from suno_cover_async.sandbox.scenario import DuplicateId, Fault, Kind, Reply, Scenario
from suno_cover_async.sandbox.server import Sandbox

__all__ = [
    "Arrival",
    "Bill",
    "Delivery",
    "DuplicateId",
    "Exchange",
    "Fault",
    "FaultProxy",
    "Journal",
    "Kind",
    "Lognormal",
    "Reply",
    "Sandbox",
    "Scenario",
    "Times",
    "Wire",
    "WireFault",
]

"""Simulate the Cover API on loopback: for our tests, for users' own tests, and for trying out.

It bills made-up credits, draws real images, and fails as the real API may fail. It shares the
protocol's codec with the client, and knows nothing of the client itself. Open `server.py` first.
"""

from suno_cover_async.protocol.values import Times
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

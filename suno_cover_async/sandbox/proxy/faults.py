"""Define what goes wrong below HTTP on the way to the host, as small values.

It knows which faults there are and how often they occur; `server.py` applies them to a connection.
"""

import enum
import random

import attrs

from suno_cover_async.sandbox import validators
from suno_cover_async.sandbox.scenario import draw


class WireFault(enum.Enum):
    """One thing that goes wrong with one exchange: a request and its answer."""

    NONE = "none"
    REFUSED = "refused"  # as reset before; then nothing listens for a moment
    RESET_BEFORE = "reset before"  # nothing of the request is passed on
    RESET_IN_REQUEST = "reset in the request"  # a part of it is
    RESET_AFTER_REQUEST = "reset after the request"  # it is executed, its answer dropped
    RESET_IN_ANSWER = "reset in the answer"  # a part of it is passed on
    CUT_IN_REQUEST = "cut in the request"  # a part of it is passed on, then both ends are closed
    CUT_IN_ANSWER = "cut in the answer"
    STALLED_REQUEST = "stalled request"  # the rest of it comes late, even if the client has left
    STALLED_ANSWER = "stalled answer"
    TRICKLED = "trickled"  # byte by byte, both ways
    GARBAGE = "garbage"  # random bytes in place of the answer
    GARBAGE_BEFORE = "garbage before"  # random bytes before its status line
    GARBAGE_INSIDE = "garbage inside"  # random bytes in place of its end
    ECHOED = "echoed"  # the whole answer, and a moment later once more


@attrs.frozen(kw_only=True)
class Wire:
    """How the connections behave. The default has no faults.

    A value out of bounds raises `ValueError`, which names the field.

    Attributes:
        refused: Share of exchanges whose connection is reset before anything is passed on; then
            nothing listens for `refusal` seconds. This and all shares: 0 to 1, together at most 1;
            an exchange has at most one fault.
        resets: Share with a TCP reset, equally often before the request, in it, after it and in
            the answer.
        cuts: Share whose connection is closed in the middle, as often in the request as in the
            answer.
        stalls: Share of which only a part is passed on for `stall` seconds, as often of the
            request as of the answer.
        trickles: Share passed on byte by byte, both ways; a long message, in a thousand pieces.
        garbage: Share answered with random bytes, equally often in place of the answer, before its
            status line, and in place of its end.
        echoes: Share whose answer is sent again `echo` seconds later, unless the next request has
            arrived by then.
        refusal: Seconds, at least 0.
        stall: Seconds, at least 0; None: as long as the client waits. Then the rest is passed on:
            that of a request even if its client has left.
        echo: Seconds, at least 0; at 0 both answers are sent in one piece.
        seed: The seed of all random choices.
    """

    refused: float = attrs.field(default=0.0, validator=validators.share)
    resets: float = attrs.field(default=0.0, validator=validators.share)
    cuts: float = attrs.field(default=0.0, validator=validators.share)
    stalls: float = attrs.field(default=0.0, validator=validators.share)
    trickles: float = attrs.field(default=0.0, validator=validators.share)
    garbage: float = attrs.field(default=0.0, validator=validators.share)
    echoes: float = attrs.field(default=0.0, validator=validators.share)
    refusal: float = attrs.field(default=0.02, validator=validators.amount)
    stall: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(validators.amount)
    )
    echo: float = attrs.field(default=0.01, validator=validators.amount)
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        """Check that the shares add up to at most 1."""
        validators.fit("refused, resets, ... echoes", self.shares)

    @property
    def shares(self) -> tuple[tuple[WireFault, float], ...]:
        """Every fault, with its share of exchanges."""
        return (
            (WireFault.REFUSED, self.refused),
            (WireFault.RESET_BEFORE, self.resets / 4),
            (WireFault.RESET_IN_REQUEST, self.resets / 4),
            (WireFault.RESET_AFTER_REQUEST, self.resets / 4),
            (WireFault.RESET_IN_ANSWER, self.resets / 4),
            (WireFault.CUT_IN_REQUEST, self.cuts / 2),
            (WireFault.CUT_IN_ANSWER, self.cuts / 2),
            (WireFault.STALLED_REQUEST, self.stalls / 2),
            (WireFault.STALLED_ANSWER, self.stalls / 2),
            (WireFault.TRICKLED, self.trickles),
            (WireFault.GARBAGE, self.garbage / 3),
            (WireFault.GARBAGE_BEFORE, self.garbage / 3),
            (WireFault.GARBAGE_INSIDE, self.garbage / 3),
            (WireFault.ECHOED, self.echoes),
        )

    def fault(self, dice: random.Random) -> WireFault:
        """Draw the fault of an exchange."""
        return draw(self.shares, dice) or WireFault.NONE

"""What goes wrong on the way to the host, below HTTP: small values that compose.

It knows which faults there are and how often they strike; how they are done to a connection is
`server.py`'s to know.
"""

import enum
import random

import attrs

from suno_cover_async.sandbox import validators
from suno_cover_async.sandbox.scenario import draw


class WireFault(enum.Enum):
    """One thing that goes wrong with one exchange: a request, and the answer to it."""

    NONE = "none"
    REFUSED = "refused"  # as reset before; then nobody listens for a moment
    RESET_BEFORE = "reset before"  # nothing of the request is passed on
    RESET_IN_REQUEST = "reset in the request"  # a part of it is
    RESET_AFTER_REQUEST = "reset after the request"  # it is executed, its answer dropped
    RESET_IN_ANSWER = "reset in the answer"  # a part of it is passed on
    CUT_IN_REQUEST = "cut in the request"  # a part of it is passed on, then both are told the end
    CUT_IN_ANSWER = "cut in the answer"
    STALLED_REQUEST = "stalled request"  # the rest of it comes late, even when nobody waits
    STALLED_ANSWER = "stalled answer"
    TRICKLED = "trickled"  # byte by byte, both ways
    GARBAGE = "garbage"  # random bytes in place of the answer
    GARBAGE_BEFORE = "garbage before"  # random bytes before its status line
    GARBAGE_INSIDE = "garbage inside"  # random bytes in place of its end
    ECHOED = "echoed"  # the whole answer, and a moment later once more


@attrs.frozen(kw_only=True)
class Wire:
    """How the wire behaves. The default is a good one.

    A value out of bounds raises `ValueError`, naming the field.

    Attributes:
        refused: Share of exchanges whose connection is reset before anything is passed on; then
            nobody listens for `refusal` seconds. This and all shares: 0 to 1, together at most 1;
            one exchange suffers one fault at most.
        resets: Share that meets a TCP reset, equally often before the request, in it, after it and
            in the answer.
        cuts: Share whose connection ends in the middle, as often in the request as in the answer.
        stalls: Share of which only a part is passed on for `stall` seconds, as often of the
            request as of the answer.
        trickles: Share passed on byte by byte, both ways; what is long, in a thousand pieces.
        garbage: Share answered with random bytes, equally often in place of the answer, before its
            status line, and in place of its end.
        echoes: Share whose answer comes once more `echo` seconds later, unless the next request
            is there by then.
        refusal: Seconds, at least 0.
        stall: Seconds, at least 0; None: as long as the client waits. What was held back is passed
            on then: a request even when its client has left.
        echo: Seconds, at least 0; at 0 both come in one piece.
        seed: Of all chance here.
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
        """Check that the faults leave room for each other."""
        validators.fit("refused, resets, ... echoes", self.shares)

    @property
    def shares(self) -> tuple[tuple[WireFault, float], ...]:
        """Every fault, with the share of exchanges that it strikes."""
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
        """Draw the fault that strikes an exchange."""
        return draw(self.shares, dice) or WireFault.NONE

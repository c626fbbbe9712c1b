"""Define how the simulated host behaves, and what goes wrong there, as small values.

It knows which faults of requests and which mishaps of callbacks there are, and how often they
occur. `server.py` applies them to sockets, `callback_sender.py` to callbacks.
"""

import enum
import random
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, get_args

import attrs

from suno_cover_async.common.validation import checked, count, positive
from suno_cover_async.policies import RateLimit
from suno_cover_async.protocol.values import Times
from suno_cover_async.sandbox import durations, validators

T = TypeVar("T")

Kind = Literal["submit", "details", "credits", "music", "image", "other"]
"""The kind of a request; `other` is every request to an unknown route."""

API_KINDS: frozenset[Kind] = frozenset({"submit", "details", "credits", "music"})
"""The kinds that need the key and, by default, count against the limit."""

IMAGE_LIFE = 14 * 86_400.0  # documented: images are kept for 14 days

_STRIKEABLE: frozenset[Kind] = frozenset({*API_KINDS, "image"})
_LIMIT = RateLimit(calls=20, seconds=10)  # documented


class Fault(enum.Enum):
    """One thing that goes wrong with one request."""

    NONE = "none"
    LOST_REQUEST = "lost request"  # closed before anything is executed
    LOST_ANSWER = "lost answer"  # executed, closed without an answer
    RESET = "reset"  # executed, then a TCP reset
    TRUNCATED = "truncated"  # executed, closed in the middle of the answer
    GARBAGE = "garbage"  # executed, HTTP 200 with random bytes
    GATEWAY = "gateway"  # a gateway's HTML page, HTTP 502, nothing executed
    GATEWAY_AFTER = "gateway after"  # the same page, after it was executed
    PAGE = "page"  # executed, HTTP 200 with an HTML page
    MAINTENANCE = "maintenance"  # 455, nothing executed
    SERVER_ERROR = "server error"  # 500, nothing executed
    SERVER_ERROR_AFTER = "server error after"  # 500, after it was executed
    TOO_OFTEN = "too often"  # 429, nothing executed
    SLOW = "slow"  # executed and answered, late

    @property
    def executes(self) -> bool:
        """Whether the API executes the request despite the fault."""
        return self not in _BEFORE


_BEFORE = frozenset(
    {
        Fault.LOST_REQUEST,
        Fault.GATEWAY,
        Fault.MAINTENANCE,
        Fault.SERVER_ERROR,
        Fault.TOO_OFTEN,
    }
)


class Mishap(enum.Enum):
    """One thing that goes wrong with one callback."""

    NONE = "none"
    LOST = "lost"  # never sent
    DOUBLED = "doubled"  # one copy more
    EARLY = "early"  # delivered before the submit is answered
    LATE = "late"  # sent long after the cover finished
    FORGED = "forged"  # a third party's comes first, to a URL that is almost right


@attrs.frozen(kw_only=True)
class Reply:
    """An answer, to be sent as it is.

    Attributes:
        status: The HTTP status.
        body: The body's bytes.
        headers: Headers of the answer, including `Content-Type`.
        code: The body's `code`, for the journal.
        executes: Whether the API executes the request before this reply replaces its own answer.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    code: int | None = None
    executes: bool = False


class DuplicateId(enum.Enum):
    """The cover task id that the refusal of a duplicate names."""

    RIGHT = "right"
    ABSENT = "absent"
    WRONG = "wrong"  # a cover task that belongs to another music task


def _kinds(kinds: Iterable[Kind]) -> frozenset[Kind]:
    return frozenset(kinds)


def _limited(_: object, attribute: "attrs.Attribute[Any]", value: frozenset[Kind]) -> None:
    if not value <= API_KINDS:
        names = ", ".join(kind for kind in get_args(Kind) if kind in API_KINDS)
        raise ValueError(f"{attribute.name} may hold {names}, not {sorted(value - API_KINDS)}")


def _known(_: object, attribute: "attrs.Attribute[Any]", value: frozenset[Kind]) -> None:
    if not value <= _STRIKEABLE:
        names = ", ".join(kind for kind in get_args(Kind) if kind in _STRIKEABLE)
        raise ValueError(f"{attribute.name} may hold {names}, not {sorted(value - _STRIKEABLE)}")


@attrs.frozen(kw_only=True)
class Scenario:
    """How the sandbox behaves. The defaults are a healthy host that draws quickly.

    Durations are seconds. `scale` divides the durations of the world (`seconds`, `callback_pause`,
    `late_seconds`, the 14 days of images, the limit's window), so that a demo can run 100 times as
    fast. `delay` and `slow_seconds` belong to the network and are not divided. Times in answers are
    of the real clock, so `completeTime - createTime` is the duration that the client experiences,
    already scaled.

    A value out of bounds raises `ValueError`, which names the field.

    Attributes:
        seconds: How long a cover takes, at least 0; or (lowest, highest), drawn evenly; or a
            `Lognormal` distribution.
        polls: A cover finishes at this poll of its details, at least 1, whatever `seconds` is;
            None: `seconds` decides.
        scale: Above 0.
        null_polls: How many first polls of a new cover get `data: null`; they do not count as
            `polls`. At least 0.
        imageless_polls: How many first polls of a success get no images. At least 0.
        failures: Share of covers that fail, 0 to 1; `add_music(fails=...)` overrides it.
        credits: The balance at first, at least 0.
        price: Credits per cover, at least 0.
        rate_limit: The limit on arrivals of API requests, in any window; None: no limit. A refused
            request does not count in the window; a lost one does.
        counted: Which requests count against `rate_limit`, any of submit, details, credits, music;
            the others are never refused by it. (Whether polls count is documented nowhere.)
        too_often_code: The code for calling too often: 405, 429 or 430.
        no_credits_code: The code when the balance is too small: 402 or 429.
        retry_after: The exact text of the `Retry-After` header of such refusals; None: no header.
        http_errors: Whether a refusal's code is the HTTP status too; else every refusal is an HTTP
            200.
        times: The format of times in answers.
        duplicate_code: The code for a second cover of a music task: 400 or 409.
        duplicate_id: The cover task id that this refusal names.
        gone_status: The HTTP status of an image past its 14 days: 403, 404 or 410.
        image_size: Pixels of an image's side, 16 to 2048.
        hmac_key: The key that signs callbacks, as kie.ai does; None: no signature.
        callback_copies: How often each callback is delivered, at least 1.
        callback_pause: Seconds between the tries of a delivery that was not answered with 200.
        lost_callbacks: Share of callbacks that are never sent. This and the four shares below: 0
            to 1, together at most 1; a callback has at most one mishap.
        doubled_callbacks: Share delivered in one copy more than `callback_copies`.
        early_callbacks: Share delivered before the submit is answered: the cover is finished at
            once, whatever `seconds` and `polls` are, and the answer (or what a fault makes of it)
            waits until every copy was tried once, at most 15 s.
        late_callbacks: Share sent `late_seconds` after their cover finished.
        forged_callbacks: Share preceded by a forged one, tried once: of the same cover task, with
            made-up images and no valid signature, to a URL with one wrong character in the last
            segment of its path (`/forged` if it has no path).
        late_seconds: At least 0; `scale` divides it.
        lost_requests: Share of requests cut off before they are executed. This and all shares
            below: 0 to 1, together at most 1; a request has at most one fault.
        lost_answers: Share executed and cut off without an answer.
        resets: Share executed and then reset (TCP RST).
        truncated: Share executed and cut off in the middle of the answer.
        garbage: Share executed and answered HTTP 200 with random bytes.
        html: Share answered with HTML: HTTP 502 before or after it was executed, or HTTP 200.
        maintenance: Share refused with 455.
        server_errors: Share answered 500, half of them after they were executed.
        too_often: Share refused for calling too often, although the limit was not reached.
        slow: Share answered `slow_seconds` late.
        slow_seconds: At least 0.
        faults_on: The kinds to which the shares apply: any of submit, details, credits, music,
            image.
        delay: Travel time in seconds (lowest, highest) of a request, and again of its answer;
            None: none.
        seed: The seed of all random choices. The same seed gives the same ids, images and draws.
    """

    seconds: durations.Seconds = attrs.field(default=0.05, validator=durations.check)
    polls: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(checked(count))
    )
    scale: float = attrs.field(default=1.0, validator=checked(positive))
    null_polls: int = attrs.field(default=0, validator=validators.whole)
    imageless_polls: int = attrs.field(default=0, validator=validators.whole)
    failures: float = attrs.field(default=0.0, validator=validators.share)
    credits: float = attrs.field(default=1_000_000.0, validator=validators.amount)
    price: float = attrs.field(default=1.0, validator=validators.amount)
    rate_limit: RateLimit | None = _LIMIT
    counted: frozenset[Kind] = attrs.field(default=API_KINDS, converter=_kinds, validator=_limited)
    too_often_code: int = attrs.field(default=429, validator=attrs.validators.in_({405, 429, 430}))
    no_credits_code: int = attrs.field(default=402, validator=attrs.validators.in_({402, 429}))
    retry_after: str | None = attrs.field(default=None, validator=validators.header)
    http_errors: bool = False
    times: Times = Times.EPOCH_MS
    duplicate_code: int = attrs.field(default=400, validator=attrs.validators.in_({400, 409}))
    duplicate_id: DuplicateId = DuplicateId.RIGHT
    gone_status: int = attrs.field(default=404, validator=attrs.validators.in_({403, 404, 410}))
    image_size: int = attrs.field(default=512, validator=validators.pixels)
    hmac_key: str | None = attrs.field(default=None, repr=False)
    callback_copies: int = attrs.field(default=1, validator=checked(count))
    callback_pause: float = attrs.field(default=1.0, validator=validators.amount)
    lost_callbacks: float = attrs.field(default=0.0, validator=validators.share)
    doubled_callbacks: float = attrs.field(default=0.0, validator=validators.share)
    early_callbacks: float = attrs.field(default=0.0, validator=validators.share)
    late_callbacks: float = attrs.field(default=0.0, validator=validators.share)
    forged_callbacks: float = attrs.field(default=0.0, validator=validators.share)
    late_seconds: float = attrs.field(default=300.0, validator=validators.amount)
    lost_requests: float = attrs.field(default=0.0, validator=validators.share)
    lost_answers: float = attrs.field(default=0.0, validator=validators.share)
    resets: float = attrs.field(default=0.0, validator=validators.share)
    truncated: float = attrs.field(default=0.0, validator=validators.share)
    garbage: float = attrs.field(default=0.0, validator=validators.share)
    html: float = attrs.field(default=0.0, validator=validators.share)
    maintenance: float = attrs.field(default=0.0, validator=validators.share)
    server_errors: float = attrs.field(default=0.0, validator=validators.share)
    too_often: float = attrs.field(default=0.0, validator=validators.share)
    slow: float = attrs.field(default=0.0, validator=validators.share)
    slow_seconds: float = attrs.field(default=1.0, validator=validators.amount)
    faults_on: frozenset[Kind] = attrs.field(default=API_KINDS, converter=_kinds, validator=_known)
    delay: tuple[float, float] | None = attrs.field(default=None, validator=validators.span)
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        """Check that the shares of faults add up to at most 1, and those of mishaps too."""
        validators.fit("lost_requests, lost_answers, ... slow", self.shares)
        validators.fit("lost_callbacks, ... forged_callbacks", self.callback_shares)

    @property
    def shares(self) -> tuple[tuple[Fault, float], ...]:
        """Every fault, with its share of requests."""
        return (
            (Fault.LOST_REQUEST, self.lost_requests),
            (Fault.LOST_ANSWER, self.lost_answers),
            (Fault.RESET, self.resets),
            (Fault.TRUNCATED, self.truncated),
            (Fault.GARBAGE, self.garbage),
            (Fault.GATEWAY, self.html / 3),
            (Fault.GATEWAY_AFTER, self.html / 3),
            (Fault.PAGE, self.html / 3),
            (Fault.MAINTENANCE, self.maintenance),
            (Fault.SERVER_ERROR, self.server_errors / 2),
            (Fault.SERVER_ERROR_AFTER, self.server_errors / 2),
            (Fault.TOO_OFTEN, self.too_often),
            (Fault.SLOW, self.slow),
        )

    @property
    def callback_shares(self) -> tuple[tuple[Mishap, float], ...]:
        """Every mishap, with its share of callbacks."""
        return (
            (Mishap.LOST, self.lost_callbacks),
            (Mishap.DOUBLED, self.doubled_callbacks),
            (Mishap.EARLY, self.early_callbacks),
            (Mishap.LATE, self.late_callbacks),
            (Mishap.FORGED, self.forged_callbacks),
        )

    @property
    def window(self) -> RateLimit | None:
        """The rate limit, at this scenario's scale."""
        if self.rate_limit is None or self.scale == 1:
            return self.rate_limit
        return RateLimit(calls=self.rate_limit.calls, seconds=self.rate_limit.seconds / self.scale)

    @property
    def image_life(self) -> float:
        """Seconds that images are kept, at this scenario's scale."""
        return IMAGE_LIFE / self.scale

    @property
    def lateness(self) -> float:
        """Seconds that a late callback is late, at this scenario's scale."""
        return self.late_seconds / self.scale

    def duration(self, dice: random.Random) -> float:
        """Draw how many seconds one cover takes, at this scenario's scale."""
        return durations.draw(self.seconds, dice) / self.scale

    def fault(self, kind: Kind, dice: random.Random) -> Fault:
        """Draw the fault of a request."""
        if kind not in self.faults_on:
            return Fault.NONE
        return draw(self.shares, dice) or Fault.NONE

    def mishap(self, dice: random.Random) -> Mishap:
        """Draw the mishap of a callback; draw no random number if all shares are 0."""
        if not any(share for _, share in self.callback_shares):
            return Mishap.NONE
        return draw(self.callback_shares, dice) or Mishap.NONE


def draw(shares: Iterable[tuple[T, float]], dice: random.Random) -> T | None:
    """Draw one of several values by their shares; None if the draw hits no share."""
    roll = dice.random()
    for what, share in shares:
        if roll < share:
            return what
        roll -= share
    return None

"""How the host of the model treats requests: faults, odd answers, and settings drawn at random."""

import random
from typing import Any

from hypothesis import strategies as st

from suno_cover_async.protocol import codec
from suno_cover_async.sandbox import DuplicateId, Fault, Reply

RETRY_AFTER = [None, None, "3", "90", "86400000", "-1", "Wed, 21 Oct 2199 07:28:00 GMT"]
REFUSALS = [
    Reply(
        body=codec.encode_answer(429, "Your call frequency is too high."),
        headers={"Retry-After": value} if value else {},
        code=429,
    )
    for value in RETRY_AFTER
]
UNREADABLE = [
    Reply(status=204, executes=True),
    Reply(status=201, body=b"created", executes=True),
    Reply(body=b'{"code":200,"msg":"success","data":null}', executes=True),
    Reply(body=b'{"code":200,"msg":"success","data":{"taskId":5}}', executes=True),
    Reply(status=504, body=b"<html>Gateway time-out</html>", executes=True),
    Reply(body=b'{"code":408,"msg":"upstream"}', executes=True),
    Reply(status=404, body=b"404 page not found\n", executes=True),  # of a gateway, as the next
    Reply(status=429, body=b"error code: 1015", executes=True),
]
faults = st.sampled_from([*Fault, *Fault, *REFUSALS])
numbers = st.integers(0, 2**32 - 1)
fault_scripts = st.one_of(
    numbers.map(
        lambda number: random.Random(number).choices([*Fault, *REFUSALS, *UNREADABLE], k=3)
    ),
    st.lists(st.one_of(faults, faults, st.sampled_from(UNREADABLE)), max_size=5),
    st.sampled_from(  # longer than any caller waits
        [[REFUSALS[0]] * 25, [Fault.LOST_ANSWER] * 9, [Fault.SERVER_ERROR] * 9]
    ),
)
FOUL = {  # shares of requests; most are executed all the same
    "lost_requests": 0.04,
    "lost_answers": 0.1,
    "resets": 0.06,
    "truncated": 0.04,
    "garbage": 0.02,
    "html": 0.06,
    "server_errors": 0.08,
    "maintenance": 0.02,
    "too_often": 0.04,
    "slow": 0.06,
    "faults_on": {"submit", "details", "image"},
}
MISHAPS = ("lost", "doubled", "early", "late", "forged")


def host_settings(dice: random.Random) -> dict[str, Any]:
    """Draw at random how the host behaves for a while: no value is simpler than another."""
    return {
        "duplicate_id": dice.choice([DuplicateId.RIGHT, DuplicateId.RIGHT, *DuplicateId]),
        "duplicate_code": dice.choice([400, 409]),
        "slow_seconds": dice.choice([5.0, 29.0, 45.0]),
        "null_polls": dice.choice([0, 0, 1, 3]),
        "imageless_polls": dice.choice([0, 0, 2, 5]),
        "http_errors": dice.choice([True, False]),
        "credits": dice.choice([1e6, 1e6, 0.0]),
        **{f"{name}_callbacks": 0.18 for name in MISHAPS},
        **(FOUL if dice.random() < 0.6 else dict.fromkeys(FOUL, 0) | {"faults_on": ()}),
    }

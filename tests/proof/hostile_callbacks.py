"""Does any hostile callback cause anything but a refusal, or take more than 50 ms?

Damaged copies of valid inputs, inputs generated from a grammar, and noise go to both verifiers, to
the body reader and to the receiver above them. A finding is an input that raises anything but
`CallbackRefusedError`, that is accepted without a valid signature, that is refused though it is
valid, or that takes too long. What is valid is decided here, without the code under attack: by what
was minted and signed before the attack began, and by a second reader of bodies. The bias: this
reader rests on Python's `json` too.

An input depends on the seed and its index alone, so `--first INDEX --count 1` brings one back (but
for the receiver's signatures, which are made as of now, since it reads the clock).
"""

import argparse
import json
import platform
import re
import string
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain
from random import Random
from typing import Any
from urllib.parse import quote

import attrs

from suno_cover_async import CallbackReceiver, CallbackRefusedError, __version__
from suno_cover_async.protocol import codec, signatures

CEILING = 0.05
"""Seconds of CPU that one input may take: 64 KiB of well-formed JSON take about 10 ms."""

NOW = 1_760_512_082
WINDOW = 300
_LARGE = 65_536
_MOST_LEVELS = 100
_SHOWN = 20  # findings printed in full

_KEYS = signatures.Secrets(["the newest secret", "the one before"]).check("secret")
_NEW_KEYS = signatures.Secrets("the newest secret").check("secret")
_OLD_KEYS = signatures.Secrets("the one before").check("secret")
_OTHER_KEYS = signatures.Secrets("another key").check("secret")
_HMAC_KEYS = [b"test-webhook-key", b"the key before"]
_HMAC = signatures.Secrets(_HMAC_KEYS).check("hmac_key")

IDS = (
    "21aee3c3c2a01fa5e030b3799fa4dd56",
    "73d6128b3523a0079df10da9471017c8",
    "a",
    "a.1",
    "../..?x=%2F#",
    "0",
    '"}{\\',
    "~" * 128,
)
MINTED = {signatures.mint(keys, one): one for keys in (_KEYS, _OLD_KEYS) for one in IDS}
SIGNED = {
    (str(NOW + late), signatures.sign(key, one, NOW + late), one): one
    if abs(late) <= WINDOW
    else None
    for late in (-86_400, -301, -300, -1, 0, 300, 301)
    for one in IDS
    for key in _HMAC_KEYS
}
BODIES = {
    written.encode(): one
    for one in IDS
    for code, images in ((200, ["https://x.example/\u00e9.png"] * 2), (501, None))
    for data in ({"taskId": one}, {"task_id": one}, {"taskId": one, "task_id": one})
    for body in ({"code": code, "msg": "f\u00fcr", "data": data | {"images": images}},)
    for written in (json.dumps(body), json.dumps(body, indent=1, ensure_ascii=False))
}
_STAMP, _SIGNATURE = "x-webhook-timestamp", "x-webhook-signature"
_PATHS, _TRIPLES, _VALID_BODIES = tuple(MINTED), tuple(SIGNED), tuple(BODIES)


@attrs.frozen(kw_only=True)
class Target:
    """What is attacked: where its inputs come from, and what each of them should be read as."""

    name: str
    aim: Callable[[Random], Any]
    feed: Callable[[Any], object]
    valid: Callable[[Any], object]  # None: to be refused


@attrs.frozen(kw_only=True)
class Finding:
    """An input that got something else than it should have."""

    seed: int
    index: int
    target: str
    what: str
    given: str


@attrs.define(kw_only=True)
class Report:
    """How an attack went."""

    seed: int
    first: int
    count: int
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    slowest: str = ""
    by_target: Counter[str] = attrs.field(factory=Counter[str])
    findings: list[Finding] = attrs.field(factory=list[Finding])


def attack(count: int, *, seed: int = 0, first: int = 0, ceiling: float = CEILING) -> Report:
    """Send this many hostile inputs, the targets in turn."""
    report = Report(seed=seed, first=first, count=count)
    began = time.monotonic()
    for index in range(first, first + count):
        target = TARGETS[index % len(TARGETS)]
        given = target.aim(Random(f"{seed}:{index}"))
        outcome, wrong, took = _judged(target, given, ceiling, report.slowest_seconds)
        report.by_target[f"{target.name}: {outcome}"] += 1
        if took > report.slowest_seconds:
            report.slowest_seconds = took
            report.slowest = f"{target.name}, seed {seed}, index {index}: {shown(given)}"
        if wrong:
            report.findings.append(
                Finding(seed=seed, index=index, target=target.name, what=wrong, given=shown(given))
            )
    report.seconds = time.monotonic() - began
    return report


def _judged(
    target: Target, given: object, ceiling: float, slowest: float
) -> tuple[str, str, float]:
    """Send one input; how it ended, what is wrong with that if anything, and its CPU seconds."""
    found, error, took = run(target, given)
    for _ in range(2):  # an input that is slow stays slow; a machine that is busy does not
        if took > slowest:
            took = min(took, run(target, given)[2])
    outcome = "refused" if error is not None else "believed"
    if error is not None and type(error) is not CallbackRefusedError:
        return "broken", f"raised {type(error).__name__}: {shown(error)}", took
    if took > ceiling:
        return outcome, f"took {took * 1000:.0f} ms", took
    valid = target.valid(given)
    if found != valid:
        return outcome, f"read as {shown(found)} instead of {shown(valid)}", took
    return outcome, "", took


def run(target: Target, given: object) -> tuple[object, BaseException | None, float]:
    """Send one input: what was read, or what was raised, and the CPU seconds it took."""
    found: object = None
    error: BaseException | None = None
    began = time.thread_time()
    try:
        found = target.feed(given)
    except Exception as raised:  # noqa: BLE001 - which one it is, is the question
        error = raised
    return found, error, time.thread_time() - began


def shown(value: object) -> str:
    """Write the beginning of any value in ASCII."""
    return f"{value!a:.200}"


# What is wrecked


def _tokens(text: str) -> list[str]:
    return text.split(" ")


_PIECES = [
    *string.printable,
    *_tokens('" "" { } [ ] : , null true NaN -Infinity 1e999 -0 \\ \\u0000 \\ud800 \\u0074 data'),
    *_tokens(
        'taskId task_id {"a":1,"a":2} "data":null, "taskId":"x", "task_id":5, %2F %00 .. = =='
    ),
    *("\x00", "\x7f", "\x80", "\xa0", "\xad", "\xc0\xaf", "\xed\xa0\x80", "\xef\xbb\xbf", "\xff"),
    *("\u0131", "\u017f", "\u212a", "\u0661", "\uff11", "\u200b", "\u2028", "\ud800", "\U0001d7cf"),
]
_DIGITS = [{48 + digit: zero + digit for digit in range(10)} for zero in (0xFF10, 0x0660)]
_ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
_AROUND = (
    *(
        ("", after)
        for after in ("\n", " ", "\x00", ".0", "=", "==", "/", ",", "?a=/b", "A" * _LARGE)
    ),
    *((before, "") for before in (" ", "+", "-", "0", "0x", "\ufeff", "sha256=", "/" * _LARGE)),
)
_INSTEAD = ("", "9" * 10_000, "\ud800", None, NOW, 1.5, b"", ["a"], {"a": "b"}, object)
_TRICKS: list[Callable[[str], object]] = [
    *(lambda text, b=before, a=after: f"{b}{text}{a}" for before, after in _AROUND),
    *(lambda _, other=other: other for other in _INSTEAD),
    *(lambda text, digits=digits: text.translate(digits) for digits in _DIGITS),
    lambda text: text.translate(str.maketrans("+/", "-_")),
    lambda text: text.translate(str.maketrans("-_", "+/")),
    lambda text: re.sub(r"[A-Za-z0-9+/](?==*$)", _sibling, text),
    lambda text: text[:1] + "_" + text[1:],
    lambda text: text.rstrip("="),
    lambda text: text * 2,
    lambda text: text[:-1],
    lambda text: text[1:],
    lambda text: text[: len(text) // 2],
    lambda text: text[::-1],
    lambda text: quote(text, safe=""),
    lambda text: [text],
    lambda text: text.encode("utf-8", "replace"),
    str.upper,
    str.swapcase,
]


def _sibling(last: re.Match[str]) -> str:
    """Write the same bytes another way: the bits that base64 has to spare, set."""
    return _ALPHABET[_ALPHABET.index(last[0]) ^ 1]


def _wrecked(rng: Random, text: str) -> str:
    """Replace a few short stretches by something odd, or by another stretch of the same text."""
    for _ in range(rng.choice((1, 1, 1, 2, 6))):
        at, start = rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)
        copied = text[start : start + rng.choice((1, 4, 40))]
        piece = rng.choice(("", copied, rng.choice(_PIECES), rng.choice(_PIECES)))
        text = text[:at] + piece + text[at + rng.choice((0, 1, 1, 9)) :]
    return text


def _noise(rng: Random) -> str:
    longest = rng.choice((3, 60, 250))
    return "".join(chr(rng.randrange(0x11_0000)) for _ in range(rng.randrange(longest)))


def _tricked(rng: Random, text: str) -> object:
    """Do to a text what attackers and careless proxies do."""
    kind = rng.random()
    if kind < 0.45:
        return _wrecked(rng, text)
    return rng.choice(_TRICKS)(text) if kind < 0.95 else _noise(rng)


# Paths


def _path(rng: Random) -> object:
    prefix = rng.choice(("", "/", "/suno/", "/suno/x/", "/%2e%2e/", "//", "https://x.example/"))
    kind = rng.random()
    if kind < 0.03:
        return prefix + rng.choice(_PATHS)
    if kind < 0.6:
        return _tricked(rng, prefix + rng.choice(_PATHS))
    return prefix + _forged(rng)


def _forged(rng: Random) -> str:
    """Join the id of one URL and the token of another, either of them wrecked, or made up."""
    encoded, token = rng.choice(_PATHS).split(".")[0], rng.choice(_PATHS).split(".")[1]
    kind = rng.randrange(4)
    if kind == 0:
        return signatures.mint(_OTHER_KEYS, rng.choice(IDS))
    if kind == 1:
        encoded = str(_tricked(rng, encoded))
    elif kind == 2:
        token = str(_tricked(rng, token))
    return encoded + rng.choice((".", ".", ".", "", "..", "/", "%2E")) + token


def _valid_path(path: object) -> str | None:
    return MINTED.get(path.split("/")[-1]) if isinstance(path, str) else None


# Signatures


def _triple(rng: Random) -> tuple[object, object, object]:
    """Take a signed triple, and exchange or wreck some of it."""
    timestamp, signature, cover_task_id = parts = list(rng.choice(_TRIPLES))
    kind = rng.random()
    if kind < 0.05:
        return timestamp, signature, cover_task_id
    if kind < 0.15:
        other = rng.choice((b"", b"test-webhook-kez", b"test-webhook-key\n"))
        return timestamp, signatures.sign(other, cover_task_id, int(timestamp)), cover_task_id
    if kind < 0.3:
        parts[rng.randrange(3)] = rng.choice(_TRIPLES)[rng.randrange(3)]
    wrecked: list[object] = list(parts)
    for at in rng.choice(((0,), (1,), (2,), (0, 1), (0, 1, 2))):
        wrecked[at] = _tricked(rng, parts[at])
    return wrecked[0], wrecked[1], wrecked[2]


def _verified(triple: tuple[Any, Any, Any]) -> object:
    timestamp, signature, cover_task_id = triple
    read = signatures.read_signature(timestamp, signature)
    signatures.verify(_HMAC, read, cover_task_id, now=NOW)
    return cover_task_id


def _valid_triple(triple: tuple[object, object, object]) -> str | None:
    timestamp, signature, cover_task_id = triple
    if not (
        isinstance(timestamp, str) and isinstance(signature, str) and isinstance(cover_task_id, str)
    ):
        return None
    return SIGNED.get((timestamp, signature, cover_task_id))


# Bodies


def _body(rng: Random) -> bytes:
    ((write, _),) = rng.choices(_WRITERS, [share for _, share in _WRITERS])
    return write(rng)


def _unharmed(rng: Random) -> bytes:
    return rng.choice(_VALID_BODIES)


def _harmed(rng: Random) -> bytes:
    return _wrecked(rng, _unharmed(rng).decode("latin-1")).encode("latin-1", "ignore")


def _recoded(rng: Random) -> bytes:
    encoding = rng.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "cp500"))
    return _unharmed(rng).decode().encode(encoding)


def _made_up(rng: Random) -> bytes:
    return _grown(rng, 4).encode("utf-8", rng.choice(("surrogatepass", "replace")))


def _random(rng: Random) -> bytes:
    return rng.randbytes(rng.randrange(300))


_WORDS = ("data", "data", "taskId", "taskId", "task_id", "code", "msg", "images", "", "\\u0064ata")
_ATOMS = (
    *_tokens("null true false NaN Infinity -Infinity 0 -0 01 1.5 1e999 -1e-999 0x1 .5 nul '"),
    *_tokens('"" "a" "0" "\\ud800" "\\u0000" "\\x" "\\ud83d\\ude00" "\ud800" "\u00e9" "\t" "'),
    *("9" * 4300, "9" * 4301, "-" + "9" * 9000, "1." + "7" * 9000, "[" * 50 + "]" * 50),
    *(json.dumps(one) for one in IDS),
    json.dumps("~" * 129),
)


def _nearly(rng: Random) -> bytes:
    """Write a good callback, and one odd thing into it."""
    inner = [f'"{rng.choice(("taskId", "task_id"))}":{json.dumps(rng.choice(IDS))}']
    outer = ['"code":200']
    rng.choice((inner, outer)).append(f'"{rng.choice(_WORDS)}":{rng.choice(_ATOMS)}')
    rng.shuffle(inner)
    outer.append('"data":{' + ",".join(inner) + "}")
    rng.shuffle(outer)
    return ("{" + ",".join(outer) + "}").encode("utf-8", "surrogatepass")


def _grown(rng: Random, depth: int) -> str:
    """Write a JSON value that is nearly always wrong, and often nearly right."""
    kind = rng.random() if depth else 1.0
    if kind < 0.75:
        fields = [
            f'"{rng.choice(_WORDS)}":{_grown(rng, depth - 1)}' for _ in range(rng.randrange(5))
        ]
        return "{" + ",".join(fields) + rng.choice(("}", "}", "}", "}", ",}", "}}", ""))
    if kind < 0.8:
        return "[" + ",".join(_grown(rng, depth - 1) for _ in range(rng.randrange(4))) + "]"
    return rng.choice(_ATOMS)


def _large(rng: Random) -> bytes:
    """Fill up to 64 KiB with what is costly: depth, length, many small things, escapes, noise."""
    one, other = rng.choice(
        (("[", "]"), ('{"a":', "}"), ('{"data":', "}"), ('[{"taskId":', "}]"), ("[[],", "]"))
    )
    filler = rng.choice(
        (
            *(",".join(["{}"] * 21_000), ",".join(["[]"] * 21_000), ",".join(['{"":0}'] * 9_000)),
            *(",".join(["9" * 4300] * 15), "1." + "7" * 65_000, "9" * 65_000),
            *(f'"{text}"' for text in ("\\ud800" * 10_000, "x" * 65_000, "\u00e9" * 32_000)),
            "{" + ",".join(f'"{number}":0' for number in range(6_000)) + "}",
            one * 20_000 + "0" + other * 20_000,
            one * 5_000 + "0" + other * 5_000,
            one * 60_000,
            " " * 65_000 + "0",
        )
    )
    around = rng.choice(("{}", "[{}]", '{{"data":{{"taskId":"a","more":[{}]}}}}', '{{"data":{}}}'))
    return around.format(filler).encode()[:_LARGE]


_WRITERS: list[tuple[Callable[[Random], bytes], int]] = [
    (_unharmed, 3),
    (_harmed, 45),
    (_made_up, 25),
    (_nearly, 15),
    (_recoded, 5),
    (_random, 3),
    (_large, 2),
    (lambda rng: rng.randbytes(_LARGE), 1),
]


def _valid_body(body: bytes) -> str | None:
    """Read a body a second way: every odd thing is noted, and the fields are told apart after.

    Its depth is measured in what was parsed, level by level.
    """
    odd: list[object] = []

    def fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
        odd.extend(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        return dict(pairs)

    try:
        found: Any = json.JSONDecoder(object_pairs_hook=fields, parse_constant=odd.append).decode(
            str(body, "utf-8", "strict")
        )
        data = dict(found["data"].items())
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    named = [data[word] for word in ("taskId", "task_id") if data.get(word) is not None]
    if odd or _levels(found) > _MOST_LEVELS:
        return None
    if not named or named[0] != named[-1] or not isinstance(named[0], str):
        return None
    is_id = re.fullmatch(r"[\x21-\x7e]{1,128}", named[0]) and "://" not in named[0]
    return named[0] if is_id else None


def _levels(found: object) -> int:
    """Count how many lists and objects stand in each other."""
    levels, level = 0, [found]
    while level := [one for one in level if isinstance(one, list | dict)]:
        levels += 1
        insides = (one.values() if isinstance(one, dict) else one for one in level)
        level = [*chain.from_iterable(insides)]
    return levels


# Whole requests


@attrs.frozen(kw_only=True)
class Request:
    """A request, and what of it is as it should be."""

    to_signed: bool  # a receiver that asks for kie.ai's signature
    method: Any
    path: Any
    headers: Any
    body: Any
    headers_are_fine: bool
    signed_for: str | None


Fields = list[tuple[Any, Any]]

_RECEIVERS = {
    True: CallbackReceiver(
        public_url="https://x.example", secret=["the newest secret"], hmac_key=_HMAC_KEYS
    ),
    False: CallbackReceiver(
        public_url="https://x.example/suno", secret=["the newest secret", "the one before"]
    ),
}
_NEWEST = {signatures.mint(_NEW_KEYS, one): one for one in IDS}
_FINE_HEADERS: list[Fields] = [
    [],
    [("Content-Type", "application/json"), ("X-Other", "\ud800"), ("x-other", "")],
    [("CONTENT-TYPE", "application/json; charset=utf-8"), ("Content-Length", "65536")],
    [("content-type", "Application/JSON ;"), ("content-encoding", "identity")],
    [("content-type", "application/problem+json"), ("accept-encoding", "gzip")],
]
_ODD_HEADERS: list[Fields] = [
    *([("Content-Type", kind)] for kind in _tokens("text/html application/jsonp json */* \uff11")),
    *(
        [("content-length", size)]
        for size in _tokens("65537 -1 +1 1_0 0x10 1e3 \uff11 1,1 9999999")
    ),
    *([("content-encoding", kind)] for kind in _tokens("gzip br identity,gzip deflate \ud800")),
    [("Content-Type", "application/json"), ("content-type", "application/json")],
    [("content-length", "9" * 10_000)],
    [("content-type", None)],
    [("content-type", b"\xff")],
    [(None, "a")],
    [(5, 5)],
]


def _request(rng: Random) -> Request:
    """Take a good request and spoil none, one or two of its parts."""
    spoilt = rng.choices(
        ("method", "path", "headers", "body", "signature"), k=rng.choice((1, 1, 2))
    )
    spoilt = spoilt if rng.random() < 0.95 else []
    cover_task_id = rng.choice(IDS)
    fields, signed_for = _signature_fields(rng, cover_task_id, spoil="signature" in spoilt)
    plain = rng.choice(_ODD_HEADERS if "headers" in spoilt else _FINE_HEADERS)
    methods = ("GET", "post", "POST ", "PUT", "", "POST\n", None, b"POST", ["POST"])
    return Request(
        to_signed=rng.random() < 0.5,
        method=rng.choice(methods) if "method" in spoilt else "POST",
        path=_path(rng) if "path" in spoilt else "/suno/" + rng.choice(_PATHS) + "?a=/b",
        headers=_carried(rng, plain + fields),
        body=_body(rng)
        if "body" in spoilt
        else codec.encode_callback(200, "", cover_task_id=cover_task_id, images=()),
        headers_are_fine="headers" not in spoilt
        and all(isinstance(value, str | bytes) for _, value in fields),
        signed_for=signed_for,
    )


def _signature_fields(rng: Random, cover_task_id: str, *, spoil: bool) -> tuple[Fields, str | None]:
    """Sign as of now, since receivers read the clock; spoilt or for another id, on demand."""
    late = rng.choice((0, -200, 200, -1000, 1000) if spoil else (0, -200, 200))
    now = int(time.time()) + late
    good = (str(now), signatures.sign(rng.choice(_HMAC_KEYS), cover_task_id, now))
    sent: list[object] = [*good]
    if spoil:
        at = rng.randrange(2)
        sent[at] = _tricked(rng, good[at])
    same = all(_stripped(one) == other for one, other in zip(sent, good, strict=True))
    names = rng.choice((("X-Webhook-Timestamp", "X-Webhook-Signature"), (_STAMP, _SIGNATURE)))
    return [*zip(names, sent, strict=True)], cover_task_id if same and abs(late) <= WINDOW else None


def _stripped(value: object) -> object:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return text.strip(" \t") if isinstance(text, str) else text


def _carried(rng: Random, pairs: Fields) -> object:
    """Hand headers over as frameworks do."""
    kind = rng.randrange(3)
    if kind == 0 and len({str(name).lower() for name, _ in pairs}) == len(pairs):
        return dict(pairs)
    if kind == 1 and all(isinstance(one, str) and one.isascii() for pair in pairs for one in pair):
        return [(str(name).encode(), str(value).encode()) for name, value in pairs]
    return pairs


def _received(request: Request) -> object:
    receiver = _RECEIVERS[request.to_signed]
    found = receiver.read(request.method, request.path, request.headers, request.body)
    return found.music_task_id, found.cover_task_id


def _valid_request(request: Request) -> object:
    minted = _NEWEST if request.to_signed else MINTED
    path = request.path.split("?")[0] if isinstance(request.path, str) else ""
    music_task_id, cover_task_id = minted.get(path.split("/")[-1]), _valid_body(request.body)
    fine = request.method == "POST" and request.headers_are_fine and len(request.body) <= _LARGE
    signed = not request.to_signed or cover_task_id == request.signed_for
    if fine and signed and music_task_id is not None and cover_task_id is not None:
        return music_task_id, cover_task_id
    return None


TARGETS = (
    Target(
        name="music_task_of",
        aim=_path,
        feed=lambda path: signatures.music_task_of(_KEYS, path),
        valid=_valid_path,
    ),
    Target(name="read_signature, verify", aim=_triple, feed=_verified, valid=_valid_triple),
    Target(name="decode_callback", aim=_body, feed=codec.decode_callback, valid=_valid_body),
    Target(name="CallbackReceiver.read", aim=_request, feed=_received, valid=_valid_request),
)


def main(arguments: list[str] | None = None) -> int:
    """Attack, and print what came of it; 1 if there was a finding."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="inputs (1,000,000)")
    parser.add_argument("--seed", type=int, default=0, help="what all inputs depend on (0)")
    parser.add_argument("--first", type=int, default=0, help="the first input's index (0)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(arguments)
    report = attack(chosen.count, seed=chosen.seed, first=chosen.first)
    versions = {"python": platform.python_version(), "suno-cover-async": __version__}
    if chosen.json:
        print(json.dumps(versions | attrs.asdict(report), indent=1))
    else:
        print("\n".join(_lines(versions, report)))
    return 1 if report.findings else 0


def _lines(versions: dict[str, str], report: Report) -> list[str]:
    return [
        " · ".join(f"{name} {version}" for name, version in versions.items()),
        f"{report.count:,} inputs from {report.first}, seed {report.seed}, {report.seconds:.0f} s",
        *(f"  {name} {count:,}" for name, count in sorted(report.by_target.items())),
        f"slowest: {report.slowest_seconds * 1000:.1f} ms ({report.slowest})",
        *(
            f"FINDING seed {one.seed}, index {one.index}, {one.target}: {one.what}: {one.given}"
            for one in report.findings[:_SHOWN]
        ),
        f"{len(report.findings):,} findings",
    ]


if __name__ == "__main__":
    sys.exit(main())

"""What is fuzzed: every boundary of the package that bytes of others reach, by its real entry.

Each target takes bytes, reads whatever it needs out of them, and insists on the promise: a sane
value, or an error of ours. `fuzz.py` feeds them by coverage, `test_any_answer.py` by
properties. Ledgers and whole HTTP answers, which need files and sockets, are `fuzz_worlds.py`'s.
"""

import copy
import io
import json
import math
import pickle
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from suno_cover_async import (
    CallbackRefusedError,
    CoverDetails,
    CoverTask,
    MusicDetails,
    SunoCoverError,
    Track,
    hosts,
    read_catalog,
)
from suno_cover_async.batch.line_reader import BadLine
from suno_cover_async.common.validation import is_task_id
from suno_cover_async.covers.durations import Durations
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.http.exchange import MOST_BYTES
from suno_cover_async.protocol import codec, gateway, requests, responses, values
from tests.proof import hostile_callbacks
from tests.proof.fuzz_judge import BrokenError, Target, hold, is_shown_safely, told

SAMPLES = Path(__file__).parents[1] / "samples/api_samples.json"
MUSIC = "73d6128b3523a0079df10da9471017c8"
COVER = "21aee3c3c2a01fa5e030b3799fa4dd56"
CALLS = ("submit", "details", "music", "credits")
STATUSES = (200, 201, 204, 301, 400, 401, 402, 403, 404, 405, 409, 422, 429, 430, 455, 500, 503)
_LONGEST_URL = 8192
_MOST_URLS = 64
_A_DAY = 86_400.0
_LONGEST_POLL = 1_800.0
_KEY = ApiKey("sk-7f3a/9c")
_KEY.check()


# Answers


def answer(call: str, body: bytes, host: str = "sunoapi", status: int = 200) -> bytes:
    """Write an input of the target `answers`."""
    names = (CALLS.index(call), [*hosts.HOSTS].index(host), STATUSES.index(status))
    return bytes(names) + body


def read_answer(given: bytes) -> str:
    """Read an answer as the transport does, and see that it makes sense."""
    name = CALLS[given[0] % len(CALLS)] if given else "details"
    host = [*hosts.HOSTS.values()][(given[1:2] or b"\0")[0] % len(hosts.HOSTS)]
    number = (given[2:3] or b"\0")[0]
    status = STATUSES[number % len(STATUSES)]
    base_url = hosts.BaseUrl(host.base_url, has_answered=number < 128)
    text = _KEY.hide_in(given[3:].decode("utf-8", "replace"))
    call = _call(name, host)
    try:
        value = responses.read(call, gateway.Answer(status, text), host, base_url)
    except SunoCoverError as error:
        _check_refusal(error, call, status)
        return told(error)
    check_value(value)
    said = _read_otherwise(text)
    code, data = values.whole_number(said.get("code")), said.get("data")
    hold(code is not None, "a value out of a gateway's answer")
    hold(type(value) is not float or type(data) in {int, float}, "credits out of no number")
    duplicate = isinstance(value, CoverTask) and value.adopted
    hold(duplicate or code in {200, 201}, f"a value in spite of code {code!r:.9}")
    return type(value).__name__


def _read_otherwise(text: str) -> dict[str, Any]:
    """Read an answer of which we made a value, by Python's own rules."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BrokenError("a value out of what is no JSON object")
    return found


def _call(name: str, host: hosts.Host) -> requests.Call[Any]:
    calls: dict[str, Callable[[], requests.Call[Any]]] = {
        "submit": lambda: requests.submit(MUSIC, "https://x.example"),
        "details": lambda: requests.details(COVER),
        "music": lambda: requests.music(MUSIC),
        "credits": lambda: requests.credit(host),
    }
    return calls[name]()


def _check_refusal(error: SunoCoverError, call: requests.Call[Any], status: int) -> None:
    """See that an error carries its facts, and survives what is done with errors."""
    hold(error.http_status == status, "the HTTP status is lost")
    hold(error.music_task_id == call.music_task_id, "the music task is lost")
    hold(error.cover_task_id == call.cover_task_id, "the cover task is lost")
    hold(error.code is None or type(error.code) is int, "the code is no integer")
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own
        hold(str(twin) == str(error) and vars(twin) == vars(error), "a copy differs")


def check_value(value: object) -> None:
    """See that a value out of an answer is one that the rest of the package can live with."""
    if isinstance(value, CoverTask):
        _check_task(value)
    elif isinstance(value, CoverDetails):
        _check_details(value)
    elif isinstance(value, MusicDetails):
        hold(is_task_id(value.music_task_id), "the music task is no id")
        hold(is_shown_safely(value.status), "the status cannot be shown")
        _check_urls(value.audio_urls)
    else:
        is_credits = type(value) is float and math.isfinite(value)
        hold(value is None or is_credits, f"{value!r:.80} is no value")


def _check_task(task: CoverTask) -> None:
    hold(is_task_id(task.cover_task_id), "the cover task is no id")
    hold(not task.adopted or task.cover_task_id != task.music_task_id, "adopted its own music")


def _check_details(details: CoverDetails) -> None:
    hold(is_task_id(details.cover_task_id), "the cover task is no id")
    hold(details.music_task_id is None or is_task_id(details.music_task_id), "the parent is no id")
    hold(is_shown_safely(details.error_message or "-", 300), "the message cannot be shown")
    hold(details.error_code is None or type(details.error_code) is int, "the code is no integer")
    _check_urls(details.images)
    for moment in (details.created_at, details.completed_at):
        if moment is not None:
            hold(moment.tzinfo is UTC, "a moment that is not in UTC")
            hold(2000 <= moment.year < 3000, "a moment at which no cover was made")
            kept = datetime.fromtimestamp(moment.timestamp(), UTC)  # as a ledger keeps it
            hold(abs(kept - moment) < timedelta(seconds=1), "a moment that cannot be kept")
    durations = Durations()
    durations.learn((details.duration or timedelta()).total_seconds())
    hold(0 < durations.initial_delay(busy=True) <= _LONGEST_POLL, "a first poll that never comes")
    for times in values.Times:
        written = json.loads(json.dumps(codec.encode_details(details, times)))
        hold(codec.decode_details(written) == _in_ms(details), "read back, it differs")


def _in_ms(details: CoverDetails) -> CoverDetails:
    """Take away what neither way of writing a moment keeps."""

    def cut(moment: datetime | None) -> datetime | None:
        return moment and moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    return attrs.evolve(
        details, created_at=cut(details.created_at), completed_at=cut(details.completed_at)
    )


def _check_urls(urls: tuple[str, ...]) -> None:
    hold(len(urls) <= _MOST_URLS, f"{len(urls):,} URLs")
    for url in urls:
        hold(url and is_shown_safely(url, _LONGEST_URL), f"a URL that cannot be shown: {url!a:.80}")


def _answers() -> Iterable[bytes]:
    pages = {"create": "submit", "details": "details", "music": "music", "credits": "credits"}
    for sample in json.loads(SAMPLES.read_text()):
        if (call := pages.get(sample["on"])) and sample["http"] in STATUSES:
            body = sample["body"]
            written = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            yield answer(call, written, status=sample["http"])


# Headers


def retry_after(value: str, date: str = "") -> bytes:
    """Write an input of the target `retry-after`."""
    return f"{value}\n{date}".encode("utf-8", "surrogateescape")


def read_retry_after(given: bytes) -> str:
    """Read the two headers as aiohttp hands them over."""
    value, _, date = given.decode("utf-8", "surrogateescape").partition("\n")
    seconds = responses.retry_after(value, date=date or None)
    if seconds is None:
        return "none"
    hold(type(seconds) is float and 0 < seconds <= _A_DAY, f"{seconds!r:.80} seconds")
    return "seconds"


def _retry_afters() -> Iterable[bytes]:
    date = "Tue, 14 Oct 2025 07:28:00 GMT"
    for value in ("3", "120.5", "9" * 60, "Tue, 14 Oct 2025 07:29:00 GMT", "14 Oct 2025 9:0 +2359"):
        yield retry_after(value, date)
        yield retry_after(value)


# Callbacks: judged by what `hostile_callbacks.py` knows to be valid

_HOSTILE = {target.name: target for target in hostile_callbacks.TARGETS}


def _fed(name: str, given: object) -> str:
    target = _HOSTILE[name]
    found, error, _ = hostile_callbacks.run(target, given)
    if error is not None and type(error) is not CallbackRefusedError:
        raise error
    hold(found == target.valid(given), f"read as {found!a:.80}, not {target.valid(given)!a:.80}")
    return "believed" if error is None else "refused"


def read_callback_body(given: bytes) -> str:
    """Read the body of a callback."""
    return _fed("decode_callback", given)


def read_callback_url(given: bytes) -> str:
    """Read the path of a callback."""
    return _fed("music_task_of", given.decode("utf-8", "surrogateescape"))


def read_signature(given: bytes) -> str:
    """Read a signature: timestamp, digest and id, a line each."""
    parts = given.decode("utf-8", "surrogateescape").split("\n")
    return _fed("read_signature, verify", tuple((*parts, "", "")[:3]))


def read_callback(given: bytes) -> str:
    """Read a whole callback as ASGI brings it: method, path and headers, an empty line, a body."""
    head, _, body = given.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    method, _, path = first.decode("latin-1").partition(" ")
    fields = [(name, value) for name, _, value in (line.partition(b":") for line in lines)]
    request = hostile_callbacks.Request(
        to_signed=False,
        method=method,
        path=path,
        headers=fields,
        body=body,
        headers_are_fine=True,
        signed_for=None,
    )
    target = _HOSTILE["CallbackReceiver.read"]
    found, error, _ = hostile_callbacks.run(target, request)
    if error is not None:
        hold(type(error) is CallbackRefusedError, f"raised {type(error).__name__}: {error!a:.200}")
        return "refused"
    hold(found == target.valid(request), f"read as {found!a:.80}")
    return "believed"


def _urls() -> Iterable[bytes]:
    return [f"/suno/{path}".encode() for path in hostile_callbacks.MINTED]


def _signatures() -> Iterable[bytes]:
    return ["\n".join(triple).encode() for triple in hostile_callbacks.SIGNED]


def _callbacks() -> Iterable[bytes]:
    for path, body in zip(hostile_callbacks.MINTED, hostile_callbacks.BODIES, strict=False):
        yield b"POST /suno/%b\ncontent-type: application/json\n\n%b" % (path.encode(), body)


# Catalogs

FORMATS = ("csv", "jsonl", "txt", None)


def catalog(kind: str | None, content: bytes) -> bytes:
    """Write an input of the target `catalogs`."""
    return bytes([FORMATS.index(kind)]) + content


def read_a_catalog(given: bytes) -> str:
    """Read a catalog: to its end, told of bad lines; and to the first of them."""
    kind: Any = FORMATS[given[0] % len(FORMATS)] if given else None
    bad: list[BadLine] = []
    try:
        tracks = [*read_catalog(io.BytesIO(given[1:]), format=kind, on_bad=bad.append)]
    except ValueError as error:
        hold(is_shown_safely(str(error)), f"the reader says {error!a:.200}")
        hold(not bad, "no table and no array, of which bad lines were told")
        return "refused"
    lines = given.count(b"\n") + given.count(b"\r") + 1
    for line in bad:
        hold(is_shown_safely(line.reason, 300), f"a bad line: {line!a:.200}")
        most = lines if line.unit == "line" else given.count(b",") + 1
        hold(0 < line.number <= most, f"a bad line that is none: {line!a:.200}")
    _check_first(given[1:], kind, tracks, bad)
    made_up = b"\xef\xbf\xbd" not in given and any("\ufffd" in one.title for one in tracks)
    hold(not made_up, "a title out of what is no UTF-8")
    _check_tracks(tracks)
    return f"{'tracks' if tracks else 'no track'}{', bad lines' if bad else ''}"


def _check_first(content: bytes, kind: Any, tracks: list[Track], bad: list[BadLine]) -> None:
    """Read without `on_bad`: the tracks before the first bad line, then its error."""
    found: list[Track] = []
    try:
        found.extend(read_catalog(io.BytesIO(content), format=kind))
    except ValueError as error:
        hold(bad and str(bad[0]) in str(error), f"{error!a:.200} instead of {bad!a:.80}")
    else:
        hold(not bad and found == tracks, "read otherwise by who is not told of bad lines")


def is_plain(text: str) -> bool:
    """Whether an id has letters, digits, - and _ only."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", text) is not None


def _check_tracks(tracks: list[Track]) -> None:
    lines: list[str] = []
    for track in tracks:
        hold(is_plain(track.music_task_id), "a track without an id")
        columns = dict(track.columns) | {"music_task_id": track.music_task_id, "title": track.title}
        hold(len(columns) == 2 + len(track.columns), "a column called as an id or a title")
        lines.append(json.dumps(columns, ensure_ascii=False, allow_nan=False))
    again = read_catalog(io.BytesIO("\n".join(lines).encode()), format="jsonl")
    hold([*again] == tracks, "written and read again, tracks differ")


def _catalogs() -> Iterable[bytes]:
    yield catalog("csv", b'music_task_id,title,bpm\r\na1,One,120\r\na2,"Two, ""2""",\r\n')
    yield catalog(None, '\ufeffTitle;Music_Task_ID\n\u00e9;b1\n\n"x\ny";b2'.encode())
    yield catalog("csv", b'music_task_id\ttitle\r1\t=a\r2\t"b\r')
    yield catalog("jsonl", b'{"music_task_id":"a","title":"b","n":[1,{"x":1.5}]}\n\n{"a":1}\n')
    yield catalog("txt", b"# ours\n7f3a\n\n  9c  \nnot an id\n")
    yield catalog("csv", b'#TYPE a\r\n"taskId","Song Title"\r\n"=""a1""","=""One"""\r\n')
    yield catalog(None, b"\xef\xbb\xbfsep=|\nid|Task ID\n1|'a1\n2|7.31E+31\n3|null\n")
    yield catalog("csv", b'#\ttask_id\ttitle\n1\ta1\t"Heroes" (2017)\n2\ta2\t"x\ny"\n3\ta3\t"b\n')
    yield catalog(None, b'[{"taskId": "a1"}, "a2",\n{"music_task_id": "a3", "title": "c"}, 5]')


TARGETS = (
    Target(name="answers", feed=read_answer, seeds=_answers, longest=MOST_BYTES + 3),
    Target(name="retry-after", feed=read_retry_after, seeds=_retry_afters, longest=8192),
    Target(name="callback-bodies", feed=read_callback_body, seeds=lambda: hostile_callbacks.BODIES),
    Target(name="callback-urls", feed=read_callback_url, seeds=_urls),
    Target(name="signatures", feed=read_signature, seeds=_signatures),
    Target(name="callbacks", feed=read_callback, seeds=_callbacks),
    Target(name="catalogs", feed=read_a_catalog, seeds=_catalogs, longest=4096),
)

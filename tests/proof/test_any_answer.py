"""Any bytes at any boundary: a sane value or an error of ours, soon, and without a memory spike.

The targets, and what must hold of each, are `fuzz_targets.py` and `fuzz_worlds.py`;
`fuzz.py` finds inputs by coverage, here they are made by structure, and named.
"""

import contextlib
import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from suno_cover_async import Ledger, LedgerError, Track, cover_catalog
from suno_cover_async.common.json_text import json_object
from suno_cover_async.http.credentials import ApiKey, key_problem
from suno_cover_async.http.exchange import MOST_BYTES
from suno_cover_async.protocol.redaction import written as forms_of
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.proof import fuzz, fuzz_judge, fuzz_targets, fuzz_worlds, hostile_callbacks
from tests.support.clients import connect

CALLS = ("submit", "details", "music", "credits")
HOSTS = ("sunoapi", "kie", "apibox")
COVER = "21aee3c3c2a01fa5e030b3799fa4dd56"
MUSIC = "73d6128b3523a0079df10da9471017c8"

CEILING = 1.0  # CPU seconds: the long form allows 0.05, on a machine that nothing else uses

few = settings(max_examples=30, derandomize=True)
some = settings(max_examples=60, derandomize=True)
many = settings(max_examples=120, derandomize=True)


@attrs.frozen
class Bench:
    """The fuzzing targets."""

    targets: dict[str, Any]

    def judge(self, name: str, given_bytes: bytes) -> str:
        """Give a target an input; returns how it ended, once nothing is wrong with that."""
        judged = fuzz_judge.judge(self.targets[name], given_bytes, ceiling=CEILING)
        assert not judged.wrong, (judged.wrong, given_bytes[:500])
        return judged.outcome


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with fuzz_worlds.opened() as targets:
        yield Bench(targets)


# --- JSON, written here so that it can be as odd as it likes ---------------------------------

DATA = {
    "submit": {"taskId": f'"{COVER}"'},
    "details": {
        "taskId": f'"{COVER}"',
        "parentTaskId": f'"{MUSIC}"',
        "successFlag": "1",
        "status": '"SUCCESS"',
        "response": '{"images":["https://x.example/1.png","https://x.example/2.png"]}',
        "createTime": "1760512035000",
        "completeTime": '"2025-10-15T07:08:02.000Z"',
        "errorCode": "null",
        "errorMessage": '""',
    },
    "music": {
        "taskId": f'"{MUSIC}"',
        "status": '"SUCCESS"',
        "response": '{"sunoData":[{"audioUrl":"https://x.example/1.mp3"}]}',
    },
    "credits": {"taskId": "1"},
}

NASTY = {
    "null": "null",
    "true": "true",
    "minus zero": "-0.0",
    "not a number": "NaN",
    "infinity": "-Infinity",
    "infinity in digits": "1e999",
    "a code with a point": "200.0",
    "a code in quotes": '"200"',
    "a code in exponents": "2e2",
    "4300 digits": "9" * 4300,
    "4301 digits": "9" * 4301,
    "400 digits below zero": "-1" + "0" * 400,
    "an unpaired surrogate": '"\\ud800"',
    "halves the wrong way round": '"\\udc00\\ud800"',
    "half a character as it is": '"\udcff"',
    "control characters": '"\\u0000\\u001b[2J\\r\\n\\u0085"',
    "right to left": '"\\u202e\\u2066gnp.exe"',
    "a long text": f'"{"x" * 100_000}"',
    "a long id": f'"{"a" * 129}"',
    "an id with a space": '"a b"',
    "the music's own id": f'"{MUSIC}"',
    "an id that is a URL": '"https://x.example/a"',
    "full width digits": '"\uff11\uff17"',
    "deep lists": "[" * 900 + "]" * 900,
    "deeper lists": "[" * 5_000 + "]" * 5_000,
    "deep objects": '{"a":' * 900 + "0" + "}" * 900,
    "deep beyond the end": "[" * 100_000,
    "a key twice": '{"taskId":"a","taskId":"b","data":1,"data":{}}',
    "an empty object": "{}",
    "nulls": '[null,[null],{"a":null}]',
    "a script": '"javascript:alert(1)"',
    "a file": '"file:///etc/passwd"',
    "a URL with an end of line": '"https://x.example/\\r\\nHost: y"',
    "images that are no URLs": '{"images":["javascript:a","\\\\\\\\x\\\\y","data:,a",5,null,[]]}',
    "a thousand images": '{"images":[' + ",".join(['"https://x.example/a"'] * 1_000) + "]}",
    "an image of 100 KB": '{"images":["https://x.example/' + "a" * 100_000 + '"]}',
    "audio that is none": '{"sunoData":[null,5,{"audioUrl":{}},{"audioUrl":"\\ud800"},[]]}',
    "year 1": '"0001-01-01T00:00:00+23:59"',
    "year 9999": '"9999-12-31T23:59:59.999999-23:59"',
    "the last microsecond": '"9999-12-31T23:59:59.999999Z"',
    "the beginning": '"0001-01-01T00:00:00Z"',
    "the epoch": '"1970-01-01T00:00:00Z"',
    "year 100000": '"100000-01-01T00:00:00Z"',
    "a time zone": '"2025-10-15T15:08:02+08:00"',
    "a week": '"2025-W01-1"',
    "a second of 60": '"2025-01-01T23:59:60Z"',
    "millions of years": "9223372036854775807",
    "before there was time": "-62135596800001",
}


def filled(unit: str) -> str:
    """Repeat a value until an answer is as large as one may be."""
    return "[" + ",".join([unit] * ((MOST_BYTES - 1_000) // (len(unit) + 1))) + "]"


LARGE = {
    **{f"many of {unit[:20]}": filled(unit) for unit in ("[]", "{}", '{"":0}', "[[[[]]]]", '"a"')},
    **{f"many of {unit[:20]}": filled(unit) for unit in ("1", "1.7", "1e9", '"\\u00e9"', "null")},
    "many large numbers": filled("9" * 4300),
    "many keys": "{" + ",".join(f'"{number}":0' for number in range(24_000)) + "}",
    "halves of characters": '"' + "\\ud800" * (MOST_BYTES // 6 - 200) + '"',
    "escapes": '"' + "\\/" * (MOST_BYTES // 2 - 500) + '"',
    "backslashes": '"' + "\\\\" * (MOST_BYTES // 2 - 500) + '"',
    "a text": '"' + "\u00e9" * (MOST_BYTES // 2 - 500) + '"',
    "a long fraction": "1." + "7" * (MOST_BYTES - 1_000),
    "brackets without end": "[" * (MOST_BYTES - 1_000),
    "objects without end": '{"a":' * (MOST_BYTES // 5 - 200),
    "blanks": " " * (MOST_BYTES - 1_000) + "0",
}


def written(pairs: list[tuple[str, str]]) -> str:
    """Write an object, whose keys may stand twice."""
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + "}"


def body(call: str, **outer: str) -> bytes:
    """Write a good answer, but for these parts."""
    good = {"code": "200", "msg": '"success"', "data": written([*DATA[call].items()])}
    if call == "credits":
        good["data"] = "1025.6"
    return written([*(good | outer).items()]).encode("utf-8", "surrogateescape")


texts = st.text(st.characters(), max_size=30).map(json.dumps)
leaves = (
    st.sampled_from([value for value in NASTY.values() if len(value) < 10_000])
    | st.integers().map(str)
    | st.integers(-(2**70), 2**70).map(str)
    | st.floats().map(json.dumps)
    | st.datetimes().map(lambda moment: json.dumps(moment.isoformat() + "Z"))
    | texts
)
fields = st.sampled_from(sorted({"code", "msg", "data", "images", *DATA["details"], "task_id"}))
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda values: "[" + ",".join(values) + "]")
        | st.lists(st.tuples(fields, inner), max_size=5).map(written)
    ),
    max_leaves=10,
)


@st.composite
def bodies(draw: st.DrawFn, call: str) -> bytes:
    """Write an answer with some of its parts replaced, doubled or missing."""
    inner = [(key, value) for key, value in DATA[call].items() if draw(st.integers(0, 9))]
    inner += draw(st.lists(st.tuples(fields, trees), max_size=2))
    data = written(draw(st.permutations(inner)))
    outer = [("code", "200"), ("msg", '"success"'), ("data", data)]
    outer += draw(st.lists(st.tuples(fields, trees), max_size=2))
    text = written(draw(st.permutations(outer)))
    return text.encode("utf-8", "surrogateescape")


# --- answers ----------------------------------------------------------------------------------


@many
@given(data=st.data(), call=st.sampled_from(CALLS), host=st.sampled_from(HOSTS))
def test_any_answer_is_a_sane_value_or_one_of_our_errors(
    bench: Bench, data: st.DataObject, call: str, host: str
) -> None:
    content = data.draw(bodies(call) | trees.map(lambda tree: tree.encode("utf-8", "replace")))
    status = data.draw(st.sampled_from(fuzz_targets.STATUSES))

    bench.judge("answers", fuzz_targets.answer(call, content, host, status))


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_value_in_any_part_of_an_answer_raises_only_our_errors(
    bench: Bench, name: str
) -> None:
    answer, nasty = fuzz_targets.answer, NASTY[name]
    for call in CALLS:
        for part in ("code", "msg", "data", "more"):
            for status in (200, 400, 409):
                bench.judge("answers", answer(call, body(call, **{part: nasty}), status=status))
        for field in DATA[call]:
            data = written([*(DATA[call] | {field: nasty}).items()])
            bench.judge("answers", answer(call, body(call, data=data)))
            bench.judge("answers", answer(call, body(call, code="409", data=data)))
        raw = nasty.encode("utf-8", "surrogateescape")
        for content in (raw, body(call) + raw, raw + body(call), body(call)[:-1]):
            bench.judge("answers", answer(call, content))


@pytest.mark.parametrize("name", LARGE)
def test_no_answer_takes_long_or_much_however_large(bench: Bench, name: str) -> None:
    answer, large = fuzz_targets.answer, LARGE[name]
    data = written([*DATA["details"].items(), ("response", f'{{"images":{large}}}')])

    for content in (body("details", data=data), body("details", code="500", msg=large)):
        assert len(content) <= MOST_BYTES
        bench.judge("answers", answer("details", content))


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_as_it_should_be_is_read(bench: Bench, call: str) -> None:
    kinds = {"submit": "CoverTask", "details": "CoverDetails", "music": "MusicDetails"}
    outcome = bench.judge("answers", fuzz_targets.answer(call, body(call)))

    assert outcome == kinds.get(call, "float")


# --- the key ----------------------------------------------------------------------------------

keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=20).filter(
    lambda key: key_problem(key) is None
)


@some
@example(key='/\\"u0075\\u', seed=0, around="")
@given(key=keys, seed=st.integers(0, 1_000), around=st.text(max_size=9))
def test_the_key_is_hidden_however_an_answer_escapes_it(key: str, seed: int, around: str) -> None:
    rng, hidden = random.Random(seed), ApiKey(key)
    hidden.check()
    forms = [
        rng.choice((f"\\u{ord(one):04x}", f"\\u{ord(one):04X}", json.dumps(one)[1:-1]))
        for one in key
    ]
    text = '{"msg":"' + json.dumps(around)[1:-1] + " " + "".join(forms) + ' \\n"}'

    found = json_object(hidden.hide_in(text))

    assert found is not None
    assert found["msg"].count("[key]") >= 1
    assert f" {key} " not in found["msg"]


@many
@given(data=st.data(), call=st.sampled_from(CALLS))
def test_looking_for_the_key_changes_nothing_else(data: st.DataObject, call: str) -> None:
    hidden = ApiKey("sk-7f3a/9c+")
    hidden.check()
    text = data.draw(bodies(call)).decode("utf-8", "replace")

    assert json_object(hidden.hide_in(text)) == json_object(text)


def near_misses(key: str) -> Iterator[str]:
    """Write texts full of what is nearly the key, behind the key itself in all its forms."""
    escaped = [f"\\u{ord(one):04x}" for one in key]
    held = " ".join((*forms_of(key), "".join(escaped), ""))
    for miss in (
        key[:-1] + "!",
        "".join(escaped[:-1]) + "!",
        escaped[0],
        key[0],
        key[: len(key) // 2],
    ):
        yield held + miss * (MOST_BYTES // len(miss))


LONG_KEYS = ["5f3a9c0de1b2476788aa11cc22ee44ff", "a" * 32, "ab" * 50, "sk-+/&<\"'%" * 4]


@pytest.mark.parametrize("key", LONG_KEYS)
def test_no_answer_full_of_what_is_nearly_the_key_takes_long(key: str) -> None:
    hidden = ApiKey(key)
    hidden.check()
    for large in near_misses(key):
        for text in (large[:MOST_BYTES], large[:16_384]):
            took = min(processor_time(partial(hidden.hide_in, text)) for _ in range(3))

            assert took < 1.0, (large[:100], len(text))
            assert key not in hidden.hide_in(text)


def processor_time(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


@pytest.mark.parametrize("escaped", [False, True])
def test_a_large_answer_that_holds_the_key_is_given_up_as_a_whole(*, escaped: bool) -> None:
    hidden = ApiKey("sk-7f3a/9c+")
    hidden.check()
    key = "\\u0073k-7F3a\\/9c+" if escaped else "sk-7f3a/9c+"
    rest = ' "' + "x" * (16_384 - len(key) - 3) + '"'

    assert hidden.hide_in(key + rest) == "[key]" + rest
    assert hidden.hide_in(key + rest + " ") == "[key]"
    assert hidden.hide_in("x" + rest + " ") == "x" + rest + " "


# --- headers ----------------------------------------------------------------------------------

numbers = (
    st.integers(-99, 99) | st.integers() | st.sampled_from(["", "00", "\uff11", "1e9", "9" * 5000])
)
dates = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Tue", "", "Die", "\udcff"]),
    numbers,
    st.sampled_from(["Oct", "oct", "", "Foo", "Jan", "\u00e9"]),
    st.sampled_from([2025, 1, 0, 9999, 99, 49, 100_000]) | numbers,
    *[numbers] * 3,
    st.sampled_from(["GMT", "+2359", "-2359", "+9999", "+99999999999", "", "Z", "-0000", "EST"]),
)
headers = dates | st.text(max_size=70) | st.floats().map(str) | st.integers().map(str)


@many
@example(value="Tue, 14 Oct 99999999999999999999 07:28:00 GMT", date="")
@example(value="Tue, 14 Oct 2025 07:28:00 +99999999999999999", date="")
@example(value="Tue, 14 Oct 2025 07:28:00", date="Tue, 14 Oct 2025 07:27:00 GMT")
@given(value=headers, date=headers | st.just(""))
def test_any_retry_after_is_a_sane_time_or_none(bench: Bench, value: str, date: str) -> None:
    given_bytes = f"{value}\n{date}".encode("utf-8", "surrogatepass")

    assert bench.judge("retry-after", given_bytes) in {"seconds", "none"}


# --- callbacks --------------------------------------------------------------------------------


@some
@given(data=st.data())
def test_any_callback_is_read_as_a_second_reader_reads_it(
    bench: Bench, data: st.DataObject
) -> None:
    content = data.draw(bodies("submit") | trees.map(lambda tree: tree.encode("utf-8", "replace")))
    path = data.draw(st.sampled_from(["", "a.b", *hostile_callbacks.MINTED]))
    head = data.draw(st.sampled_from(["content-type:text/html", "content-length:1e9", "a:b", ""]))

    assert bench.judge("callback-bodies", content) in {"believed", "refused"}
    whole = f"POST /suno/{path}\n{head}\n\n".encode() + content
    assert bench.judge("callbacks", whole) in {"believed", "refused"}


@pytest.mark.parametrize("name", NASTY)
def test_no_callback_is_odd_enough(bench: Bench, name: str) -> None:
    for part in ("code", "data", "more"):
        bench.judge("callback-bodies", body("submit", **{part: NASTY[name]}))
    bench.judge("callback-bodies", body("submit", data=f'{{"taskId":{NASTY[name]}}}'))


# --- catalogs ---------------------------------------------------------------------------------

ends = st.sampled_from(["\n", "\r\n", "\r", "\n\r", ""])
cells = st.text(max_size=12) | st.sampled_from(
    ['"', '""', '"a', 'a"b', "\0", "=1+1", "a\nb", "\ufeff"]
)
rows = st.lists(cells, max_size=5).map(lambda row: random.Random(len(row)).choice(",;\t").join(row))
heads = st.sampled_from(
    ["music_task_id,title", "TITLE;Music_Task_ID;bpm", "music_task_id", "a,b", ""]
)
records = st.lists(
    st.tuples(st.sampled_from(["music_task_id", "title", "n", ""]), trees), max_size=4
).map(written)


@some
@given(
    kind=st.sampled_from(["csv", "jsonl", "txt", None]),
    start=heads,
    lines=st.lists(st.tuples(rows | records | cells, ends), max_size=8),
    spoil=st.sampled_from([b"", b"", b"\xff", b"\x00", b"\xef\xbb\xbf"]),
)
def test_any_catalog_is_tracks_and_bad_lines(
    bench: Bench, kind: str | None, start: str, lines: list[tuple[str, str]], spoil: bytes
) -> None:
    text = start + "\n" + "".join(line + end for line, end in lines)
    content = spoil + text.encode("utf-8", "surrogateescape" if "\udcff" in text else "replace")

    bench.judge("catalogs", fuzz_targets.catalog(kind, content))


WHOLE = 2_000
CATALOGS = {
    "quotes": '"' * WHOLE,
    "quotes in lines": '"\n' * (WHOLE // 2),
    "quotes that open": 'a,"b\n' * (WHOLE // 5),
    "NULs": "\0" * WHOLE,
    "carriage returns": "\r" * WHOLE,
    "one long line": "a" * WHOLE,
    "delimiters": "," * WHOLE,
    "mixed ends": "a\r\r\n\n\r" * (WHOLE // 6),
    "line ends of other alphabets": "a\u2028b\u0085c\x0bd\x0c" * (WHOLE // 12),
    "deep lines": "[" * 1_000 + "\n",
    "deep records": ('{"a":' * 600 + "0" + "}" * 600 + "\n"),
    "records of small things": '{"music_task_id":"a","b":' + "[[],{}]}\n" * 9,
    "a record of small things": '{"music_task_id":"a","b":[' + ",".join(["[]"] * 1_300) + "]}",
    "large numbers": ('{"music_task_id":"a","b":' + "9" * 2_000 + "}\n") * 2,
    "an unpaired surrogate": '{"music_task_id":"a","title":"\\ud800"}\n',
    "a number too large": '{"music_task_id":"a","n":1e999}\n',
    "a title that is none": '{"music_task_id":"a","title":[5]}\n',
    "no UTF-8": "a,b\udcff\n",
    "short ids": "a\n" * (WHOLE // 2),
}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "txt", None])
@pytest.mark.parametrize("name", CATALOGS)
def test_no_catalog_is_odd_enough(bench: Bench, name: str, kind: str | None) -> None:
    catalog = fuzz_targets.catalog
    for start in ("", "music_task_id,title\n"):
        content = (start + CATALOGS[name]).encode("utf-8", "surrogateescape")[:WHOLE]
        bench.judge("catalogs", catalog(kind, content))


# --- ledgers ----------------------------------------------------------------------------------

values = (
    st.sampled_from([None, "", "null", "{}", "[]", "[null]", '{"a":null}', "[" * 3_000, b"\xff", 5])
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20).map(lambda text: text.replace("\0", ""))
    | trees.filter(lambda tree: "\0" not in tree).map(
        lambda tree: tree.encode("utf-8", "replace").decode()
    )
)


@few
@given(data=st.data())
def test_any_row_of_a_ledger_is_read_or_refused(bench: Bench, data: st.DataObject) -> None:
    columns = data.draw(st.dictionaries(st.sampled_from(fuzz_worlds.COLUMNS), values, max_size=3))

    assert bench.judge("ledger-rows", fuzz_worlds.row(**columns)) in {"fine", "refused"}


def test_what_the_fuzzer_begins_with_breaks_no_ledger_and_no_client(bench: Bench) -> None:
    for name in ("ledger-rows", "ledger-bytes", "http"):
        for seed in bench.targets[name].seeds():
            bench.judge(name, seed)


patches = st.tuples(st.integers(0, 40_000), st.sampled_from([1, 1, 2, 16]), st.integers(0, 255))


@few
@given(base=st.integers(1, 2), wrecks=st.lists(patches, min_size=1, max_size=4))
def test_any_damaged_ledger_is_read_or_refused_and_not_changed(
    bench: Bench, base: int, wrecks: list[tuple[int, int, int]]
) -> None:
    given_bytes = fuzz_worlds.wrecked(*wrecks, base=base)

    assert bench.judge("ledger-bytes", given_bytes) in {"fine", "refused"}


@pytest.mark.parametrize("names", ["{}", '{"a":5}', "[" * 5_000, '{"a'])
async def test_a_damaged_ledger_stops_a_catalog_before_anything_is_sent(
    tmp_path: Path, names: str
) -> None:
    path = tmp_path / "covers.db"
    async with Sandbox(Scenario(rate_limit=None)) as sandbox, connect(sandbox) as client:
        songs = sandbox.add_music(3)
        async with Ledger(path) as ledger:
            await ledger.take_in([Track(song) for song in songs])
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            wreck = "UPDATE tracks SET names = ?, state = 'submitting' WHERE number = 2"
            database.execute(wreck, (names,))

        async def cover() -> None:
            async with (
                Ledger(path) as ledger,
                cover_catalog(client, songs, ledger=ledger) as outcomes,
            ):
                async for _ in outcomes:
                    pass

        with pytest.raises(LedgerError, match="entry 2 is damaged"):
            await cover()

        assert not sandbox.journal.bills


# --- whole HTTP answers -----------------------------------------------------------------------

lines = st.sampled_from(
    [
        "Content-Length: 0",
        "Content-Length: 99999",
        "Content-Length: \u0661",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Content-Encoding: gzip",
        "Content-Encoding: deflate",
        "Content-Encoding: br",
        "Content-Encoding: zstd",
        "Content-Type: text/html; charset=nonsense",
        "Connection: close",
        "Connection: upgrade",
        "Set-Cookie: a=\x01; expires=never",
        "Location: http://[::1",
        "Retry-After: 99999999999999999999",
        "Retry-After: Tue, 99 Oct 9999 99:99:99 +9999",
        "Date: \xff",
        ": ",
        " folded",
        "X" * 9_000 + ": a",
    ]
)
statuses = st.sampled_from(
    ["200 OK", "200", "100 a", "204 a", "301 a", "429 a", "502 a", "099 a", "x"]
)


@few
@given(
    call=st.sampled_from(CALLS),
    status=statuses,
    fields=st.lists(lines, max_size=4),
    content=bodies("details") | st.binary(max_size=200) | st.just(b"2\r\n{}\r\n0\r\n\r\n"),
)
def test_any_http_answer_is_a_value_or_one_of_our_errors(
    bench: Bench, call: str, status: str, fields: list[str], content: bytes
) -> None:
    head = fuzz_worlds.head(*(field.encode().decode("latin-1") for field in fields), status=status)

    bench.judge("http", fuzz_worlds.http(call, head + content))


# --- the judge --------------------------------------------------------------------------------


def test_what_breaks_the_promise_is_found() -> None:
    def judged(feed: Callable[[bytes], str], given_bytes: bytes = b"x") -> str:
        target = fuzz_judge.Target(name="bad", feed=feed, seeds=list, memory=1 << 20)
        wrong: str = fuzz_judge.judge(target, given_bytes, ceiling=0.01).wrong
        return wrong

    def slow(_: bytes) -> str:
        return str(sum(range(2_000_000)))[:0]

    def absurd(_: bytes) -> str:
        fuzz_judge.hold(claim=False, what="a track without an id")
        return ""

    assert judged(lambda _: "fine") == ""
    assert "KeyError" in judged(lambda _: {"a": ""}["b"])
    assert "took" in judged(slow)
    assert " MB for 5,000 bytes" in judged(lambda one: str(len(one * 400))[:0], b"x" * 5_000)
    assert "a track without an id" in judged(absurd)


def test_a_finding_is_brought_back_from_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answers.0"
    file.write_bytes(fuzz_targets.answer("details", body("details")))

    assert fuzz.main(["--replay", str(file)]) == 0
    assert capsys.readouterr().out.startswith("answers: CoverDetails, ")


def test_every_target_can_be_chosen(bench: Bench) -> None:
    assert set(fuzz.NAMES) == set(bench.targets)

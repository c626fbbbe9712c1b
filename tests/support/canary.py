"""Canaries in place of secrets, and a search for them wherever they must not be.

Four secrets: the API key, the secret that signs callback URLs, the key that the host signs
callbacks with, and the token of a callback URL. They belong in these places and in no other:

- the key: the `Authorization` header of a request to the API itself;
- the token: the body of a submit to the API itself, and the URL that the API then calls;
- all of them: the caller itself, that is its frames, its environment and its key file.

Text is searched as it is, with its escapes undone (JSON, Python, percent, HTML), decoded from
base64, hex and UTF-16, and in upper and lower case; a piece of sixteen characters counts as a hit.
An object is searched in its `repr`, `str`, `format`, `vars`, copy and pickle. An exception is
searched with its arguments and notes, its causes and contexts, each member of a group, and every
frame of every traceback: the `repr` of each local, and of each attribute of a local that is an
object of this package. Tools that show locals go no further (`capture_locals`, rich, cgitb, Sentry
with its evaluated expressions). What only a debugger or a memory dump shows, such as the attributes
of aiohttp's session or of a request's body, is not searched.
"""

import base64
import contextlib
import copy
import html
import json
import logging
import os
import pickle
import re
import traceback
import urllib.parse
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import attrs

from suno_cover_async import CallbackReceiver

API_KEY = 'sk-Canary/"7f3A9c2e"+Wren&<Lark>%5d81%'
SECRET = "Canary-secret of the URLs: Zaunkönig 41c0"
HMAC_KEY = "Canary-key of the host: Nightingale/9b27="

_TESTS = Path(__file__).parents[1]
_OURS = re.compile(r"suno_cover_async(?!\.sandbox)")  # the sandbox is the API itself
_PIECE = 16
_ROUNDS = 3
_LARGE = 200_000  # characters, beyond which nothing is decoded: images


def forms(secret: str) -> dict[str, str]:
    """Return a secret in each form in which it is sent or shown."""
    raw = secret.encode()
    return {
        "plain": secret,
        "JSON": "".join(f"\\u{ord(c):04X}" if not c.isalnum() else c for c in secret),
        "JSON, slashes": secret.replace("\\", "\\\\").replace('"', '\\"').replace("/", "\\/"),
        "JSON, all": "".join(f"\\u{ord(c):04x}" for c in secret),
        "percent": urllib.parse.quote(secret),
        "percent, small": re.sub("%..", lambda m: m[0].lower(), urllib.parse.quote(secret, "")),
        "percent, all": "".join(f"%{byte:02X}" for byte in raw),
        "HTML": html.escape(secret),
        "HTML, numbers": "".join(c if c.isalnum() else f"&#{ord(c)};" for c in secret),
        "HTML as Go writes it": secret.translate({ord(c): f"&#{ord(c)};" for c in "+&<>'\""}),
        "JSON in JSON": json.dumps(json.dumps(secret).replace("/", "\\/")),
        "base64": base64.b64encode(raw).decode(),
        "base64 of the header": base64.b64encode(b"Bearer " + raw).decode(),
        "base64 in URLs": base64.urlsafe_b64encode(b"k=" + raw).decode(),
        "hex": raw.hex(),
        "small letters": secret.lower(),
        "repr": repr(f"'{secret}'"),
    }


class Search:
    """Searches for secrets, and remembers where one was.

    Attributes:
        hits: Where one was found, and the text around it.
        searched: How many texts were read.
    """

    def __init__(self, *secrets: str, piece: int = _PIECE) -> None:
        """Search for these secrets; a part of `piece` characters is a hit."""
        self.hits: dict[str, str] = {}
        self.searched = 0
        self._piece = piece
        self._pieces: set[str] = set()
        for secret in secrets:
            self._add(secret)

    def tokens(self, receiver: CallbackReceiver, *music_task_ids: str) -> None:
        """Search for the tokens of these callback URLs as well."""
        for one in music_task_ids:
            self._add(receiver.url(one).rpartition(".")[2])

    def also(self, *secrets: str) -> None:
        """Search for these secrets as well."""
        for one in secrets:
            self._add(one)

    def _add(self, secret: str) -> None:
        for one in (secret.casefold(), secret.encode().decode("latin-1").casefold()):
            starts = range(max(1, len(one) - self._piece + 1))
            self._pieces |= {one[start : start + self._piece] for start in starts}

    def text(self, place: str, text: str | bytes) -> None:
        """Search a text or bytes."""
        self.searched += 1
        for reading in _readings(text):
            folded = reading.casefold()
            found = next((piece for piece in self._pieces if piece in folded), None)
            if found is not None:
                at = folded.index(found)
                self.hits.setdefault(place, folded[max(0, at - 60) : at + 60])
                return

    def value(self, place: str, value: object) -> None:
        """Search an object as it is printed, copied and pickled."""
        seen = [repr(value), str(value), format(value), repr(getattr(value, "__dict__", {}))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            acts = (copy.copy, copy.deepcopy, pickle.dumps, _asdict)
            tried = [_tried(act, value) for act in acts]
        for text in (*seen, *tried):
            self.text(f"{place} ({type(value).__name__})", text)

    def error(self, place: str, error: BaseException) -> None:
        """Search an exception, all exceptions that it refers to, and their frames."""
        for one in _family(error):
            here = f"{place}: {type(one).__name__}"
            self.value(here, one)
            self.text(here, repr((one.args, getattr(one, "__notes__", ()))))
            for frame, line in traceback.walk_tb(one.__traceback__):
                self._frame(here, frame, line)

    def _frame(self, place: str, frame: FrameType, line: int) -> None:
        file = Path(frame.f_code.co_filename)
        if _TESTS in file.parents:  # the caller knows what it gave
            return
        where = f"{place}, {file.name}:{line}"
        for name, value in frame.f_locals.items():
            self.text(f"{where} {name}", repr(value))
            if _is_ours(type(value)):
                self.text(f"{where} {name}.*", repr(_attributes(value)))

    def records(self, records: Iterable[logging.LogRecord]) -> None:
        """Search what was logged, with its arguments, fields and exceptions."""
        for record in records:
            place = f"log of {record.name}"
            self.text(place, logging.Formatter().format(record))
            self.text(place, repr(record.args))
            self.text(f"fields of {place}", repr(vars(record)))
            if record.exc_info and record.exc_info[1] is not None:
                self.error(place, record.exc_info[1])

    def contexts(self, contexts: Iterable[Mapping[str, Any]]) -> None:
        """Search what an event loop's exception handler was called with."""
        for context in contexts:
            self.text("complaint of the loop", repr(context))
            if isinstance(error := context.get("exception"), BaseException):
                self.error("complaint of the loop", error)

    def folder(self, folder: Path) -> None:
        """Search the files of a folder, and their names."""
        for file in sorted(folder.rglob("*")):
            self.text(f"name {file.name}", str(file.relative_to(folder)))
            if file.is_file():
                self.text(f"file {file.name}", file.read_bytes())

    def command_lines(self, root: int) -> None:
        """Search the command lines of a process and of its descendants."""
        parents = dict(_parents())
        for process in parents:
            ancestor: int | None = process
            while ancestor is not None and ancestor != root:
                ancestor = parents.get(ancestor)
            if ancestor == root:
                with contextlib.suppress(OSError):  # it ended
                    words = Path(f"/proc/{process}/cmdline").read_bytes()
                    self.text(f"command line of {process}", words.replace(b"\0", b" "))


def _parents() -> Iterator[tuple[int, int]]:
    """Yield each process of this machine, where there is /proc, with its parent."""
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = place.read_text("latin-1").rpartition(")")[2].split()
            yield int(place.parent.name), int(fields[1])


def _family(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and each that can be reached from it, once."""
    left, seen = [error], set[int]()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += [other for other in (one.__cause__, one.__context__) if other is not None]
        left += getattr(one, "exceptions", ())


def _is_ours(kind: type) -> bool:
    foreign = any(base.__module__.startswith("aiohttp") for base in kind.__mro__)
    return bool(_OURS.match(kind.__module__)) and not foreign


def _attributes(value: object) -> dict[str, object]:
    return {
        name: getattr(value, name)
        for name in {*getattr(value, "__dict__", {}), *_fields(value)}
        if hasattr(value, name)
    }


def _fields(value: object) -> list[str]:
    """Name the fields of a value, slotted ones too; a secret's keeper has none."""
    return [field.name for field in getattr(type(value), "__attrs_attrs__", ())]


def _asdict(value: Any) -> object:
    return attrs.asdict(value) if attrs.has(type(value)) else None


def _tried(act: Callable[[Any], object], value: object) -> str | bytes:
    """Return the result, or the error: either may show a secret."""
    try:
        shown = act(value)
    except Exception as error:  # noqa: BLE001 - foreign objects refuse in their own ways
        shown = error
    return shown if isinstance(shown, bytes) else repr(shown)


def _readings(text: str | bytes) -> Iterator[str]:
    """Yield a text as it is, and with its escapes undone."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    if "\0" in text:
        text = f"{text}\n{text.replace(chr(0), '')}"  # UTF-16 and UTF-32
    yield text
    if len(text) > _LARGE:
        return
    for _ in range(_ROUNDS):
        yield "\n".join(_unpacked(text))
        plain = _unescaped(text)
        if plain == text:
            return
        text = plain
        yield text


_BACKSLASHED = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PACKED = re.compile(r"[A-Za-z0-9+/_-]{20,}")


def _unescaped(text: str) -> str:
    text = _BACKSLASHED.sub(lambda m: m[3] or chr(int(m[1] or m[2], 16)), text)
    text = urllib.parse.unquote(text, "latin-1") if "%" in text else text
    return html.unescape(text) if "&" in text else text


def _unpacked(text: str) -> Iterator[str]:
    """Yield what base64 and hex in a text hold, wherever it was cut off."""
    for packed in _PACKED.findall(text):
        for start in range(4):
            part = packed[start:].replace("-", "+").replace("_", "/")
            yield base64.b64decode(part[: len(part) // 4 * 4]).decode("latin-1")
        for start in range(2):
            part = packed[start:]
            if re.fullmatch(r"[0-9a-fA-F]+", part):
                yield bytes.fromhex(part[: len(part) // 2 * 2]).decode("latin-1")


def environment() -> dict[str, str]:
    """Return an environment in which a command finds the canaries and logs all it can."""
    own = {
        "SUNO_API_KEY": API_KEY,
        "SUNO_CALLBACK_SECRET": SECRET,
        "SUNO_CALLBACK_HMAC_KEY": HMAC_KEY,
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONDEVMODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **own}

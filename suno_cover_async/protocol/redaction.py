"""Remove a secret from text that a server sent, in any encoding it may use there. No I/O."""

import base64
import re
import string
from urllib.parse import quote, unquote, urlsplit

_ESCAPED_SHORT = '/"\\'
_NUMBERED = re.compile(r"\\u00([2-7][0-9a-f])")
_LARGE = 16_384  # characters
_LONG_ENOUGH = 8  # shorter hex or base64 forms could match an id by chance
_SHORTEST_TOKEN = 20  # characters of a part of a path; shorter ones are words
_SEPARATORS = re.compile(r"[/=.,:;]")
_IN_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_IN_HTML_WITH_QUOTES = {**_IN_HTML, ord('"'): "&quot;", ord("'"): "&#x27;"}
_HTML_ESCAPES = [
    *(("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'")),
    *((f"&#{ord(sign)};", sign) for sign in string.punctuation),
    *((f"&#x{ord(sign):x};", sign) for sign in string.punctuation),
]


def written(secret: str) -> tuple[str, ...]:
    """Return the forms in which a server may send back a secret, in lower case, longest first.

    The forms are: plain; escaped for URLs or HTML; in base64, at any offset; in hex.

    Args:
        secret: Printable ASCII.
    """
    raw = secret.encode()
    forms = {secret, quote(secret), quote(secret, safe=""), "".join(map("%{:x}".format, raw))}
    forms |= {secret.translate(_IN_HTML), secret.translate(_IN_HTML_WITH_QUOTES)}
    for number in ("&#{};", "&#x{:x};"):
        forms.add("".join(c if c.isalnum() else number.format(ord(c)) for c in secret))
    if len(secret) >= _LONG_ENOUGH:
        forms |= {raw.hex(), *_base64(raw)}
    return tuple(sorted(map(str.lower, forms), key=len, reverse=True))


def written_url(url: str, music_task_id: str) -> tuple[str, ...]:
    """Return the forms of a callback URL, and of each part of it that may be a token.

    Such parts are the query, its values of 8 characters or more, and parts of the path of 20
    characters or more. A part of the music task's id is none: the answer names that id.

    Args:
        url: The callback URL.
        music_task_id: The music task that it is the callback URL of.
    """
    place = urlsplit(url)
    parts = {place.query, *(part.partition("=")[2] for part in place.query.split("&"))}
    path = _SEPARATORS.split(place.path)
    parts |= {part for part in path if len(part) >= _SHORTEST_TOKEN}
    parts |= set(map(unquote, parts))
    tokens = (one for one in parts if len(one) >= _LONG_ENOUGH and one not in music_task_id)
    forms = {form for secret in (url, *tokens) for form in written(secret)}
    return tuple(sorted(forms, key=len, reverse=True))


def without(text: str, forms: tuple[str, ...], hidden: str = "[key]") -> str:
    """Replace the forms of a secret, in any letter case and any JSON escaping.

    A text without the secret is searched and returned unchanged; this is the cost for every answer.
    A text over 16,384 characters that contains the secret is replaced completely, because
    rewriting it may take long and no honest answer is like that. So is a text from which the
    secret cannot be cut out.

    Args:
        text: The text.
        forms: The forms of the secret, in lower case, longest first.
        hidden: What replaces it.
    """
    small = text.lower()
    if "&" in small or "\\" in small:
        small = _readings(small)
    if not any(map(small.__contains__, forms)):
        return text
    if len(text) > _LARGE:
        return hidden
    patterns = ("".join(map(_however_escaped, form)) for form in forms if form in small)
    rest = re.sub("|".join(patterns), hidden, text, flags=re.IGNORECASE)
    return hidden if any(map(_readings(rest.lower()).__contains__, forms)) else rest


def _readings(small: str) -> str:
    """Return a lower-case text followed by its unescaped forms.

    Pages escape some characters and not others (Go writes + as &#43; but / unchanged), and JSON
    inside JSON is escaped twice.
    """
    if "&" in small:
        small += _from_html(small)
    if "\\" in small:
        once = _unescaped(small)
        small += once + (_unescaped(once) if "\\" in once else "")
    return small


def _from_html(small: str) -> str:
    """Undo HTML escapes of ASCII punctuation, also if they were applied twice."""
    for written, sign in _HTML_ESCAPES:
        small = small.replace(written, sign)
    return small


def _unescaped(small: str) -> str:
    """Undo JSON escapes of lower-case ASCII; other text may be changed as well."""
    for character in _ESCAPED_SHORT:
        small = small.replace(f"\\{character}", character)
    return _NUMBERED.sub(lambda number: chr(int(number[1], 16)), small).lower()


def _however_escaped(character: str) -> str:
    """Return a pattern for a lower-case character in any JSON form: plain, escaped or numeric."""
    plain, small, large = re.escape(character), ord(character), ord(character.upper())
    short = rf"\\{plain}|" if character in _ESCAPED_SHORT else ""
    return rf"(?>{short}\\u00(?:{small:02x}|{large:02x})|{plain})"


def _base64(raw: bytes) -> list[str]:
    """Return the base64 parts that do not depend on the bytes around, in both alphabets."""
    found: list[str] = []
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        end = len(whole) - bool((before + len(raw)) % 3)
        middle = whole[-(-before * 8 // 6) : end]
        found += [middle, middle.replace("+", "-").replace("/", "_")]
    return found

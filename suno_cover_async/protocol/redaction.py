"""A secret taken out of text that a server sent, however it is written there. No I/O."""

import base64
import re
import string
from urllib.parse import quote

_ESCAPED_SHORT = '/"\\'
_NUMBERED = re.compile(r"\\u00([2-7][0-9a-f])")
_HIDDEN = "[key]"
_LARGE = 16_384  # characters
_LONG_ENOUGH = 8  # for what is no more than letters and digits to be no id by chance
_IN_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_IN_HTML_WITH_QUOTES = {**_IN_HTML, ord('"'): "&quot;", ord("'"): "&#x27;"}
_HTML_ESCAPES = [
    *(("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'")),
    *((f"&#{ord(sign)};", sign) for sign in string.punctuation),
    *((f"&#x{ord(sign):x};", sign) for sign in string.punctuation),
]


def written(secret: str) -> tuple[str, ...]:
    """Write a secret in the ways in which a server may send it back, in small letters.

    That is as it is; escaped for URLs or HTML; in base64, whatever stands before it; in hex. The
    longest come first.

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


def without(text: str, forms: tuple[str, ...]) -> str:
    """Put [key] in place of what `written` wrote, large or small, however JSON may have escaped it.

    A text that holds none is searched and not rewritten: that is what every answer costs. A large
    one that holds any becomes [key] as a whole: to rewrite it may take long, and no honest answer
    is one. So does one that holds it in a way that cannot be cut out.
    """
    small = text.lower()
    if "&" in small or "\\" in small:
        small = _readings(small)
    if not any(map(small.__contains__, forms)):
        return text
    if len(text) > _LARGE:
        return _HIDDEN
    patterns = ("".join(map(_however_escaped, form)) for form in forms if form in small)
    rest = re.sub("|".join(patterns), _HIDDEN, text, flags=re.IGNORECASE)
    return _HIDDEN if any(map(_readings(rest.lower()).__contains__, forms)) else rest


def _readings(small: str) -> str:
    """Write behind a text in small letters what is left of it once escapes are undone.

    Pages escape some signs and leave others (Go writes + as &#43; and / as it is), and JSON within
    JSON is escaped twice.
    """
    if "&" in small:
        small += _from_html(small)
    if "\\" in small:
        once = _unescaped(small)
        small += once + (_unescaped(once) if "\\" in once else "")
    return small


def _from_html(small: str) -> str:
    """Undo what pages do to signs of ASCII, also where that was done twice."""
    for written, sign in _HTML_ESCAPES:
        small = small.replace(written, sign)
    return small


def _unescaped(small: str) -> str:
    """Undo what JSON may do to ASCII in small letters, and perhaps more."""
    for character in _ESCAPED_SHORT:
        small = small.replace(f"\\{character}", character)
    return _NUMBERED.sub(lambda number: chr(int(number[1], 16)), small).lower()


def _however_escaped(character: str) -> str:
    """Match a small letter as JSON may write it: as it is, behind a backslash, or by its number."""
    plain, small, large = re.escape(character), ord(character), ord(character.upper())
    short = rf"\\{plain}|" if character in _ESCAPED_SHORT else ""
    return rf"(?>{short}\\u00(?:{small:02x}|{large:02x})|{plain})"


def _base64(raw: bytes) -> list[str]:
    """Write the middle that stays the same whatever stands before and behind, in both alphabets."""
    found: list[str] = []
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        end = len(whole) - bool((before + len(raw)) % 3)
        middle = whole[-(-before * 8 // 6) : end]
        found += [middle, middle.replace("+", "-").replace("/", "_")]
    return found

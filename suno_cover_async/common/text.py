"""Makes text from third parties safe to print, and trims it. It knows nothing but text."""

import re

_NEW_SENTENCE = re.compile(r"""(?<=[\w)"'])\s*\n\s*(?=[A-Z])""")

# Characters that are invisible, although Python calls them printable.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")

# White space, and characters that change the direction of text or have no width.
_INVISIBLE = (
    "\ufeff\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069"
)
_BLANK = (
    " \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000" + _INVISIBLE
)


def printable(text: str, longest: int = 300) -> str:
    """Return the text as one line of at most `longest` visible characters.

    A ? replaces control characters, characters that change the direction of text, and invisible
    ones. Any number of accents is kept, and so are the characters common in mail and chat.
    """
    return "".join(c if is_seen(c) else "?" for c in text[:longest])


def in_one_line(text: str) -> str:
    """Return the lines of a text as one line, with a full stop before a line with a capital."""
    return " ".join(_NEW_SENTENCE.sub(". ", text).split())


def is_seen(character: str) -> bool:
    """Return whether a character is visible or a space, and has no other effect."""
    return character.isprintable() and character not in _UNSEEN


def trimmed(text: str) -> str:
    """Return the text without white space and invisible characters at its start and end."""
    return text.strip(_BLANK)

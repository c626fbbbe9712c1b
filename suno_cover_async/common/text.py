"""Makes text from third parties safe to print. It knows nothing but text."""

# Characters that are invisible, although Python calls them printable.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def printable(text: str, longest: int = 300) -> str:
    """Return the text as one line of at most `longest` visible characters.

    A ? replaces control characters, characters that change the direction of text, and invisible
    ones. Any number of accents is kept, and so are the characters common in mail and chat.
    """
    return "".join(c if is_seen(c) else "?" for c in text[:longest])


def is_seen(character: str) -> bool:
    """Return whether a character is visible or a space, and has no other effect."""
    return character.isprintable() and character not in _UNSEEN

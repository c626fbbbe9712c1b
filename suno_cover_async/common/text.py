"""Strangers' text, made safe to show. It knows nothing but text."""

# Letters and signs that draw nothing, and that Python calls printable.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def printable(text: str, longest: int = 300) -> str:
    """Make it one line of at most `longest` characters that can be seen.

    A ? stands for control characters, for what turns the direction of text, and for what draws
    nothing. Accents stay, however many; what mail and chat show stays as well.
    """
    return "".join(c if is_seen(c) else "?" for c in text[:longest])


def is_seen(character: str) -> bool:
    """Whether it draws something, or is a space, and does nothing else."""
    return character.isprintable() and character not in _UNSEEN

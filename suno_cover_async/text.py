"""Strangers' text, made safe to show. It knows nothing but text."""


def printable(text: str, longest: int = 300) -> str:
    """Make it one line without control characters, of at most `longest` characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:longest])

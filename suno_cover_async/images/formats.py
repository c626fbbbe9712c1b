"""Recognise image formats by the first bytes of a file, not by its name or headers. No I/O."""

import re

_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ".png"),
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"GIF8[79]a"), ".gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), ".webp"),
    (re.compile(rb".{4}ftypavi[fs]", re.DOTALL), ".avif"),
)
SIGNATURE_BYTES = 12
"""How many bytes are needed to recognise the format."""

PNG_END = b"IEND\xaeB`\x82"
"""The last bytes of a complete PNG."""


def suffix_of(head: bytes) -> str | None:
    """Return the suffix for the format of these first bytes; None if it is no known image."""
    return next((suffix for signature, suffix in _SIGNATURES if signature.match(head)), None)

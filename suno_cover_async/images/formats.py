"""Recognise image formats by the first bytes of a file, not by its name or headers. No I/O."""

import re

_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ".png"),
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"GIF8[79]a"), ".gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), ".webp"),
)
_SIGNATURE_BYTES = 12
_LONGEST_FTYP = 1024  # bytes, which hold 250 brands; files have fewer than 10
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

PNG_END = b"IEND\xaeB`\x82"
"""The last bytes of a complete PNG."""


def bytes_needed(head: bytes) -> int:
    """Return how many first bytes are needed to recognise the format, given those read so far.

    12, or for a file that begins with a `ftyp` box as many as the box has, up to 1024.
    """
    if len(head) < _SIGNATURE_BYTES or head[4:8] != b"ftyp":
        return _SIGNATURE_BYTES
    return min(max(int.from_bytes(head[:4], "big"), _SIGNATURE_BYTES), _LONGEST_FTYP)


def suffix_of(head: bytes) -> str | None:
    """Return the suffix for the format of these first bytes; None if it is no known image."""
    if head[4:8] == b"ftyp":
        return ".avif" if _AVIF_BRANDS & _brands(head[: bytes_needed(head)]) else None
    return next((suffix for signature, suffix in _SIGNATURES if signature.match(head)), None)


def _brands(box: bytes) -> set[bytes]:
    """Return the brands of a `ftyp` box: the major one, and the compatible ones behind a version.

    A file may name AVIF only among its compatible brands (ISO/IEC 14496-12, AVIF 1.1).
    """
    compatible = range(16, len(box) - 3, 4)
    return {box[8:12], *(box[place : place + 4] for place in compatible)}

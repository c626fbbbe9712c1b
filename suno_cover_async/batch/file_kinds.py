"""Recognize files that are no catalogs by how they begin, and say what they are and what to do."""

import codecs
import re

_SHEET = "save it as CSV UTF-8"
_BEGINNINGS = (
    (b"PK\x03\x04", "a spreadsheet (.xlsx, .ods, .numbers) or another zip file", _SHEET),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet (.xls) or another Office file", _SHEET),
    (b"%PDF-", "a PDF", "export the table as CSV UTF-8"),
    (b"{\\rtf", "rich text (RTF)", "save it as plain text, UTF-8"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (b"SQLite format 3\0", "an SQLite database", "export its table as CSV or JSON Lines"),
    (codecs.BOM_UTF16_LE, "UTF-16", "save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16", "save it as UTF-8"),
)
_UTF_16 = re.compile(rb"[^\0]\0[^\0]\0|\0[^\0]\0[^\0]|\0[\r\n]", re.DOTALL)  # without a BOM
_MARKUP = re.compile(rb"<(?:!doctype|!--|html|head|body|table|meta|style|\?xml)", re.IGNORECASE)


class OtherFileError(ValueError):
    """A file is no catalog by how it begins, or is empty, whatever its suffix."""


def refuse_other_files(name: str, line: bytes) -> None:
    """Check the first line of a catalog that is not blank.

    Raises:
        OtherFileError: It begins a spreadsheet, HTML, XML, a PDF, rich text, an archive, a
            database or UTF-16.
    """
    for beginning, what, advice in _BEGINNINGS:
        if line.startswith(beginning):
            raise OtherFileError(f"{name} is {what}; {advice}")
    if _UTF_16.match(line):
        raise OtherFileError(f"{name} is UTF-16; save it as UTF-8")
    if _MARKUP.match(line.removeprefix(codecs.BOM_UTF8).lstrip()):
        raise OtherFileError(
            f"{name} is HTML or XML; open it in a spreadsheet program and save it as CSV UTF-8"
        )

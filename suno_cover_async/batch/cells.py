"""Decide what is plainly an id in a catalog, and take off what spreadsheets and editors put around.

It knows the text of one cell; `columns.py` says which cell holds the id.
"""

import re

from suno_cover_async.batch.columns import ID, is_id_name
from suno_cover_async.common.text import trimmed
from suno_cover_async.common.validation import task_id

_QUOTES = {'"': '"', "'": "'", "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}"}
_LONGEST = 200  # characters of an id with all that is around it

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?E[-+]\d+|[-+]?\d+[.,]\d+(?:E[-+]?\d+)?", re.IGNORECASE)
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATE = re.compile(
    rf"\d{{1,4}}-\d{{1,2}}-\d{{1,4}}|\d{{1,2}}-{_MONTH}(?:-\d{{2,4}})?|{_MONTH}-\d{{2,4}}",
    re.IGNORECASE,
)
_NO_VALUE = {
    *("null", "none", "nan", "nat", "nil", "na", "undefined", "inf", "infinity"),
    *("true", "false", "id", "ids"),
}
_TEXT_FORMULA = re.compile(r'="(.*)"', re.DOTALL)  # keeps a spreadsheet from reading a number
_SHEET_ERROR = re.compile(r"#(?:N/A|[A-Z]+(?:/0)?[!?])")


def plain_id(text: str, column: str = ID) -> str:
    r"""Return the music task id that a cell holds: letters, digits, `-` and `_`, at most 128.

    White space and invisible characters around it are removed, and so are `="..."`, a `'` at its
    start, and matching quotes.

    Args:
        text: The text of the cell.
        column: The name of its column, which is no id.

    Raises:
        ValueError: The cell is empty, or holds anything else; the error says what.
    """
    text = _unwrapped(text)
    if text == trimmed(column) or is_id_name(text):
        raise ValueError(f"{ID} must be an id, not the name of its column; remove the line")
    task_id(ID, text)
    if is_sheet_error(text):
        raise ValueError(f"{ID} must be an id, not the error of a spreadsheet: {text!r:.80}")
    if text.startswith("="):
        raise ValueError(f"{ID} must be an id, not a formula: {text!r:.80}; export its value")
    if _NUMBER.fullmatch(text):
        raise ValueError(
            f"{ID} must be an id, not a number: {text!r:.80}; if a spreadsheet rounded it, format "
            "the column as text and paste the ids again"
        )
    if _DATE.fullmatch(text):
        raise ValueError(f"{ID} must be an id, not a date: {text!r:.80}")
    if text.casefold() in _NO_VALUE:
        raise ValueError(f"{ID} must be an id, not {text!r}, which names no song")
    if not _ID.fullmatch(text):
        raise ValueError(
            f"{ID} must be an id of letters, digits, - and _ that begins with a letter or a "
            f"digit, not {text[:80]!r}"
        )
    return text


def is_sheet_error(text: str) -> bool:
    """Return whether a text is what spreadsheets show for an error, such as `#N/A`."""
    return _SHEET_ERROR.fullmatch(text) is not None


def title_of(text: str) -> str:
    """Return a title without white space and byte order marks around it, and without `="..."`."""
    text = without_bom(text).strip()
    formula = _TEXT_FORMULA.fullmatch(text)
    return formula[1].replace('""', '"').strip() if formula else text


def without_bom(text: str) -> str:
    """Return a text without byte order marks at its start and end."""
    return text.strip("\ufeff")


def _unwrapped(text: str) -> str:
    text = trimmed(text)
    if len(text) > _LONGEST:  # no id; each step below copies the text
        return text
    while True:
        if formula := _TEXT_FORMULA.fullmatch(text):
            inner = formula[1]
        elif len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
            inner = text[1:-1]
        elif text.startswith("'"):
            inner = text[1:]
        else:
            return text
        text = trimmed(inner)

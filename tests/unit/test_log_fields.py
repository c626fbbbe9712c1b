"""The fields of the log's records: no name clashes, and nothing that is not known."""

import ast
import logging
from pathlib import Path

import suno_cover_async
from suno_cover_async import RateLimitError
from suno_cover_async.log_fields import fields

PACKAGE = Path(suno_cover_async.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "exception", "log"}
OF_THE_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def test_an_error_brings_its_class_codes_and_ids() -> None:
    error = RateLimitError("too often", code=429, http_status=200, music_task_id="m")

    assert fields("request", error, duration=1.5, path=None) == {
        "event_name": "request",
        "error": "RateLimitError",
        "code": 429,
        "http_status": 200,
        "music_task_id": "m",
        "duration": 1.5,
    }
    assert fields("x", OSError("secret words")) == {"event_name": "x", "error": "OSError"}


def calls() -> list[tuple[str, ast.Call]]:
    """Every call of the package's logger, with its place."""
    return [
        (f"{file.name}:{node.lineno}", node)
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in LEVELS and ast.unparse(node.func.value) in {"_log", "logger"}
    ]


def test_every_record_of_the_package_has_fields() -> None:
    found = {place: {keyword.arg for keyword in call.keywords} for place, call in calls()}

    assert len(found) > 20
    assert [place for place, names in found.items() if "extra" not in names] == []


def test_no_field_has_a_name_of_the_record_or_of_structlog() -> None:
    names = {
        keyword.arg
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "fields"
        for keyword in node.keywords
    }

    assert len(names) > 5
    assert not names & {*OF_THE_RECORD, "event", "level", "logger", "timestamp", "exception"}

"""Write one line to the log for each request to the API, once it ended.

It owns the words of these lines. `transport.py` calls it only while the level INFO is shown.
"""

import logging
from typing import Any

from suno_cover_async.common.json_text import json_object
from suno_cover_async.common.text import printable
from suno_cover_async.errors import SunoCoverError
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.log_fields import fields
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.protocol.requests import Call
from suno_cover_async.protocol.values import whole_number

_log = logging.getLogger("suno_cover_async")

_LONGEST = 2_000  # characters of a line; the longest words of an answer are cut before


def log_request(
    call: Call[Any], answer: Answer | BaseException, outcome: object, *, took: float, key: ApiKey
) -> None:
    """Log method, path and query, HTTP status, the API's code and milliseconds, at INFO.

    Args:
        call: The request; its body, which may hold a token, is not logged.
        answer: Its answer, or why none came.
        outcome: The value that was read from the answer, or the error.
        took: Seconds from the permit to the end of the answer.
        key: The key, which is hidden where an id repeats it.
    """
    status = answer.status if isinstance(answer, Answer) else None
    facts = [] if status is None else [str(status)]
    code, words = code_of(answer, outcome), ""
    if code is not None:
        facts.append(f"code {printable(str(code), 20)}")
    if isinstance(outcome, SunoCoverError):
        words = f": {outcome.message}"
    elif isinstance(outcome, BaseException):
        words = f": {type(outcome).__name__}"
    method = call.method
    line = f"{method} {call.target}: {', '.join([*facts, f'{took * 1000:.0f} ms'])}{words}"
    more = fields(
        "request",
        outcome if isinstance(outcome, BaseException) else None,
        method=method,
        path=call.path,
        http_status=status,
        code=code,
        duration=took,
        music_task_id=_hidden(key, call.music_task_id),
        cover_task_id=_hidden(key, call.cover_task_id),
    )
    _log.info("%s", printable(key.hide_in(line), _LONGEST), extra=more)


def _hidden(key: ApiKey, task_id: str | None) -> str | None:
    return None if task_id is None else key.hide_in(task_id)


def code_of(answer: Answer | BaseException, outcome: object) -> int | None:
    """Return the API's own code; None if the answer is not the API's."""
    if isinstance(outcome, SunoCoverError):
        return outcome.code
    body = json_object(answer.text) if isinstance(answer, Answer) else None
    return None if body is None else whole_number(body.get("code"))

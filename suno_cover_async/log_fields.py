"""The fields of the log's records: facts as attributes, for programs that read the log.

A record gets them by `extra=`, so that structlog's `ExtraAdder` and JSON formatters show them. The
names do not clash with those of `logging.LogRecord`, nor with structlog's `event`.
"""

from suno_cover_async.errors import SunoCoverError


def fields(
    event_name: str, error: BaseException | None = None, **facts: object
) -> dict[str, object]:
    """Return the fields of a record; facts that are None are left out.

    Args:
        event_name: What happened, in one word that never changes, such as "request".
        error: An error whose class, codes and ids are fields too.
        facts: Further fields.
    """
    given = {**_of_error(error), **facts}
    return {"event_name": event_name} | {k: v for k, v in given.items() if v is not None}


def _of_error(error: BaseException | None) -> dict[str, object]:
    if error is None:
        return {}
    if not isinstance(error, SunoCoverError):
        return {"error": type(error).__name__}
    return {
        "error": type(error).__name__,
        "http_status": error.http_status,
        "code": error.code,
        "music_task_id": error.music_task_id,
        "cover_task_id": error.cover_task_id,
    }

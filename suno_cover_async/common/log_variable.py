"""The environment variable SUNO_LOG: it shows this package's log on standard error.

A program that sets up logging by itself is not disturbed: its handlers show the log then.
"""

import logging
import os
from functools import cache

VARIABLE = "SUNO_LOG"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def level_of_variable() -> int | None:
    """Return the level that SUNO_LOG names, in any letter case; None if it is unset or empty.

    Raises:
        ValueError: It names no level.
    """
    name = os.environ.get(VARIABLE, "").strip().lower()
    if name and name not in _LEVELS:
        raise ValueError(f"{VARIABLE} must be debug, info or warning, or unset")
    return _LEVELS.get(name)


@cache
def show_log() -> None:
    """Show the log as SUNO_LOG says, once in a process; without the variable, change nothing.

    A handler for standard error is added only if the log has none, the root logger's included. An
    unknown level is a warning in the log.
    """
    logger = logging.getLogger("suno_cover_async")
    try:
        level = level_of_variable()
    except ValueError as error:
        logger.warning("%s", error, extra={"event_name": "wrong_level"})
        return
    if level is None:
        return
    logger.setLevel(level)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_FORMAT, "%H:%M:%S"))
        logger.addHandler(handler)

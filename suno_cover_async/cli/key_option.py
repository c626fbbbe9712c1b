"""Refuse the API key as an argument: every process of the machine could read it there.

It knows click, and where the key comes from instead. It also hides the key of the environment in
what a command says, since a user may have given that key in place of a profile or another word.
"""

import os
from collections.abc import Callable
from typing import Any

import click

KEY_VARIABLE = "SUNO_API_KEY"


def _refuse_key(_context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(
            f"{parameter.opts[0]} does not exist: a key on the command line can be read by every "
            f"process of the machine, so treat this one as seen by others; set {KEY_VARIABLE}, or "
            "pass --key-file FILE (- is standard input)"
        )


refuse_key: Callable[[Any], Any] = click.option(
    "--api-key",
    "--key",
    "--token",
    hidden=True,
    expose_value=False,
    is_eager=True,
    callback=_refuse_key,
)
"""A hidden option that refuses a key on the command line, and shows nothing of its value."""


def hide_key(text: str) -> str:
    """Return a text without the key of SUNO_API_KEY, if that is a valid one."""
    from suno_cover_async.http.credentials import ApiKey  # noqa: PLC0415 - few commands need it

    key = ApiKey(os.environ.get(KEY_VARIABLE))
    try:
        key.check()
    except ValueError:
        return text
    return key.hide_in(text)

"""Check the arguments of the client's methods that need more than `common/validation.py`.

It opens nothing and keeps nothing.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from suno_cover_async.common import validation
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.images.files import file_stem
from suno_cover_async.models import CoverDetails

if TYPE_CHECKING:  # a client without a receiver does not load aiohttp.web
    from suno_cover_async.callbacks.receiver import CallbackReceiver

NO_CALLBACK_URL = "https://example.com/suno-cover-async/no-callback"
"""Sent when there is no callback URL: the API requires one and does not check it [seen live]."""


def checked_session(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession | None:
    """Return a borrowed session that can be used, or None.

    Raises:
        TypeError: It is no session.
        ValueError: It does not decompress answers.
    """
    if (
        session is None
        or validation.instance("session", session, aiohttp.ClientSession).auto_decompress
    ):
        return session
    raise ValueError("session must be made without auto_decompress=False: answers are compressed")


def check_receiver(receiver: object) -> None:
    """Check the receiver by its notifier, so that its class need not be imported.

    Raises:
        TypeError: It is no receiver.
    """
    if receiver is not None and not isinstance(getattr(receiver, "notifier", None), Notifier):
        raise TypeError(f"receiver must be a CallbackReceiver, not {receiver!r:.80}")


def callback_url_of(given: str | None, receiver: "CallbackReceiver | None") -> Callable[[str], str]:
    """Return a function that returns the callback URL of a music task.

    Raises:
        ValueError: Both are given, or the URL is not valid.
    """
    if receiver is not None:
        if given is not None:
            raise ValueError("give callback_url or receiver, not both: a submit has one URL")
        return receiver.url
    url = validation.callback_url("callback_url", validation.given(given, NO_CALLBACK_URL))
    return lambda _: url


def stem_of(details: CoverDetails, into: str | os.PathLike[str], name: str | None) -> Path:
    """Return the path of a cover's files, without `-1.png`, `-2.png`.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: The details have no images, or `into` is not a valid path.
    """
    validation.instance("details", details, CoverDetails)
    if not details.images:
        raise ValueError(f"cover task {details.cover_task_id} has no images (yet): wait for it")
    folder = validation.folder("into", into)
    own = details.music_task_id or details.cover_task_id
    name = validation.instance("name", validation.given(name, own), str)
    return folder / file_stem(name, identifier=own if own in name else "")

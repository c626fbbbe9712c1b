"""A callback that somebody else made up, who nearly knows where to ring.

Pure, and the same for the same callback: what is wrong with it is drawn from its cover task's id.
"""

import random
import re
import string
from urllib.parse import urlsplit

import attrs
from yarl import URL

from suno_cover_async.sandbox.world import STYLES, Notice

_ALPHABET = string.ascii_letters + string.digits + "-_"  # safe anywhere in a path
_LAST_SEGMENT = re.compile(r"([^/]+)(/*)$")
_CHARACTER = re.compile(r"%[0-9A-Fa-f]{2}|.")  # an escape is one


def forge(callback: Notice) -> Notice:
    """Make a callback of the same cover task, with made-up images, to a URL that is not quite its.

    One character of the last segment of the path is another one; no path becomes `/forged`.
    """
    dice = random.Random(callback.cover_task_id)
    images = tuple(f"/s/{dice.getrandbits(128):032x}.png" for _ in STYLES)
    return attrs.evolve(callback, url=_tampered(callback.url, dice), images=images)


def wrong_key(hmac_key: str) -> str:
    """Name a key that is not this one."""
    return f"not {hmac_key}"


def _tampered(url: str, dice: random.Random) -> str:
    parts = urlsplit(str(URL(url)))  # as it is sent: what needs no escape has none
    last = _LAST_SEGMENT.search(parts.path)
    if last is None:
        return parts._replace(path="/forged").geturl()
    segment, slashes = last.groups()
    path = parts.path[: last.start()] + _with_another(segment, dice) + slashes
    return parts._replace(path=path).geturl()


def _with_another(segment: str, dice: random.Random) -> str:
    characters: list[str] = _CHARACTER.findall(segment)
    place = dice.randrange(len(characters))
    characters[place] = dice.choice(_ALPHABET.replace(characters[place], ""))
    return "".join(characters)

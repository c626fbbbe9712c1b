"""Make a forged callback, as a third party would send that almost knows the callback URL.

It is pure, and returns the same for the same callback: the wrong character is drawn from the cover
task's id.
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
    """Return a callback of the same cover task, with made-up images and an almost right URL.

    One character in the last segment of the path is replaced; a URL without a path gets `/forged`.
    """
    dice = random.Random(callback.cover_task_id)
    images = tuple(f"/s/{dice.getrandbits(128):032x}.png" for _ in STYLES)
    return attrs.evolve(callback, url=_tampered(callback.url, dice), images=images)


def wrong_key(hmac_key: str) -> str:
    """Return a key that differs from this one."""
    return f"not {hmac_key}"


def _tampered(url: str, dice: random.Random) -> str:
    parts = urlsplit(str(URL(url)))  # as it is sent: yarl removes needless escapes
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

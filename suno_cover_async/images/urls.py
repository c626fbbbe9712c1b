"""Decide which URLs of images may be requested, and show them without secrets. No I/O.

Addresses are checked later, at connect, when they are known: see `downloader.py`.
"""

import unicodedata

from yarl import URL  # aiohttp's own URL type, so the URL that is checked is the one requested

from suno_cover_async.common.addresses import is_loopback
from suno_cover_async.common.text import printable
from suno_cover_async.errors import DownloadError

_LONGEST_HOST = 253  # characters (RFC 1035)


def parsed(url: str) -> URL | None:
    """Parse a URL; None if it is invalid or its host name is too long."""
    # The length is checked before the host name is encoded: encoding a long one may take 0.5 s.
    try:
        name = URL(url, encoded=True).raw_host or ""
        if max(len(name), len(unicodedata.normalize("NFKC", name))) > _LONGEST_HOST:
            return None
        place = URL(url)
        _ = place.host, place.port
    except (ValueError, IndexError):  # yarl raises IndexError for https://[]@
        return None
    return place


def checked(place: URL | None, *, loopback: bool) -> URL:
    """Return the URL of an image without its fragment, or raise DownloadError.

    Addresses are checked later, at connect, when they are known.
    """
    if place is None or not place.host:
        scheme = f"{printable(place.scheme, 20)}:" if place is not None and place.scheme else "it"
        raise DownloadError(f"the image's URL is refused: {scheme} names no https host")
    if place.user is not None or place.password is not None:
        raise DownloadError(f"image {shown(place)} is refused: its URL holds a user name")
    plain = loopback and place.scheme == "http" and is_loopback(place.host)
    if place.scheme != "https" and not plain:
        raise DownloadError(
            f"image {shown(place)} is refused: only https is fetched; request the details "
            "again, or report it to the host"
        )
    return place.with_fragment(None)


def shown(url: URL) -> str:
    """Return a URL for messages, without possible secrets: user, password, query, fragment."""
    return printable(str(url.with_user(None).with_query(None).with_fragment(None)))

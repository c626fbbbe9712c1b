"""Decide which URLs of images may be requested, and show them without secrets. No I/O.

A URL is requested byte for byte as the API or a redirect wrote it, since its signature may cover
each byte. Addresses that names resolve to are checked later, at connect: see `downloader.py`.
"""

import re
import string
import unicodedata
from urllib.parse import quote

from yarl import URL  # aiohttp's own URL type, so the URL that is checked is the one requested

from suno_cover_async.common.addresses import is_loopback
from suno_cover_async.common.text import printable
from suno_cover_async.errors import DownloadError

_LONGEST_HOST = 253  # characters (RFC 1035)
# A proxy may read `127%2e0%2e0%2e1`, `127.0.0.1..` and `127.0.0.1 x` as an address, as we do not.
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[^:/]*:.*", re.IGNORECASE | re.ASCII)
_MAY_STAND = string.ascii_letters + string.digits + "-._~:/?#[]@!$&'()*+,;=%"  # RFC 3986


def parsed(url: str) -> URL | None:
    """Parse a URL; None if it is invalid or its host name is too long.

    The result holds path and query together as its path, so that aiohttp sends them unchanged: yarl
    would decode `%7E`, resolve `/../` and drop an empty query. Only characters that may not stand
    in a URL, such as spaces and letters with accents, are percent-encoded.
    """
    # The length is checked before the host name is encoded: encoding a long one may take 0.5 s.
    try:
        raw = URL(url, encoded=True)
        name = raw.raw_host or ""
        if max(len(name), len(unicodedata.normalize("NFKC", name))) > _LONGEST_HOST:
            return None
        if not name:
            return raw
        origin = URL(f"{raw.scheme}://{raw.raw_authority}")
        _ = origin.host, origin.port
        query = f"?{raw.raw_query_string}" if "?" in url.partition("#")[0] else ""
        # aiohttp decodes headers so that bytes which are not UTF-8 become lone surrogates.
        target = quote(raw.raw_path + query, safe=_MAY_STAND, errors="surrogateescape")
        return URL.build(
            scheme=origin.scheme, authority=origin.raw_authority, path=target, encoded=True
        )
    except (ValueError, IndexError):  # yarl raises IndexError for https://[]@
        return None


def joined(base: URL, location: str) -> str:
    """Return the URL that a redirect names, as text, without a change to what it wrote.

    Only the `./` and `../` that a relative path begins with are resolved (RFC 3986, 5.2).
    """
    place = location
    scheme, colon, _ = place.partition(":")
    if colon and scheme[:1].isalpha() and not set(scheme) - _IN_A_SCHEME:
        return place
    if place.startswith("//"):
        return f"{base.scheme}:{place}"
    path, _, _ = base.raw_path.partition("?")
    if place.startswith("/"):
        path = ""
    elif not place.startswith(("?", "#")):
        path = path[: path.rindex("/") + 1]
        while place.startswith(("./", "../")):
            step, _, place = place.partition("/")
            path = path if step == "." else path[: path[:-1].rfind("/") + 1] or "/"
    return f"{base.scheme}://{base.raw_authority}{path}{place}"


_IN_A_SCHEME = frozenset(string.ascii_letters + string.digits + "+-.")


def checked(place: URL | None, *, loopback: bool) -> URL:
    """Return the URL of an image without its fragment, or raise DownloadError.

    Addresses are checked later, at connect, when they are known.
    """
    if place is None or not _HOST.fullmatch(place.raw_host or ""):
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
    plain = str(url.with_user(None).with_query(None).with_fragment(None))
    return printable(plain.partition("?")[0])  # `parsed` keeps the query in the path

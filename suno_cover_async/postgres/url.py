"""Read the URL of a PostgreSQL database, and show it without its secrets.

It must not connect to anything, and works without psycopg.
"""

import re
from typing import NoReturn
from urllib.parse import quote, unquote

import attrs

from suno_cover_async.common.text import in_one_line, printable

_BEGINNING = re.compile(r"postgres(ql)?(\+\w+)?://", re.IGNORECASE)
# As libpq reads it, but without what libpq takes for something else than was meant: a password with
# @, / or ? in it, whose rest would be a host or a database that messages show.
_URL = re.compile(
    r"postgres(?:ql)?://"
    r"(?P<login>(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?P<hosts>[^@/?#]*)(?P<path>/[^@/?#]*)?(?:\?(?P<query>[^@#]*))?",
    re.IGNORECASE,
)
_HOST = re.compile(r"(\[[0-9a-z:.%]+\]|[^][:]*)(:[0-9]*)?", re.IGNORECASE)
_PARAMETER = re.compile(r"[^=]+=[^=]*")
_BAD_PERCENT = re.compile(r"%(?![0-9a-f]{2})|%00", re.IGNORECASE)
_SECRETS = ("password", "sslpassword", "oauth_client_secret")
_PLACES = ("user", "host", "hostaddr", "port", "dbname", "service")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_DEFAULT_SCHEMA = "suno_cover"
_NOT_A_URL = (
    "it is no URL of a PostgreSQL database, such as postgresql://user@host:5432/database; each "
    "special character of a password is percent-encoded in it, such as %40 for @"
)


def is_postgres_url(given: object) -> bool:
    """Return whether a value is text that begins as the URL of a PostgreSQL database does."""
    return isinstance(given, str) and bool(_BEGINNING.match(given))


def names_database(given: object) -> bool:
    """Return whether a value is the URL of a PostgreSQL database, and not the path of a file.

    Raises:
        ValueError: It is text with `://` that is neither; the message does not repeat it.
    """
    is_url = is_postgres_url(given)
    if isinstance(given, str) and "://" in given and not is_url:
        del given  # it may hold a password, and some tools show the values in an error's frames
        raise ValueError("not a URL of PostgreSQL (postgresql://user@host/database), and no path")
    return is_url


class _Hidden:
    """What must not be shown: `repr` shows none of it, and it is not pickled."""

    __slots__ = ("conninfo", "secrets")

    def __init__(self, conninfo: str, secrets: set[str]) -> None:
        self.conninfo = conninfo
        # One may be a part of another, so that the longest is replaced first.
        self.secrets = sorted(secrets - {""}, key=len, reverse=True)

    def __reduce__(self) -> NoReturn:
        raise TypeError("the URL of a database may hold a password, so it is not pickled")


@attrs.frozen
class DatabaseUrl:
    """The URL of a PostgreSQL database.

    Attributes:
        schema: The schema with our tables, from the URL's parameter `schema`.
        shown: The URL for messages: user, hosts, database, and the schema if it is not the usual
            one.
    """

    schema: str
    shown: str
    _hidden: _Hidden = attrs.field(repr=False, eq=lambda hidden: hidden.conninfo)

    @property
    def conninfo(self) -> str:
        """The URL for the driver, without our own parameter `schema`; it may hold a password."""
        return self._hidden.conninfo

    @property
    def has_password(self) -> bool:
        """Whether the URL holds a secret: other users see it in the arguments of a command."""
        return bool(self._hidden.secrets)

    @classmethod
    def parse(cls, url: str) -> "DatabaseUrl":
        """Read a URL such as `postgresql://user@host:5432/database?schema=label_a`.

        Names, values and the number of the parameters are for the driver to check.

        Raises:
            ValueError: It is no such URL, or the schema's name is not made of small letters,
                digits and `_`; the message does not repeat the URL, since it may hold a password.
        """
        read = _read(url)
        del url  # some tools show the values in the frames of an error
        if isinstance(read, cls):
            return read
        raise ValueError(read)

    def hide(self, text: str) -> str:
        """Return text, such as an error's, in one printable line, without the URL's secrets."""
        for secret in self._hidden.secrets:
            text = text.replace(secret, "***")
        return printable(in_one_line(text))


def _forms(secret: str) -> set[str]:
    """Return a part of a URL as it is there, as it is meant, and as others write it in URLs."""
    plain = unquote(secret)
    return {secret, plain, quote(plain), quote(plain, safe="")}


def _split(url: str) -> tuple[re.Match[str], list[str]] | None:
    """Return the parts of a URL, and its parameters; None if it is none."""
    parts = _URL.fullmatch(url) if url.isprintable() and " " not in url else None
    if parts is None or _BAD_PERCENT.search(url):
        return None
    try:
        unquote(url, errors="strict")
    except UnicodeDecodeError:
        return None
    parameters = parts["query"].split("&") if parts["query"] else []
    valid = (
        *map(_HOST.fullmatch, parts["hosts"].split(",")),
        *map(_PARAMETER.fullmatch, parameters),
    )
    return (parts, parameters) if all(valid) else None


def _read(url: str) -> DatabaseUrl | str:
    """Return a URL's values, or what is wrong with it, in words that hold no secret."""
    split = _split(url)
    if split is None:
        return _NOT_A_URL
    parts, parameters = split
    schema, passed, places = _DEFAULT_SCHEMA, list[str](), list[str]()
    secrets = _forms(parts["password"] or "")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        name = unquote(name)
        if name == "schema":
            schema = unquote(value)
            continue
        passed.append(parameter)
        if name in _PLACES:
            places.append(parameter)
        if name in _SECRETS:
            secrets |= _forms(value)
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        return (
            "its schema must be named by small letters, digits and _, and not begin with pg_; it "
            f"is {printable(schema, 80)!r}"
        )
    if schema != _DEFAULT_SCHEMA:
        places.append(f"schema={schema}")
    hosts, path = parts["hosts"], parts["path"] or ""
    user = f"{parts['user']}@" if parts["user"] else ""
    login, query, shown = parts["login"] or "", "&".join(passed), "&".join(places)
    return DatabaseUrl(
        schema,
        printable(f"postgresql://{user}{hosts}{path}{shown and '?'}{shown}"),
        _Hidden(f"postgresql://{login}{hosts}{path}{query and '?'}{query}", secrets),
    )

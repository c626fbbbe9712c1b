"""Read the URL of a PostgreSQL database, and show it without its secrets.

It must not connect to anything.
"""

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import attrs

from suno_cover_async.common.text import printable

_SCHEMES = ("postgresql", "postgres")
_SECRETS = ("password", "sslpassword", "passfile", "oauth_client_secret")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_DEFAULT_SCHEMA = "suno_cover"


def is_postgres_url(given: object) -> bool:
    """Return whether a value is text that begins as the URL of a PostgreSQL database does."""
    return isinstance(given, str) and given.partition("://")[0].lower() in _SCHEMES


@attrs.frozen
class DatabaseUrl:
    """The URL of a PostgreSQL database.

    Attributes:
        conninfo: The URL for the driver, without our own parameter `schema`. It may hold a
            password, so it is never shown.
        schema: The schema with our tables, from the URL's parameter `schema`.
        shown: The URL for messages: user, hosts, database, and the schema if it is not the usual
            one.
        has_password: Whether the URL holds a secret, which other users of a machine could read in
            a command's arguments.
    """

    conninfo: str = attrs.field(repr=False)
    schema: str
    shown: str
    has_password: bool
    _secrets: tuple[str, ...] = attrs.field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "DatabaseUrl":
        """Read a URL such as `postgresql://user@host:5432/database?schema=label_a`.

        Raises:
            ValueError: It is no such URL, or the schema's name is not made of small letters,
                digits and `_`; the message does not repeat it, since it may hold a password.
        """
        try:
            parts = urlsplit(url)
            options = parse_qsl(
                parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)
            )
        except ValueError:
            raise ValueError(_NOT_A_URL) from None
        if not is_postgres_url(url) or parts.fragment:
            raise ValueError(_NOT_A_URL)
        schema = dict(options).get("schema", _DEFAULT_SCHEMA)
        if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
            raise ValueError(
                f"schema must be small letters, digits and _, not {printable(schema, 80)!r}"
            )
        rest = [(name, value) for name, value in options if name != "schema"]
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        secrets = [unquote(password), password]
        secrets += [value for name, value in rest if name in _SECRETS]
        usual = schema == _DEFAULT_SCHEMA
        where = f"{user}@{hosts}" if user else hosts
        shown = f"postgresql://{where}{parts.path}" + ("" if usual else f"?schema={schema}")
        return cls(
            conninfo=urlunsplit(parts._replace(query=urlencode(rest, quote_via=quote))),
            schema=schema,
            shown=printable(shown),
            has_password=any(secrets),
            secrets=tuple({secret for secret in secrets if secret}),
        )

    def hide(self, text: str) -> str:
        """Return text, such as an error's, without the secrets of the URL, in printable form."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return printable(" ".join(text.split()))


_NOT_A_URL = "it is no URL of a PostgreSQL database, such as postgresql://user@host/database"

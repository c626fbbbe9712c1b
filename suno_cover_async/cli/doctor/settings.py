"""Check the config file, the profile, each setting with its origin, and the key, never shown.

It reads files and the environment; it connects to nothing.
"""

import os
import re
import stat
import sys
import urllib.request
from ipaddress import ip_network

import attrs
import click
from yarl import URL

from suno_cover_async.cli import settings
from suno_cover_async.cli.config_file import ConfigError, shown
from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.doctor.finding import Finding, ok, warning
from suno_cover_async.cli.doctor.finding import fault as found_fault
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.key_option import KEY_VARIABLE, hide_key
from suno_cover_async.cli.profiles import PROFILE_VARIABLE, named, read_profiles
from suno_cover_async.cli.shared_limit import is_on_this_machine
from suno_cover_async.common.text import printable
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.network.proxies import proxies

_LENGTH = re.compile(r"has only \d+ characters")
_URL_USER = ("://.*@", "^.*@")  # also with commas in it
_HOST_PATTERN = re.compile(r"[\w*.-]+(:\d{1,5})?")
_READERS = stat.S_IRGRP | stat.S_IROTH


@attrs.frozen(kw_only=True)
class Checked:
    """What the settings are, for the checks that need them.

    Attributes:
        findings: What was found.
        connection: The connection with its profile; None if the config file cannot be used.
        key: The key, if it is valid.
        base_url: The base URL, if it is valid.
    """

    findings: list[Finding]
    connection: Connection | None = None
    key: ApiKey | None = None
    base_url: str | None = None

    def hide(self, text: str) -> str:
        """Return a text without the key and that of SUNO_API_KEY, in any of the usual encodings.

        The latter is known also while no other setting is.
        """
        text = hide_key(text)
        return text if self.key is None else self.key.hide_in(text)


def check_settings(connection: Connection) -> Checked:
    """Check all settings; this may block."""
    try:
        profiles = read_profiles()
    except ConfigError as error:
        return Checked(findings=[_fault("config file", error.message)])
    if profiles.path is None:
        findings = [ok("config file", "none: there is no home directory")]
    elif profiles.exists:
        findings = [ok("config file", shown(profiles.path))]
    else:
        findings = [ok("config file", f"none at {shown(profiles.path)}")]
    try:
        connection = attrs.evolve(connection, applied=profiles.choose(connection.profile))
    except ConfigError as error:
        return Checked(findings=[*findings, _fault("profile", error.message)])
    findings.append(_profile(connection))
    base_url, of_base_url = _base_url(connection)
    key, of_key = _key(connection)
    findings += [*_plain(connection), _shared_limit(connection, base_url)]
    findings += [of_base_url, _proxy(connection, base_url), *of_key]
    findings.append(_callbacks())
    return Checked(findings=findings, connection=connection, key=key, base_url=base_url)


def _fault(check: str, message: str, code: ExitCode = ExitCode.USAGE) -> Finding:
    return found_fault(check, message, code=code)


def _profile(connection: Connection) -> Finding:
    name = connection.applied.name
    if name is None:
        return ok("profile", "none")
    if connection.profile is not None:
        return ok("profile", f"{name} (--profile)")
    return ok("profile", f"{name} ({PROFILE_VARIABLE if named(None) else 'default of the file'})")


def _plain(connection: Connection) -> list[Finding]:
    """Return the settings that need no more than to be shown."""
    host, timeout = settings.host(connection), settings.timeout(connection)
    poll, fake_ip = settings.poll(connection), settings.fake_ip(connection)
    polls = "as learned" if poll.value is None else f"{poll.value:g} s"
    return [
        ok("host", f"{host.value.name} ({host.origin})"),
        ok("timeout", f"{timeout.value:g} s ({timeout.origin})"),
        ok("poll", f"{polls} ({poll.origin})"),
        ok("fake-ip", f"{', '.join(fake_ip.value) or 'none'} ({fake_ip.origin})"),
    ]


def _shared_limit(connection: Connection, base_url: str | None) -> Finding:
    shared = settings.shared_limit(connection)
    if shared.value and base_url is not None and is_on_this_machine(base_url):
        return ok("shared limit", "no: the API is on this machine")
    return ok("shared limit", f"{'yes' if shared.value else 'no'} ({shared.origin})")


def _base_url(connection: Connection) -> tuple[str | None, Finding]:
    try:
        found = settings.base_url(connection)
    except ValueError as error:
        return None, _fault("base URL", f"{error}; correct it")
    return found.value, ok("base URL", f"{found.value} ({found.origin})")


def _proxy(connection: Connection, base_url: str | None) -> Finding:
    try:
        found = settings.proxy(connection)
        proxy = proxies(found.value, trust_env=True).of(URL(base_url or "https://example.com"))
    except ValueError as error:
        return _fault("proxy", str(error), ExitCode.FAILED)
    bypassed = urllib.request.getproxies().get("no")
    besides = f"; NO_PROXY is {bypass_shown(bypassed)}" if bypassed else ""
    if proxy is None:
        return ok("proxy", f"none for this host{besides}")
    return ok("proxy", f"{proxy_shown(proxy)} ({found.origin}){besides}")


def proxy_shown(proxy: URL) -> str:
    """Return the URL of a proxy without its user name and password."""
    return printable(str(proxy.origin()), 200)


def bypass_shown(value: str) -> str:
    """Return what NO_PROXY holds without its entries that are no host, network or `*` pattern.

    Such an entry may be a URL with a password.
    """
    for user in _URL_USER:
        value = re.sub(user, "://", value, flags=re.DOTALL)
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    shown = [entry for entry in entries if _is_host_pattern(entry)]
    words = printable(", ".join(shown), 200) or "set"
    hidden = len(entries) - len(shown)
    if hidden == 1:
        words += " (1 entry is not shown: it is no host name)"
    elif hidden:
        words += f" ({hidden} entries are not shown: they are no host names)"
    return words


def _is_host_pattern(entry: str) -> bool:
    try:
        ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return _HOST_PATTERN.fullmatch(entry) is not None
    return "%" not in entry  # after which any text may stand


def _key(connection: Connection) -> tuple[ApiKey | None, list[Finding]]:
    """Read and check the key; nothing of it is shown, not even its length."""
    found = settings.key_file(connection)
    try:
        key = ApiKey(connection.key())
        key.check()
    except (click.ClickException, ValueError) as error:
        message = error.message if isinstance(error, click.ClickException) else str(error)
        message = _LENGTH.sub("has too few characters", message)  # not even its length is shown
        return None, [_fault("key", message, ExitCode.KEY)]
    findings = [_source(connection, found.origin)]
    if found.value not in (None, "-"):
        findings += _readers(found.value)
    return key, findings


def _source(connection: Connection, origin: str) -> Finding:
    """Say where the key is from; a variable that is set for all commands hides a profile's key."""
    words = f"its form is valid (from {origin})"
    if origin != KEY_VARIABLE or connection.applied.key_file is None:
        return ok("key", words)
    return warning(
        "key",
        f"{words}, which is before the key file of the profile {connection.applied.name}",
        f"run unset {KEY_VARIABLE} if the key of the profile is meant",
    )


def _readers(name: str) -> list[Finding]:
    """Warn of a key file that others can read; its name is not shown, in case it is the key."""
    if sys.platform == "win32":
        return []
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116 - it may be any text
    except (OSError, ValueError):
        return []
    if stat.S_ISREG(mode) and mode & _READERS:
        return [warning("key file", "other users can read it", "run chmod 600 on that file")]
    return [ok("key file", "other users cannot read it")]


def _callbacks() -> Finding:
    def is_set(name: str) -> str:
        return f"{name} is {'set' if os.environ.get(name) else 'not set'}"

    names = ("SUNO_CALLBACK_SECRET", "SUNO_CALLBACK_HMAC_KEY")
    return ok("callbacks", f"{' and '.join(map(is_set, names))}; only --listen uses them")

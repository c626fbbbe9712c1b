"""Define what the config file may hold, check it, and choose a profile.

It owns the names of the settings and the rules of their values, which are those of the options. A
key has no place in the file: what resembles one is refused, and never shown.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from suno_cover_async.cli.config_file import ConfigError, config_path, read_config, shown
from suno_cover_async.cli.key_option import hide_key
from suno_cover_async.common import validation
from suno_cover_async.common.addresses import fake_ip_networks
from suno_cover_async.common.json_text import is_list, is_object
from suno_cover_async.common.text import printable
from suno_cover_async.hosts import HOSTS

PROFILE_VARIABLE = "SUNO_PROFILE"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NAMES_OF_KEYS = re.compile(r"key|token|secret|passw|bearer|auth|credential", re.IGNORECASE)
_KEY = re.compile(  # the keys that were seen have 32 hexadecimal digits
    r"(?i:\b(?:sk|pk)[-_]|\bbearer\s|\bauthorization\s*:)[^/]{6}|"
    r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{24,}(?![A-Za-z0-9])"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ELSEWHERE = "keys do not belong in this file; use key_file, --key-file or SUNO_API_KEY"


@attrs.frozen(kw_only=True)
class Profile:
    """Settings that apply where neither an option nor the environment says otherwise.

    Attributes:
        name: Its name in the config file; None is no profile.
        host: The name of the host.
        base_url: The base URL of the API.
        key_file: The absolute path of a file with the API key.
        timeout: The most seconds to wait for a cover.
        poll: The least seconds between two polls of a cover.
        proxy: The URL of a proxy without a password.
        fake_ip: Networks from which a proxy's resolver answers.
        shared_limit: Whether commands share the account's limit.
    """

    name: str | None = None
    host: str | None = None
    base_url: str | None = None
    key_file: str | None = None
    timeout: float | None = None
    poll: float | None = None
    proxy: str | None = None
    fake_ip: tuple[str, ...] = ()
    shared_limit: bool | None = None


NO_PROFILE = Profile()


@attrs.frozen(kw_only=True)
class Profiles:
    """The checked content of a config file.

    Attributes:
        path: The file; None if the user has no config folder.
        exists: Whether there is a file.
        default: The name of the profile that applies if none is named.
        profiles: The profiles by name.
    """

    path: Path | None = None
    exists: bool = False
    default: str | None = None
    profiles: Mapping[str, Profile] = attrs.field(factory=dict[str, Profile])

    def choose(self, option: str | None) -> Profile:
        """Return the profile that --profile names, else SUNO_PROFILE, else the file itself.

        Raises:
            ConfigError: There is no such profile.
        """
        name = named(option) or self.default
        if name is None:
            return NO_PROFILE
        if name in self.profiles:
            return self.profiles[name]
        where = "no config file can be found" if self.path is None else f"{shown(self.path)} has "
        if self.path is not None:
            listed = ", ".join(sorted(self.profiles)) or "none"
            where += f"these profiles: {listed}" if self.exists else "no file yet"
        raise ConfigError(f"there is no profile {_quoted(name)}: {where}; check the name")


def named(option: str | None) -> str | None:
    """Return the name of the profile that is asked for; None if none is."""
    if option is not None:
        return option
    return os.environ.get(PROFILE_VARIABLE) or None


def read_profiles() -> Profiles:
    """Read and check the config file; a missing one has no profiles.

    Raises:
        ConfigError: The file cannot be trusted or read, or one of its values is invalid.
    """
    path = config_path()
    content = None if path is None else read_config(path)
    if path is None or content is None:
        return Profiles(path=path)
    return _checked(path, content)


def profile_names() -> list[str]:
    """Return the names of the profiles, for completion; none if the file cannot be used."""
    try:
        return sorted(read_profiles().profiles)
    except (ConfigError, OSError):
        return []


def _checked(path: Path, content: Mapping[str, Any]) -> Profiles:
    where = f"the config file {shown(path)}"
    _refuse_names(where, content, ("default", "profiles"))
    tables = content.get("profiles", {})
    if not is_object(tables):
        raise ConfigError(f"{where}: profiles must be tables, such as [profiles.work]")
    found = {name: _profile(where, name, table) for name, table in tables.items()}
    default = content.get("default")
    if default is not None and not (isinstance(default, str) and default in found):
        listed = ", ".join(sorted(found)) or "none"
        raise ConfigError(
            f"{where}: default must be the name of a profile in it, which are: {listed}"
        )
    return Profiles(path=path, exists=True, default=default, profiles=found)


def _profile(where: str, name: str, table: object) -> Profile:
    if resembles_key(name):
        raise ConfigError(f"{where}: a profile has a name that resembles a key; {_ELSEWHERE}")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: the name of the profile {_quoted(name)} must be 1 to 64 letters, digits, "
            "and _ . - after the first"
        )
    where = f"{where}, profile {name}"
    if not is_object(table):
        raise ConfigError(f"{where}: it must be a table, such as [profiles.{name}]")
    _refuse_names(where, table, tuple(_CHECKS))
    values: dict[str, Any] = {}
    for setting, value in table.items():
        if setting != "key_file":  # a path, which may be named after a key and is not shown
            _refuse_key(f"{where}: {setting}", value)
        try:
            values[setting] = _CHECKS[setting](setting, value)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{where}: {printable(str(error))}") from None
    return Profile(name=name, **values)


def _refuse_names(where: str, table: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    """Refuse names that are no setting; one that resembles a key's is told what it is."""
    for name in table:
        if name in allowed:
            continue
        if resembles_key(name):
            raise ConfigError(f"{where}: a name in it resembles a key; {_ELSEWHERE}")
        if _NAMES_OF_KEYS.search(name):
            raise ConfigError(f"{where}: {_quoted(name)} is not allowed: {_ELSEWHERE}")
        raise ConfigError(
            f"{where}: {_quoted(name)} is no setting; the settings are {', '.join(allowed)}"
        )


def _refuse_key(where: str, value: object) -> None:
    values = value if is_list(value) else [value]
    for one in values:
        # A host's name may have long parts, such as those of cloud functions.
        text = re.sub(r"^https?://[^/@]*(?=/|$)", "", one) if isinstance(one, str) else ""
        if resembles_key(text):
            raise ConfigError(f"{where} resembles a key (it is not shown); {_ELSEWHERE}")


def resembles_key(text: str) -> bool:
    """Return whether a text holds what may be an API key."""
    return _KEY.search(text) is not None


def _quoted(name: str) -> str:
    """Return a name for a message, or that there is one if it may be a key."""
    if resembles_key(name) or _UUID.search(name):  # a URL may well hold a UUID
        return "that was named"
    return repr(printable(hide_key(name), 40))  # a key that is cut is not found


def _host(setting: str, value: object) -> str:
    if isinstance(value, str) and value.lower() in HOSTS:
        return value.lower()
    raise ValueError(f"{setting} must be one of {', '.join(HOSTS)}")


def _text(setting: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{setting} must be text in quotation marks")
    return value


def _base_url(setting: str, value: object) -> str:
    return validation.base_url(setting, _text(setting, value))


def _key_file(setting: str, value: object) -> str:
    """Check the path of the key's file: a relative one would be in the working folder."""
    text = _text(setting, value)
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        path = Path()
    if not path.is_absolute() or "\0" in text:
        raise ValueError(
            f"{setting} must be the path of a file, from / or ~ on (it is not shown, in case it is "
            "the key: keys do not belong in this file)"
        )
    return str(path)


def _seconds(setting: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{setting} must be a number of seconds")
    if not 0 < value <= sys.float_info.max:
        raise ValueError(f"{setting} must be a finite number of seconds above 0")
    return float(value)


def _proxy(setting: str, value: object) -> str:
    from suno_cover_async.network.proxies import proxies  # noqa: PLC0415 - it loads yarl

    text = _text(setting, value)
    if "@" in text:
        raise ValueError(
            f"{setting} must hold no user name and no password; set HTTPS_PROXY to the whole URL"
        )
    try:
        proxies(text, trust_env=False)
    except ValueError as error:
        raise ValueError(str(error).replace("proxy", setting, 1)) from None
    return text


def _fake_ip(setting: str, value: object) -> tuple[str, ...]:
    if not is_list(value):
        raise TypeError(f'{setting} must be a list of networks, such as ["198.18.0.0/15"]')
    fake_ip_networks(setting, value)
    return tuple(value)


def _shared_limit(setting: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{setting} must be true or false")
    return value


_CHECKS: Mapping[str, Callable[[str, object], Any]] = {
    "host": _host,
    "base_url": _base_url,
    "key_file": _key_file,
    "timeout": _seconds,
    "poll": _seconds,
    "proxy": _proxy,
    "fake_ip": _fake_ip,
    "shared_limit": _shared_limit,
}
"""The settings that a profile may have, and the check of each."""

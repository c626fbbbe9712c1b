"""Decide which value a setting of a connection has, and from where it comes.

The order is the same for all: the option, the environment, the profile, the default. It knows the
names of options and variables; it reads no file and opens nothing.
"""

import os
import urllib.request
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from suno_cover_async.cli.key_option import KEY_VARIABLE
from suno_cover_async.common import validation
from suno_cover_async.hosts import HOSTS, SUNOAPI, Host
from suno_cover_async.network.proxies import proxies
from suno_cover_async.policies import PollPolicy

if TYPE_CHECKING:
    from suno_cover_async.cli.connection import Connection

T = TypeVar("T")

BASE_URL_VARIABLE = "SUNO_BASE_URL"
DEFAULT = "default"


@attrs.frozen
class Setting(Generic[T]):
    """The value of a setting, and from where it comes.

    Attributes:
        value: The value.
        origin: The option, the variable or the profile, in words; "default" if it is none of them.
    """

    value: T
    origin: str


def host(connection: "Connection") -> Setting[Host]:
    """Return the host."""
    profile = connection.applied
    if connection.host is not None:
        return Setting(HOSTS[connection.host], "--host")
    if profile.host is not None:
        return Setting(HOSTS[profile.host], _of(connection))
    return Setting(SUNOAPI, DEFAULT)


def base_url(connection: "Connection") -> Setting[str]:
    """Return the base URL of the API.

    Raises:
        ValueError: It is no such URL; the message names where it comes from.
    """
    if connection.base_url is not None:
        return Setting(validation.base_url("base_url", connection.base_url), "--base-url")
    if url := os.environ.get(BASE_URL_VARIABLE):
        return Setting(validation.base_url(BASE_URL_VARIABLE, url), BASE_URL_VARIABLE)
    if connection.applied.base_url is not None:
        return Setting(connection.applied.base_url, _of(connection))
    return Setting(host(connection).value.base_url, DEFAULT)


def key_file(connection: "Connection") -> Setting[str | None]:
    """Return the name of the file with the key; None is the variable SUNO_API_KEY."""
    if connection.key_file is not None:
        return Setting(connection.key_file, "--key-file")
    if not os.environ.get(KEY_VARIABLE) and connection.applied.key_file is not None:
        return Setting(connection.applied.key_file, f"the key file of the {_of(connection)}")
    return Setting(None, KEY_VARIABLE)


def check_destination(connection: "Connection") -> None:
    """Check that the key of a profile's key file is sent to that profile's address alone.

    Another address, such as that of a variable which was set for another purpose, gets a key only
    if it is named there and then.

    Raises:
        ValueError: An option or the environment names another address, or an invalid one.
    """
    profile, there = connection.applied, base_url(connection)
    if there.value != (profile.base_url or HOSTS[profile.host or SUNOAPI.name].base_url):
        cause = "--host" if there.origin == DEFAULT else there.origin
        raise ValueError(
            f"{cause} names another address than the {_of(connection)}, whose key is not sent "
            f"there; pass --key-file FILE with the key for it, or leave out {cause}"
        )


def timeout(connection: "Connection") -> Setting[float]:
    """Return the most seconds to wait for a cover."""
    given = _first(connection, "--timeout", connection.timeout, connection.applied.timeout)
    return given or Setting(PollPolicy().timeout, DEFAULT)


def poll(connection: "Connection") -> Setting[float | None]:
    """Return the least seconds between two polls of a cover; None is as learned."""
    given: Setting[float | None] | None
    given = _first(connection, "--poll", connection.poll, connection.applied.poll)
    return given or Setting(None, DEFAULT)


def proxy(connection: "Connection") -> Setting[str | None]:
    """Return the proxy of all requests; None is that of the environment, if it names one.

    Raises:
        ValueError: The environment's is no URL of a proxy.
    """
    if connection.proxy is not None:
        return Setting(connection.proxy, "--proxy")
    if proxies(None, trust_env=True).environment is not None:
        name = "HTTPS_PROXY" if urllib.request.getproxies().get("https") else "ALL_PROXY"
        return Setting(None, name)
    if connection.applied.proxy is not None:
        return Setting(connection.applied.proxy, _of(connection))
    return Setting(None, DEFAULT)


def fake_ip(connection: "Connection") -> Setting[tuple[str, ...]]:
    """Return the networks from which a proxy's resolver answers."""
    option, profile = connection.fake_ip or None, connection.applied.fake_ip or None
    return _first(connection, "--fake-ip", option, profile) or Setting((), DEFAULT)


def shared_limit(connection: "Connection") -> Setting[bool]:
    """Return whether commands share the account's limit."""
    if not connection.shared_limit:
        return Setting(False, "--no-shared-limit")
    if connection.applied.shared_limit is not None:
        return Setting(connection.applied.shared_limit, _of(connection))
    return Setting(True, DEFAULT)


def _first(
    connection: "Connection", name: str, option: T | None, profile: T | None
) -> Setting[T] | None:
    """Return what the option of this name gives, else the profile; None if neither does."""
    if option is not None:
        return Setting(option, name)
    return None if profile is None else Setting(profile, _of(connection))


def _of(connection: "Connection") -> str:
    return f"profile {connection.applied.name}"

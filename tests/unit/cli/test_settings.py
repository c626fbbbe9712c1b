"""An option is before the environment, that before a profile, and that before the default."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from suno_cover_async import KIE, SUNOAPI, PollPolicy
from suno_cover_async.cli import settings
from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.profiles import Profile

PROFILE = Profile(
    name="work",
    host="apibox",
    base_url="https://profile.example",
    key_file="/profile.key",
    timeout=3.0,
    poll=4.0,
    proxy="http://profile.example:3128",
    fake_ip=("198.18.0.0/16",),
    shared_limit=False,
)
VARIABLES = ("SUNO_BASE_URL", "SUNO_API_KEY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

Read = Callable[[Connection], settings.Setting[Any]]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("read", "option", "value", "in_profile", "default"),
    [
        (settings.host, {"host": "kie"}, "kie", "apibox", "sunoapi"),
        (
            settings.base_url,
            {"base_url": "https://option.example"},
            "https://option.example",
            "https://profile.example",
            SUNOAPI.base_url,
        ),
        (settings.key_file, {"key_file": "/option"}, "/option", "/profile.key", None),
        (settings.timeout, {"timeout": 1.0}, 1.0, 3.0, PollPolicy().timeout),
        (settings.poll, {"poll": 2.0}, 2.0, 4.0, None),
        (
            settings.proxy,
            {"proxy": "http://option.example:1"},
            "http://option.example:1",
            "http://profile.example:3128",
            None,
        ),
        (settings.fake_ip, {"fake_ip": ("fd00::/8",)}, ("fd00::/8",), ("198.18.0.0/16",), ()),
        (settings.shared_limit, {"shared_limit": False}, False, False, True),
    ],
)
def test_the_option_is_before_the_profile_and_that_before_the_default(
    read: Read, option: dict[str, Any], value: object, in_profile: object, default: object
) -> None:
    def plain(connection: Connection) -> tuple[object, str]:
        found = read(connection)
        return getattr(found.value, "name", found.value), found.origin

    name = next(iter(option)).replace("_", "-").replace("shared-limit", "no-shared-limit")
    assert plain(Connection(**option, applied=PROFILE)) == (value, f"--{name}")
    assert plain(Connection(**option)) == (value, f"--{name}")
    of_profile, origin = plain(Connection(applied=PROFILE))
    assert of_profile == in_profile
    assert "profile work" in origin
    assert plain(Connection())[0] == default


@pytest.mark.parametrize(
    ("read", "option", "variable", "given", "value"),
    [
        (
            settings.base_url,
            {"base_url": "https://option.example"},
            "SUNO_BASE_URL",
            "https://variable.example",
            "https://variable.example",
        ),
        (settings.key_file, {"key_file": "/option"}, "SUNO_API_KEY", "sk-of-environment", None),
        (
            settings.proxy,
            {"proxy": "http://option.example:1"},
            "HTTPS_PROXY",
            "http://variable.example:1",
            None,
        ),
        (
            settings.proxy,
            {"proxy": "http://option.example:1"},
            "ALL_PROXY",
            "http://variable.example:1",
            None,
        ),
    ],
)
def test_the_environment_is_behind_the_option_and_before_the_profile_and_the_default(
    read: Read,
    *,
    option: dict[str, Any],
    variable: str,
    given: str,
    value: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, given)

    assert read(Connection(**option, applied=PROFILE)).value == next(iter(option.values()))
    for connection in (Connection(applied=PROFILE), Connection()):
        assert read(connection) == settings.Setting(value, variable)

    monkeypatch.setenv(variable, "")
    assert "profile work" in read(Connection(applied=PROFILE)).origin


def test_a_client_is_made_of_the_settings_of_its_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "key").write_text("sk-of-profile\n")
    profile = attrs.evolve(PROFILE, host="kie", key_file=str(tmp_path / "key"))
    of_profile = Connection(applied=profile)

    assert of_profile.client().base_url == "https://profile.example"
    assert of_profile.key() == "sk-of-profile"
    assert of_profile._schedule().timeout == 3.0
    assert of_profile._schedule().min_interval == 4.0
    assert (
        of_profile.client().account
        == Connection(host="kie", key_file=str(tmp_path / "key")).client().account
    )
    monkeypatch.setenv("SUNO_API_KEY", "sk-of-environment")
    assert of_profile.key() == "sk-of-environment"


def test_a_command_that_continues_names_the_profile_and_no_setting_of_it() -> None:
    connection = Connection(profile="work", timeout=5.0, applied=PROFILE)

    assert connection.arguments() == ["--profile", "work", "--timeout", "5"]
    assert connection.longer().arguments() == ["--profile", "work", "--timeout", "10"]
    assert Connection(applied=PROFILE).longer().arguments() == ["--timeout", "6"]
    assert Connection(host=SUNOAPI.name, applied=PROFILE).arguments() == ["--host", "sunoapi"]
    assert Connection(host=KIE.name).arguments() == ["--host", "kie"]


def test_a_bad_base_url_or_proxy_of_the_environment_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUNO_BASE_URL", "ftp://x")
    with pytest.raises(ValueError, match="SUNO_BASE_URL must be https"):
        settings.base_url(Connection(applied=PROFILE))
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:secret@x:1")
    with pytest.raises(ValueError, match="HTTPS_PROXY is a SOCKS proxy") as caught:
        settings.proxy(Connection(applied=PROFILE))
    assert "secret" not in str(caught.value)

"""What a profile may say, which one applies, and that no key is kept or shown."""

from pathlib import Path

import pytest

from suno_cover_async.cli.config_file import ConfigError
from suno_cover_async.cli.profiles import (
    NO_PROFILE,
    Profile,
    profile_names,
    read_profiles,
    resembles_key,
)
from tests.support.canary import API_KEY, Search

KEY = "sk-canary-7f3a9c2e41d0"
HEX = "7f3a9c2e41d0b8a6f5e4d3c2b1a09f8e"
UUID = "7f3a9c2e-41d0-b8a6-f5e4-d3c2b1a09f8e"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("SUNO_PROFILE", raising=False)
    (tmp_path / "suno-cover").mkdir(mode=0o755)
    return tmp_path / "suno-cover" / "config.toml"


def written(file: Path, content: str) -> None:
    file.write_text(content)
    file.chmod(0o644)


def refusal(file: Path, content: str) -> str:
    written(file, content)
    with pytest.raises(ConfigError) as caught:
        read_profiles()
    told = caught.value.message
    assert str(file) in told
    assert "\n" not in told
    assert told.isprintable()
    return told


def test_a_profile_has_the_settings_of_a_connection(config: Path) -> None:
    written(
        config,
        'default = "work"\n[profiles.work]\nhost = "KIE"\nbase_url = "https://proxy.example/"\n'
        'key_file = "~/work.key"\ntimeout = 600\npoll = 2.5\nproxy = "http://proxy.example:3128"\n'
        'fake_ip = ["198.18.0.0/15"]\nshared_limit = false\n[profiles.home]\n',
    )

    profiles = read_profiles()

    assert profiles.choose(None) == Profile(
        name="work",
        host="kie",
        base_url="https://proxy.example",
        key_file=str(Path("~/work.key").expanduser()),
        timeout=600.0,
        poll=2.5,
        proxy="http://proxy.example:3128",
        fake_ip=("198.18.0.0/15",),
        shared_limit=False,
    )
    assert profiles.choose("home") == Profile(name="home")
    assert profile_names() == ["home", "work"]


def test_the_option_is_before_the_variable_and_that_before_the_default_of_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(config, 'default = "a"\n[profiles.a]\n[profiles.b]\n[profiles.c]\n')
    profiles = read_profiles()

    assert profiles.choose(None).name == "a"
    monkeypatch.setenv("SUNO_PROFILE", "")
    assert profiles.choose(None).name == "a"
    monkeypatch.setenv("SUNO_PROFILE", "b")
    assert profiles.choose(None).name == "b"
    assert profiles.choose("c").name == "c"


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_profile_that_is_not_there_is_refused_with_the_names_that_are(
    by: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(config, "[profiles.work]\n[profiles.home]\n")
    if by == "variable":
        monkeypatch.setenv("SUNO_PROFILE", "wrok")

    with pytest.raises(ConfigError, match=r"no profile 'wrok'.*these profiles: home, work"):
        read_profiles().choose("wrok" if by == "option" else None)


def test_without_a_file_no_profile_applies_unless_one_is_named(config: Path) -> None:
    profiles = read_profiles()

    assert profiles.choose(None) == NO_PROFILE
    with pytest.raises(ConfigError, match=r"no profile 'work': .*config\.toml has no file yet"):
        profiles.choose("work")
    assert profile_names() == []
    assert not config.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('host = "suno"', "host must be one of sunoapi, kie, apibox"),
        ("host = 3", "host must be one of"),
        ('base_url = "http://api.example"', "base_url must be https"),
        ('base_url = "nowhere"', "base_url must be a URL with a scheme"),
        ("base_url = 7", "base_url must be text in quotation marks"),
        ('base_url = "https://api.example/api/v1"', "base_url must be without /api/v1"),
        ('key_file = "work.key"', "key_file must be the path of a file, from / or ~ on"),
        ('key_file = "-"', "key_file must be the path of a file"),
        ("timeout = 0", "timeout must be a finite number of seconds above 0"),
        ("timeout = nan", "timeout must be a finite number"),
        ("timeout = inf", "timeout must be a finite number"),
        (f"timeout = {'9' * 400}", "timeout must be a finite number"),
        ('timeout = "600"', "timeout must be a number of seconds"),
        ("poll = true", "poll must be a number of seconds"),
        ('proxy = "socks5://proxy.example:1080"', "proxy is a SOCKS proxy"),
        ('fake_ip = "198.18.0.0/15"', "fake_ip must be a list of networks"),
        ('fake_ip = ["127.0.0.0/8"]', "fake_ip: 127.0.0.0/8 contains addresses"),
        ("fake_ip = [[1]]", "fake_ip must be a sequence of networks"),
        ('shared_limit = "no"', "shared_limit must be true or false"),
        ('retries = "x"', "'retries' is no setting; the settings are host, base_url, key_file"),
        ('"\\u001b[31m" = 1', "'?[31m' is no setting"),
        ("[profiles.work.host]", "host must be one of"),
    ],
)
def test_a_wrong_value_is_refused_with_its_file_its_profile_and_its_name(
    line: str, words: str, config: Path
) -> None:
    told = refusal(config, f"[profiles.work]\n{line}\n")

    assert ", profile work: " in told
    assert words in told


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("profiles = 3", "profiles must be tables"),
        ("[profiles]\nwork = 3", "it must be a table, such as [profiles.work]"),
        ('default = "home"\n[profiles.work]', "default must be the name of a profile in it"),
        ("default = [1]\n[profiles.work]", "default must be the name of a profile in it"),
        ('host = "kie"', "'host' is no setting; the settings are default, profiles"),
        ('[profiles."a b"]', "the name of the profile 'a b' must be 1 to 64 letters"),
        ('[profiles.""]', "the name of the profile '' must be"),
    ],
)
def test_a_file_of_another_form_is_refused(content: str, words: str, config: Path) -> None:
    assert words in refusal(config, content)


@pytest.mark.parametrize(
    "content",
    [
        f'api_key = "{KEY}"',
        f'[profiles.work]\napi_key = "{KEY}"',
        f'[profiles.work]\nkey = "{KEY}"',
        f'[profiles.work]\ntoken = "{KEY}"',
        f'[profiles.work]\nSUNO_API_KEY = "{KEY}"',
        f'[profiles.work]\nsecret = "{KEY}"',
        f'[profiles.work]\nauthorization = "Bearer {KEY}"',
        f'[profiles.work]\nkey_file = "{KEY}"',
        f'[profiles.work]\nkey_file = "{HEX}"',
        f'[profiles.work]\nhost = "{KEY}"',
        f'[profiles.work]\nbase_url = "{HEX}"',
        f'[profiles.work]\nbase_url = "https://proxy.example/{HEX}"',
        f'[profiles.work]\nbase_url = "https://proxy.example/{KEY}/api/v1"',
        f'[profiles.work]\nbase_url = "https://me:{KEY}@proxy.example"',
        f'[profiles.work]\nproxy = "http://me:{KEY}@proxy.example:3128"',
        f'[profiles.work]\nproxy = "{KEY}"',
        f'[profiles.work]\nfake_ip = ["{KEY}"]',
        f'[profiles.work]\nfake_ip = [["{KEY}"]]',
        f'[profiles.work]\ntimeout = "{HEX}"',
        f'[profiles.work.base_url]\nkey = "{KEY}"',
        f'[profiles."{KEY}"]',
        f'[profiles.work]\n"{KEY}" = 1',
        f'default = "{KEY}"\n[profiles.work]',
        f'"{HEX}" = 1',
    ],
)
def test_a_key_in_the_file_is_refused_and_nothing_of_it_is_shown(
    content: str, config: Path
) -> None:
    told = refusal(config, content)

    assert "canary" not in told
    assert HEX[:8] not in told


@pytest.mark.parametrize("name", ["api_key", "key", "token", "secret", "password", "Bearer"])
def test_a_name_of_a_key_is_told_where_keys_belong(name: str, config: Path) -> None:
    told = refusal(config, f'[profiles.work]\n{name} = "x"\n')

    assert "keys do not belong in this file; use key_file, --key-file or SUNO_API_KEY" in told


def test_a_proxy_with_a_password_is_told_to_be_set_in_the_environment(config: Path) -> None:
    told = refusal(config, '[profiles.work]\nproxy = "http://me:pass@proxy.example:3128"\n')

    assert "must hold no user name and no password; set HTTPS_PROXY" in told
    assert "pass@" not in told


@pytest.mark.parametrize("key", [KEY, HEX, UUID])
def test_a_profile_that_is_named_by_a_key_is_not_shown(key: str, config: Path) -> None:
    written(config, "[profiles.work]\n")

    with pytest.raises(ConfigError) as caught:
        read_profiles().choose(key)

    assert key[-8:] not in caught.value.message


def test_a_name_that_is_cut_shows_no_part_of_the_key(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "canary" * 10
    monkeypatch.setenv("SUNO_API_KEY", key)

    with pytest.raises(ConfigError) as caught:
        read_profiles().choose(key)

    assert "canary" not in caught.value.message
    assert "canary" not in refusal(config, f"{key} = 1")


@pytest.mark.parametrize(
    "text",
    [
        *("work", "home-2", "kie", "sunoapi", "https://proxy.example/suno"),
        "/home/ann/.config/suno-cover/work.key",
    ],
)
def test_usual_values_resemble_no_key(text: str) -> None:
    assert not resembles_key(text)


def test_a_host_of_a_cloud_function_is_no_key(config: Path) -> None:
    url = "https://abcdefgh01234567890abcdefgh01234.lambda-url.eu-west-1.on.aws"
    written(config, f'[profiles.work]\nbase_url = "{url}"\n')

    assert read_profiles().choose("work").base_url == url


def test_names_for_completion_are_silent_about_a_bad_file(config: Path) -> None:
    written(config, "[profiles.work\n")
    assert profile_names() == []

    config.chmod(0o666)
    assert profile_names() == []


def test_no_frame_of_a_refusal_that_leaves_shows_a_key(config: Path) -> None:
    written(config, "[profiles.work]\nkey_file = '" + API_KEY.replace("'", "") + "'\n")
    search = Search(API_KEY)

    with pytest.raises(ConfigError) as caught:
        read_profiles()

    search.text("message", caught.value.message)
    assert not search.hits

"""Where the config file is, who may have written it, and what is refused at once."""

import os
import stat
from pathlib import Path

import pytest

from suno_cover_async.cli.config_file import ConfigError, config_path, read_config
from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.commands import needs_posix

GOOD = '[profiles.work]\nhost = "kie"\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "suno-cover").mkdir(mode=0o755)
    file = tmp_path / "suno-cover" / "config.toml"
    file.write_text(GOOD)
    file.chmod(0o644)
    return file


def refusal(file: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(file)
    assert caught.value.exit_code == ExitCode.USAGE
    assert "\n" not in caught.value.message
    assert str(file.parent) in caught.value.message
    return caught.value.message


needs_xdg = pytest.mark.skipif(os.name == "nt", reason="XDG_CONFIG_HOME")


@needs_xdg
def test_it_is_in_the_users_config_folder(config: Path) -> None:
    assert config_path() == config
    assert read_config(config) == {"profiles": {"work": {"host": "kie"}}}


@needs_xdg
@pytest.mark.parametrize("folder", [".", "config", "./x"])
def test_a_relative_config_folder_is_refused_since_it_would_be_in_the_working_folder(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", folder)

    with pytest.raises(ConfigError, match=r"not an absolute path.*set XDG_CONFIG_HOME and HOME"):
        config_path()


def test_a_missing_file_or_folder_is_no_error(tmp_path: Path) -> None:
    assert read_config(tmp_path / "config.toml") is None
    assert read_config(tmp_path / "suno-cover" / "config.toml") is None


@needs_posix
@pytest.mark.parametrize("mode", [0o664, 0o646, 0o777])
def test_a_file_that_others_may_write_to_is_refused(mode: int, config: Path) -> None:
    config.chmod(mode)

    assert "other users may write to it" in refusal(config)
    assert f"chmod go-w {config}" in refusal(config)


@needs_posix
def test_a_folder_in_which_others_may_put_a_file_is_refused(config: Path) -> None:
    config.parent.chmod(0o777)

    assert "the config folder" in refusal(config)
    assert f"chmod go-w {config.parent}" in refusal(config)


@needs_posix
def test_where_a_link_leads_is_what_is_checked(config: Path, tmp_path: Path) -> None:
    target = config.rename(tmp_path / "elsewhere.toml")
    config.symlink_to(target)
    assert read_config(config) is not None

    target.chmod(0o666)

    assert "other users may write to it" in refusal(config)


@needs_posix
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="root alone gives files away")
def test_another_users_file_is_refused(config: Path) -> None:
    os.chown(config, 12345, -1)

    assert "belongs to another user" in refusal(config)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("sk-canary-7f3a9c2e", "line 1, column"),
        ("default = \n", "line 1, column 11"),
        ("[profiles.work]\nhost = kie\n", "line 2, column 8"),
        ('[profiles.work]\nhost = "sk-canary\n', "line 2, column"),
        ("[a]\n[a]\n", "line 2, column"),
        ("[" * 100_000, "not valid TOML"),
        (f"a = {'1' * 5000}", "not valid TOML"),
    ],
)
def test_broken_toml_is_told_by_line_and_column_and_nothing_of_it_is_shown(
    content: str, place: str, config: Path
) -> None:
    config.write_text(content)

    told = refusal(config)

    assert place in told
    assert "not valid TOML" in told
    assert "sk-canary" not in told


def test_a_file_that_is_no_utf8_is_told_by_its_line(config: Path) -> None:
    config.write_bytes(GOOD.encode() + b'base_url = "\xff"\n')

    assert "line 3 is not UTF-8 text" in refusal(config)


def test_a_file_that_is_too_large_is_refused(config: Path) -> None:
    config.write_text("#" * 1_000_001)

    assert "more than 1,000,000 bytes" in refusal(config)


@needs_posix
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "loop"])
def test_what_is_no_file_is_refused_at_once(kind: str, config: Path) -> None:
    config.unlink()
    match kind:
        case "pipe":
            os.mkfifo(config, stat.S_IRUSR | stat.S_IWUSR)
        case "folder":
            config.mkdir()
        case "device":
            config.symlink_to("/dev/zero")
        case _:
            config.symlink_to(config)

    assert "is not used" in refusal(config)


def test_a_name_with_control_characters_is_printable(config: Path) -> None:
    odd = config.parent / "a\x1b[31mb"
    odd.mkdir(mode=0o755)
    (odd / "config.toml").write_text("x")

    with pytest.raises(ConfigError) as caught:
        read_config(odd / "config.toml")

    assert "\x1b" not in caught.value.message

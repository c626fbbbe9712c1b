"""What the settings are for the checks that need them."""

from pathlib import Path

import pytest

from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.doctor.finding import State
from suno_cover_async.cli.doctor.settings import check_settings
from tests.support.commands import KEY


def test_a_valid_key_is_hidden_in_any_text_and_a_bad_setting_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    monkeypatch.setenv("SUNO_BASE_URL", "ftp://x")

    checked = check_settings(Connection())

    assert checked.base_url is None
    assert KEY not in checked.hide(f"<{KEY}>")
    assert KEY not in repr(checked)
    faults = [one.check for one in checked.findings if one.state is State.FAULT]
    assert faults == ["base URL"]


def test_a_profile_that_is_not_there_is_the_last_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    monkeypatch.setenv("SUNO_API_KEY", KEY)

    checked = check_settings(Connection(profile="work"))

    assert KEY not in checked.hide(f"<{KEY}>")
    assert checked.connection is None
    assert (checked.findings[-1].check, checked.findings[-1].state) == ("profile", State.FAULT)


def test_a_variable_that_hides_the_key_of_a_profile_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "suno-cover"
    folder.mkdir(mode=0o755)
    (folder / "config.toml").write_text('[profiles.work]\nkey_file = "/keys/of-work"\n')
    (folder / "config.toml").chmod(0o644)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    monkeypatch.setenv("SUNO_BASE_URL", "")

    for profile, state in (("work", State.WARNING), (None, State.OK)):
        (found,) = [
            one
            for one in check_settings(Connection(profile=profile)).findings
            if one.check == "key"
        ]
        assert found.state is state
        assert KEY not in found.message

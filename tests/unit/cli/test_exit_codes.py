"""The table of exit codes."""

from suno_cover_async.cli.exit_codes import MEANINGS, ExitCode


def test_every_exit_code_has_a_meaning_of_one_line() -> None:
    assert set(MEANINGS) == set(ExitCode)
    assert all(words and "\n" not in words for words in MEANINGS.values())

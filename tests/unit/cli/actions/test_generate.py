"""The ids of `generate`, from the command line and from standard input."""

import pytest

from suno_cover_async.cli.actions.generate import _all_ids
from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.commands import Run
from tests.support.standard_input import typed


@pytest.mark.parametrize(
    ("words", "text", "ids"),
    [
        (["a", "b", "a"], b"", ["a", "b", "a"]),
        (["a", "-", "d"], b"b\nc\n", ["a", "b", "c", "d"]),
        (["-"], b"\xef\xbb\xbfa\r\n \r\n\n b \n", ["a", "b"]),
        (["-"], b"a\xff\n", ["a\ufffd"]),
        (["a", "-"], b"\n", ["a"]),
    ],
)
def test_a_dash_stands_for_the_ids_on_standard_input(
    words: list[str], text: bytes, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, text)

    assert _all_ids(words) == ids


async def test_no_ids_on_standard_input_are_wrong_usage(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, b" \r\n")

    ended = await run("generate", "-")

    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "no ids on standard input" in ended.err


async def test_standard_input_is_not_read_for_ids_and_the_key(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, AssertionError("it was read"))

    ended = await run("generate", "-", "--key-file", "-")

    assert ended.code == ExitCode.USAGE
    assert "cannot hold both" in ended.err

"""Names of files that are safe everywhere and never collide."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.images.files import PartFile, file_stem
from tests.support.image_hosts import names_in


@pytest.mark.parametrize(
    "name",
    [
        "73d6128b3523a0079df10da9471017c8",
        "Blue Moon",
        "v1.0",
        "été",
        "夜に駆ける",
        "console",
        "-",
        "_",
    ],
)
def test_a_safe_name_stays_as_it_is(name: str) -> None:
    assert file_stem(name) == name


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("", "cover-"),
        ("...", "cover-"),
        ("  ", "cover-"),
        ("../../etc/passwd", "_.._etc_passwd-"),
        ("C:\\temp", "C__temp-"),
        (".hidden", "hidden-"),
        ("ends.", "ends-"),
        ("ends ", "ends-"),
        ("a\x00b\nc\x7f", "a_b_c_-"),
        ("a\u202egnp.exe", "a_gnp.exe-"),
        ("\ud800", "_-"),
        ("CON", "_CON-"),
        ("nul.tar.gz", "_nul.tar.gz-"),
        ("com1 .x", "_com1 .x-"),
        ("LPT¹", "_LPT¹-"),
        ("e\u0301te\u0301", "été-"),
        ("x" * 101, "x" * 89 + "-"),
        ("é" * 51, "é" * 44 + "-"),
        ("song-0123456789", "song-0123456789-"),
    ],
)
def test_an_unsafe_name_is_made_safe_and_told_apart_by_a_hash(name: str, beginning: str) -> None:
    stem = file_stem(name)

    assert stem.startswith(beginning)
    assert len(stem) == len(beginning) + 10
    assert_safe(stem)


def test_names_that_no_encoding_can_write_are_still_told_apart() -> None:
    assert file_stem("\ud800") != file_stem("\ud801")


def test_a_title_makes_a_file_where_the_system_can_write_no_accents_too(tmp_path: Path) -> None:
    script = f"""
from suno_cover_async.common.disk import in_thread
from suno_cover_async.images.files import PartFile, file_stem
for title in ({"Größe 7f3a"!a}, {"Grüße 7f3a"!a}):
    open(file_stem(title), "x")
"""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("COV")}
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0"}

    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=environment)  # noqa: S603

    assert len(names_in(tmp_path)) == 2


any_text = st.text(st.characters(exclude_categories=()))

nasty_text = st.text("./\\ :aA\x00é\u0301\ud800c🎵", max_size=6) | st.text("é🎵 .", min_size=90)


@given(any_text | nasty_text)
def test_every_name_becomes_a_safe_one(name: str) -> None:
    assert_safe(file_stem(name))


@given(nasty_text, nasty_text)
def test_different_names_never_become_the_same(one: str, other: str) -> None:
    assert (one == other) == (file_stem(one) == file_stem(other))


@given(any_text | nasty_text)
def test_a_name_that_was_made_safe_is_never_taken_for_a_safe_one(name: str) -> None:
    stem = file_stem(name)

    assert stem == name or file_stem(stem) != stem


ids = st.text("aAbB-0", min_size=1, max_size=3)


@given(ids, ids, st.sampled_from(["", "One ", "one "]))
def test_names_of_ids_that_differ_in_letter_case_alone_are_distinct_where_case_is_ignored(
    one: str, other: str, title: str
) -> None:
    stems = [file_stem(title + name, identifier=name).upper() for name in (one, other)]

    assert (one == other) == (stems[0] == stems[1])


def test_an_id_without_capital_letters_leaves_a_safe_name_as_it_is() -> None:
    assert file_stem("My Song 7f3a", identifier="7f3a") == "My Song 7f3a"
    assert file_stem("My Song 7F3a", identifier="7F3a").startswith("My Song 7F3a-")


@given(any_text | nasty_text)
def test_the_longest_names_of_files_fit_every_file_system(name: str) -> None:
    """At most 255 bytes on Linux, 255 UTF-16 units on Windows and macOS, suffixes included."""
    file = f"{file_stem(name, identifier=name)}-99.avif"

    assert len(file.encode()) <= 255
    assert len(file.encode("utf-16-le")) <= 2 * 255


def assert_safe(stem: str) -> None:
    assert 1 <= len(stem.encode()) <= 100
    assert unicodedata.is_normalized("NFC", stem)
    assert stem.isprintable()
    assert not set(stem) & set('<>:"/\\|?*')
    assert stem == stem.strip(". ")
    assert stem.partition(".")[0].rstrip().lower() not in {"con", "prn", "aux", "nul", "com1"}
    assert Path("into", f"{stem}.png").parent == Path("into")


def test_a_finished_file_takes_a_free_name_alone_unless_it_may_replace(tmp_path: Path) -> None:
    final = tmp_path / "final"
    for content, replace in ((b"1", False), (b"2", True)):
        part = PartFile(tmp_path)
        part.write(content)
        part.finish(final, replace=replace)
    part = PartFile(tmp_path)
    part.write(b"3")

    with pytest.raises(FileExistsError):
        part.finish(final, replace=False)
    part.discard()
    assert final.read_bytes() == b"2"
    assert list(tmp_path.iterdir()) == [final]

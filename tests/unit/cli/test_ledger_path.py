"""Arguments that name a ledger: files, URLs, and URLs that are refused."""

from pathlib import Path

import click
import pytest

from suno_cover_async.cli.ledger_path import LEDGER, is_database, refuse_passwords

URL = "postgresql://me@db.example/songs?schema=label_a"


@pytest.mark.parametrize("given", [URL, "postgres://db.example/songs", "POSTGRESQL://h/d"])
def test_a_url_is_kept_as_it_is(given: str) -> None:
    assert LEDGER.convert(given, None, None) == given
    assert is_database(given)


@pytest.mark.parametrize("given", ["covers.db", "./postgresql:/x", "host=db password=x"])
def test_anything_else_is_a_file(given: str) -> None:
    assert LEDGER.convert(given, None, None) == Path(given)
    assert not is_database(Path(given))
    assert not is_database(None)


@pytest.mark.parametrize("given", ["postgresq://me:s3cret@h/d", "mysql://a/b", "sqlite:///a.db"])
def test_another_url_is_no_path_and_is_not_repeated(given: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        LEDGER.convert(given, None, None)

    assert refused.value.message == (
        "not a URL of PostgreSQL (postgresql://user@host/database), and no path"
    )


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter, match="is a directory"):
        LEDGER.convert(str(tmp_path), None, None)


@pytest.mark.parametrize(
    "word",
    [
        "postgresql://me:s3cret@h/d",
        "--ledger=postgresql://me:s3cret@h/d",
        "postgres://h/d?password=s3cret",
        "postgresql://h/d?sslpassword=s3cret",
    ],
)
def test_a_password_is_refused_wherever_it_is_and_not_repeated(word: str) -> None:
    with pytest.raises(click.UsageError) as refused:
        refuse_passwords(["batch", "catalog.csv", word])

    assert "PGPASSWORD" in refused.value.message
    assert "s3cret" not in refused.value.message


@pytest.mark.parametrize("word", ["postgresql://me:s3@cret@h/d", "postgresql+asyncpg://me:s3@h/d"])
def test_what_cannot_be_read_is_refused_and_not_repeated(word: str) -> None:
    with pytest.raises(click.UsageError, match="cannot be read: it is no URL") as refused:
        refuse_passwords([word])

    assert "s3" not in refused.value.message


def test_other_words_and_urls_without_a_password_pass() -> None:
    refuse_passwords(["batch", "a=b", "--ledger", URL, f"--ledger={URL}", "http://a:b@c/"])

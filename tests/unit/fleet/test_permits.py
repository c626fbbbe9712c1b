"""Where permits are kept, as the argument says."""

import time
from pathlib import Path

import pytest

from suno_cover_async.errors import ClientUsageError
from suno_cover_async.fleet.permit_file import PermitFile
from suno_cover_async.fleet.permit_table import PermitTable
from suno_cover_async.fleet.permits import permits_at
from suno_cover_async.policies import RateLimit

LIMIT = RateLimit(calls=2, seconds=1)


def test_a_path_is_a_files_and_a_url_a_databases_which_is_not_reached_yet(tmp_path: Path) -> None:
    for path in (tmp_path / "limit.db", str(tmp_path / "other.db")):
        assert isinstance(permits_at(path, LIMIT, 3.0, time.monotonic), PermitFile)
        assert Path(path).exists()
    for url in ("postgresql://u@127.0.0.1:1/d", "postgres://127.0.0.1:1/d?schema=label_a"):
        assert isinstance(permits_at(url, LIMIT, 3.0, time.monotonic), PermitTable)


def test_any_other_url_is_refused_in_plain_words() -> None:
    for url in ("redis://db", "file:///limit.db", "postgresqlx://db"):
        with pytest.raises(ValueError, match=r"not a URL of PostgreSQL .*, and no path"):
            permits_at(url, LIMIT, 3.0, time.monotonic)


def test_a_path_that_cannot_be_used_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ClientUsageError, match=r"cannot be used .*; choose a path on a local disk"):
        permits_at(tmp_path, LIMIT, 3.0, time.monotonic)


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(TypeError):
        permits_at(7, LIMIT, 3.0, time.monotonic)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="where must be a path that is valid"):
        permits_at("a\0b", LIMIT, 3.0, time.monotonic)

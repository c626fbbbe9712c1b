"""What is loaded when, whatever the machine's speed; see `benchmarks/starting.py` for times."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import suno_cover_async
from suno_cover_async.cli.app import commands
from tests.support.command_tree import commands_of

FOREIGN = {
    "attrs": "values",
    "backoff": "retries",
    "cattrs": "records",
    "typing_extensions": "cattrs needs it; aiohttp as well, before Python 3.13",
}
FOR_OTHERS = {"callbacks", "batch", "ledger", "sandbox", "cli"}
SLOW = {"aiohttp", "PIL", "rich", "cattrs", "mutagen", "psycopg", "sqlite3", "asyncio", "yarl"}
"""What neither help nor completion needs."""
COMMANDS = "suno_cover_async.cli.commands."


def after(*lines: str) -> set[str]:
    """What a process of its own has loaded that runs this; it knows nothing of coverage."""
    script = "\n".join((*lines, "import json, sys", "print(json.dumps(sorted(sys.modules)))"))
    environment = {name: v for name, v in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)  # noqa: S603
    return set(json.loads(done.stdout.splitlines()[-1]))


def ours(modules: set[str]) -> set[str]:
    """The folders and modules at the top among them."""
    return {name.split(".")[1] for name in modules if name.startswith("suno_cover_async.")}


def test_a_plain_client_loads_what_aiohttp_loads_and_the_libraries_that_are_named() -> None:
    with_aiohttp = after("import aiohttp")

    loaded = after("from suno_cover_async import SunoCoverClient")

    assert "client" in ours(loaded)
    assert not ours(loaded) & FOR_OTHERS
    assert "aiohttp.web" not in loaded
    more = {name.split(".")[0] for name in loaded - with_aiohttp} - {"suno_cover_async"}
    assert more - sys.stdlib_module_names <= set(FOREIGN)


def test_the_package_by_itself_loads_nothing_yet() -> None:
    loaded = after("import suno_cover_async")

    assert ours(loaded) == {"common"}
    assert not {"aiohttp", "attr", "asyncio", "psycopg"} & loaded


def test_files_that_are_shared_load_no_driver_of_a_database() -> None:
    loaded = after(
        "from suno_cover_async import Ledger, SharedRateLimiter, cover_catalog",
        "Ledger('covers.ledger')",
        "import suno_cover_async.cli.app",
    )

    assert not {"psycopg", "psycopg_binary"} & loaded


@pytest.mark.parametrize("name", ["", *(name for name, _ in commands_of(commands))])
def test_help_loads_click_and_the_commands_own_definition(name: str) -> None:
    words = [*name.split(), "--help"]

    loaded = after("from suno_cover_async.cli.app import main", f"assert main({words}) == 0")

    assert "click" in loaded
    assert not SLOW & loaded
    assert len({one for one in loaded if one.startswith(COMMANDS)}) == (1 if name else 0)


def test_the_help_of_all_commands_loads_no_library_but_click() -> None:
    loaded = after("from suno_cover_async.cli.app import main", "assert main(['--help']) == 0")

    before = {name.partition(".")[0] for name in after("import click")}
    more = {name.partition(".")[0] for name in loaded} - before
    assert more - sys.stdlib_module_names == {"suno_cover_async"}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("ba", "plain,batch"),
        ("ledger sh", "plain,show"),
        ("batch --max", "plain,--max-covers"),
        ("generate song --host ki", "plain,kie"),
        ("apply covers.db --preset st", "plain,store"),
        ("batch a.csv --out b --ledger postgresql://db/c --proxy http://d --fa", "plain,--fake-ip"),
        ("batch ", "file,"),
        ("apply --into ", "dir,"),
    ],
)
def test_completion_loads_click_and_reads_no_key_and_makes_no_folder(
    line: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = line.split(" ")
    asked = {
        "_SUNO_COVER_COMPLETE": "bash_complete",
        "COMP_WORDS": f"suno-cover {line}",
        "COMP_CWORD": str(len(words)),
        "SUNO_LOG": "no level",
    }

    loaded = after(
        "import contextlib, io, os",
        "from suno_cover_async.cli.app import main",
        f"os.environ.update({asked})",
        "told = io.TextIOWrapper(io.BytesIO())",
        "with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):",
        "    main([])",
        "told.seek(0)",
        "lines = told.read().splitlines()",
        f"assert {shown!r} in lines, lines",
    )

    assert "click" in loaded
    assert not SLOW & loaded
    assert list(tmp_path.iterdir()) == []


def test_opentelemetry_is_loaded_by_its_own_folder_alone() -> None:
    loaded = after(
        "from suno_cover_async import Event, Ledger, SunoCoverClient, cover_catalog",
        "SunoCoverClient('key-of-a-test', on_event=print)",
        "import suno_cover_async.cli.app",
    )

    assert "telemetry" not in ours(loaded)
    assert not {name for name in loaded if name.startswith("opentelemetry")}
    assert "opentelemetry" in after("import suno_cover_async.telemetry")


def test_an_error_and_a_value_load_no_client() -> None:
    loaded = after("from suno_cover_async import CoverTimeoutError, RateLimit, Track")

    assert "client" not in ours(loaded)


@pytest.mark.parametrize("name", sorted(suno_cover_async.__all__))
def test_every_name_is_fetched_once_from_the_module_that_is_said(name: str) -> None:
    if name in suno_cover_async._MODULE_OF:
        vars(suno_cover_async).pop(name, None)

    found = getattr(suno_cover_async, name)

    assert vars(suno_cover_async)[name] is found
    if isinstance(found, type):
        assert found.__module__ == f"suno_cover_async.{suno_cover_async._MODULE_OF[name]}"


def test_a_module_is_there_without_an_import_of_its_own() -> None:
    loaded = after("import suno_cover_async", "suno_cover_async.errors.CoverTimeoutError")

    assert "errors" in ours(loaded)


def test_what_is_not_there_is_said_to_be_not_there() -> None:
    with pytest.raises(AttributeError, match=r"'suno_cover_async' has no attribute 'Sunocover'"):
        _ = suno_cover_async.Sunocover  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'Sunocover'"):
        from suno_cover_async import (  # type: ignore[attr-defined]  # noqa: PLC0415
            Sunocover,  # noqa: F401
        )


def test_a_star_brings_everything_in_all() -> None:
    after(
        "from suno_cover_async import *",
        "import suno_cover_async",
        "assert set(suno_cover_async.__all__) <= set(globals())",
    )


def test_dir_and_help_show_everything_in_all() -> None:
    after(
        "import pydoc, suno_cover_async",
        "assert set(suno_cover_async.__all__) <= set(dir(suno_cover_async))",
        "text = pydoc.render_doc(suno_cover_async, renderer=pydoc.plaintext)",
        "assert 'class SunoCoverClient' in text and 'cover_catalog(' in text",
    )


def test_what_was_fetched_can_be_pickled() -> None:
    rate_limit = suno_cover_async.RateLimit(calls=1, seconds=1.0)

    assert pickle.loads(pickle.dumps(rate_limit)) == rate_limit  # noqa: S301
    assert pickle.loads(pickle.dumps(suno_cover_async.Ledger)) is suno_cover_async.Ledger  # noqa: S301


def test_threads_that_ask_first_get_the_same() -> None:
    names = json.dumps(list(reversed(suno_cover_async.__all__)))
    script = f"""
import threading, suno_cover_async
names, found = {names}, []
start = threading.Barrier(8)
def ask(turn):
    start.wait()
    found.append({{name: getattr(suno_cover_async, name) for name in names[turn * 7:] + names}})
threads = [threading.Thread(target=ask, args=[turn]) for turn in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(found) == 8
assert all(one[name] is found[0][name] for one in found for name in names)
"""

    assert "client" in ours(after(script))

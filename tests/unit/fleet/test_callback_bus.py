"""What is no bus is refused before anything is connected."""

import copy
import pickle
import subprocess
import sys
import threading
from typing import Any

import pytest

from suno_cover_async import CallbackBus
from suno_cover_async.fleet.callback_bus import CallbackBus as Same
from tests.support.callback_requests import make

URL = "postgresql://cover:se%2Fcret-41c0@db.example/covers"


def test_making_one_connects_to_nothing_and_starts_nothing() -> None:
    before = threading.active_count()

    bus = CallbackBus(URL)

    assert threading.active_count() == before
    assert Same is CallbackBus
    assert repr(bus) == "CallbackBus('postgresql://cover@db.example/covers')"
    for bad in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            bad(bus)


def test_close_is_nothing_where_nobody_has_waited() -> None:
    before = threading.active_count()

    CallbackBus(URL).close()

    assert threading.active_count() == before


@pytest.mark.parametrize("url", ["", "limit.db", "redis://h/0", URL.replace("@", "@@"), URL + "#"])
def test_what_is_no_url_of_a_database_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="it is no URL of a PostgreSQL database") as refused:
        CallbackBus(url)

    assert "41c0" not in str(refused.value)


def test_what_is_no_text_is_refused() -> None:
    url: Any = 5432
    with pytest.raises(TypeError, match="url must be a str"):
        CallbackBus(url)


def test_a_receiver_takes_a_bus_and_not_its_url_which_is_not_repeated() -> None:
    with pytest.raises(TypeError, match="bus must be a CallbackBus, not a str") as refused:
        make(bus=URL)
    assert "41c0" not in str(refused.value)

    assert "CallbackReceiver" in repr(make(bus=CallbackBus(URL)))


def test_without_psycopg_a_receiver_works_and_a_bus_says_what_to_install() -> None:
    script = """
import sys
sys.modules["psycopg"] = None
from suno_cover_async import CallbackBus, CallbackReceiver
CallbackReceiver(public_url="https://me.example", secret="made-once-and-kept")
CallbackBus(sys.argv[1])
"""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script, URL], capture_output=True, text=True, check=False
    )

    assert "ModuleNotFoundError: PostgreSQL needs psycopg: pip install" in done.stderr
    assert "41c0" not in done.stderr


def test_the_driver_is_loaded_where_a_bus_is_made_and_not_before() -> None:
    script = f"""
import sys
from suno_cover_async import CallbackBus
assert "psycopg" not in sys.modules
CallbackBus({URL!r})
assert "psycopg" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603

"""The pytest plugin, as its users run it: pytest in processes of its own, on tests of theirs."""

import os
import re
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.commands import Ended, finish, start

LOADED = 'pytest_plugins = ["suno_cover_async.pytest_plugin"]\n'
STRICT = "[pytest]\nfilterwarnings = error\naddopts = --strict-markers -p no:cacheprovider\n"
PLAIN = "-p no:asyncio -p no:anyio"
ASYNCIO = "-o asyncio_default_fixture_loop_scope=function"

AWAITS = """
    async def test_a_cover(suno_client, suno_sandbox, tmp_path):
        [song] = suno_sandbox.add_music()
        details = await suno_client.generate(song)
        files = await suno_client.download(details, into=tmp_path)
        assert len(files) == 2
        assert [bill.music_task_id for bill in suno_sandbox.journal.bills] == [song]
"""
RUNS = """
    import asyncio
    def test_a_cover(suno_client, suno_sandbox):
        songs = suno_sandbox.add_music(3)
        for song in songs:  # an event loop for each
            asyncio.run(suno_client.generate(song))
        assert len(suno_sandbox.journal.bills) == 3
"""


async def pytested(
    folder: Path, test: str, options: str = "", *, conftest: str = LOADED, ini: str = STRICT
) -> Ended:
    """Run pytest on one file of somebody's tests; warnings are errors there."""
    (folder / "conftest.py").write_text(conftest)
    (folder / "pytest.ini").write_text(ini)
    (folder / "test_theirs.py").write_text(textwrap.dedent(test))
    # Without what this run of pytest says of itself, and without its coverage.
    ours = ("COV", "PYTEST", "SUNO_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    program = (sys.executable, "-X", "dev", "-m", "pytest", *options.split())
    return await finish(await start(program=program, cwd=folder, env=env))


def passed(ended: Ended, tests: int = 1) -> bool:
    told = f"{tests} passed" in ended.out and "Warning" not in ended.out + ended.err
    assert told, ended.out + ended.err
    return ended.code == 0


@pytest.mark.parametrize("options", [PLAIN, "-p no:asyncio", ASYNCIO])
async def test_a_plain_test_covers_songs_in_loops_of_its_own(tmp_path: Path, options: str) -> None:
    assert passed(await pytested(tmp_path, RUNS, options))


async def test_pytest_asyncio_in_auto_mode_awaits_the_client(tmp_path: Path) -> None:
    assert passed(await pytested(tmp_path, AWAITS, f"-p no:anyio {ASYNCIO} -o asyncio_mode=auto"))


@pytest.mark.parametrize("scope", ["function", "session"])
async def test_pytest_asyncio_in_strict_mode_awaits_the_client(tmp_path: Path, scope: str) -> None:
    marked = f'import pytest\npytestmark = pytest.mark.asyncio(loop_scope="{scope}")\n'

    twice = marked + textwrap.dedent(AWAITS) + textwrap.dedent(AWAITS).replace("_cover", "_second")

    assert passed(
        await pytested(tmp_path, twice, f"-p no:anyio {ASYNCIO} -o asyncio_mode=strict"), 2
    )


async def test_anyios_plugin_awaits_the_client(tmp_path: Path) -> None:
    marked = """
        import pytest
        pytestmark = pytest.mark.anyio
        @pytest.fixture
        def anyio_backend():
            return "asyncio"
    """

    test = textwrap.dedent(marked) + textwrap.dedent(AWAITS)

    assert passed(await pytested(tmp_path, test, "-p no:asyncio"))


async def test_workers_of_xdist_have_sandboxes_of_their_own(tmp_path: Path) -> None:
    many = textwrap.dedent(RUNS) + "\n".join(f"test_{n} = test_a_cover" for n in range(5))

    assert passed(await pytested(tmp_path, many, f"{PLAIN} -n 2"), 6)


async def test_a_test_without_the_fixtures_has_no_thread_and_no_sandbox(tmp_path: Path) -> None:
    test = """
        import threading
        def test_nothing():
            assert not [one for one in threading.enumerate() if "suno" in one.name]
    """

    assert passed(await pytested(tmp_path, test, PLAIN))


async def test_it_is_loaded_by_an_option_too_and_never_unasked(tmp_path: Path) -> None:
    asked = await pytested(
        tmp_path, RUNS, f"{PLAIN} -p suno_cover_async.pytest_plugin", conftest=""
    )
    unasked = await pytested(tmp_path, RUNS, PLAIN, conftest="")

    assert passed(asked)
    assert "fixture 'suno_client' not found" in unasked.out


async def test_a_failed_test_closes_everything_and_the_next_one_has_a_new_world(
    tmp_path: Path,
) -> None:
    test = """
        import asyncio, socket, threading
        from urllib.parse import urlsplit
        ports = []

        def test_fails(suno_client, suno_sandbox):
            ports.append(urlsplit(suno_sandbox.url).port)
            async def left_open():
                await suno_client.generate(suno_sandbox.add_music()[0])
                assert not "theirs"
            asyncio.run(left_open())

        def test_fails_in_a_loop_that_stays_open(suno_client, suno_sandbox, request):
            ports.append(urlsplit(suno_sandbox.url).port)
            loop = asyncio.new_event_loop()
            request.config.add_cleanup(loop.close)
            loop.run_until_complete(suno_client.generate(suno_sandbox.add_music()[0]))
            assert not "theirs"

        def test_nothing_is_left():
            assert len(ports) == 2
            assert not [one for one in threading.enumerate() if "suno" in one.name]
            for port in ports:
                with socket.socket() as probe:
                    assert probe.connect_ex(("127.0.0.1", port)) != 0

        def test_new(suno_sandbox):
            assert suno_sandbox.journal.arrivals == []
    """

    ended = await pytested(tmp_path, test, PLAIN)

    assert "2 failed, 2 passed" in ended.out, ended.out
    assert "Warning" not in ended.out + ended.err


async def test_a_client_in_a_loop_of_another_thread_is_closed_there(tmp_path: Path) -> None:
    test = """
        import asyncio, threading, pytest

        @pytest.fixture(scope="module")
        def background():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever)
            thread.start()
            yield loop
            left = asyncio.run_coroutine_threadsafe(others(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            assert left == 0

        async def others():
            return len(asyncio.all_tasks()) - 1

        def test_a_flask_like_application(background, suno_client, suno_sandbox):
            [song] = suno_sandbox.add_music()
            cover = suno_client.generate(song)
            asyncio.run_coroutine_threadsafe(cover, background).result(50)
            assert len(suno_sandbox.journal.bills) == 1
    """

    assert passed(await pytested(tmp_path, test, PLAIN))


async def test_programs_read_the_environment(tmp_path: Path) -> None:
    test = """
        import asyncio, os, subprocess, sys
        from suno_cover_async import SunoCoverClient

        def test_a_command(suno_environment, suno_sandbox):
            command = [sys.executable, "-m", "suno_cover_async", "credits"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            assert "1000000" in done.stdout.replace(",", "")
            assert len(suno_sandbox.journal.of("credits")) == 1

        def test_a_client_of_the_program_under_test(suno_environment, suno_sandbox):
            async def balance():
                async with SunoCoverClient() as client:
                    return await client.credits()
            assert asyncio.run(balance()) == 1_000_000
            assert suno_environment["SUNO_BASE_URL"] == suno_sandbox.url

        def test_afterwards():
            assert not {"SUNO_API_KEY", "SUNO_BASE_URL"} & set(os.environ)
    """

    assert passed(await pytested(tmp_path, test, PLAIN), 3)


async def test_the_marker_or_a_fixture_sets_the_scenario(tmp_path: Path) -> None:
    test = """
        import asyncio, pytest
        from suno_cover_async import CoverFailedError, RateLimit
        from suno_cover_async.sandbox import Scenario

        @pytest.mark.suno_scenario(failures=1.0)
        def test_fields(suno_client, suno_sandbox):
            with pytest.raises(CoverFailedError):
                asyncio.run(suno_client.generate(suno_sandbox.add_music()[0]))
            assert suno_sandbox.scenario.image_size == 64

        @pytest.mark.suno_scenario(Scenario(credits=3), price=2.0)
        def test_a_whole_one(suno_client, suno_sandbox):
            assert asyncio.run(suno_client.credits()) == 3
            assert suno_sandbox.scenario.price == 2

        @pytest.mark.suno_scenario(rate_limit=RateLimit(calls=3, seconds=0.2))
        def test_the_client_keeps_its_limit(suno_client, suno_sandbox):
            async def several():
                await asyncio.gather(*(suno_client.credits() for _ in range(9)))
            asyncio.run(several())
            assert all(one.admitted for one in suno_sandbox.journal.arrivals)

        class TestOverridden:
            @pytest.fixture
            def suno_scenario(self):
                return Scenario(credits=7)

            def test_a_fixture(self, suno_client):
                assert asyncio.run(suno_client.credits()) == 7
    """

    assert passed(await pytested(tmp_path, test, PLAIN), 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("lost_answer=0.2", "unexpected keyword argument 'lost_answer'"),
        ("lost_answers=2", "lost_answers"),
        ("0.2", "it takes one Scenario, or fields of one by name"),
    ],
)
async def test_a_marker_that_cannot_be_read_is_one_line(
    tmp_path: Path, arguments: str, words: str
) -> None:
    test = f"""
        import pytest
        @pytest.mark.suno_scenario({arguments})
        def test_never_begins(suno_sandbox):
            pass
    """

    ended = await pytested(tmp_path, test, PLAIN)

    [line] = [one for one in ended.lines if one.startswith("the marker suno_scenario cannot")]
    assert words in line
    assert "1 error" in ended.out


async def test_the_journal_is_read_while_requests_arrive(tmp_path: Path) -> None:
    test = """
        import asyncio, threading

        def test_a_reader_beside_the_server(suno_client, suno_sandbox):
            async def many():
                songs = suno_sandbox.add_music(40)
                await asyncio.gather(*(suno_client.generate(song) for song in songs))

            worker = threading.Thread(target=asyncio.run, args=[many()])
            worker.start()
            while worker.is_alive():
                assert len(suno_sandbox.journal.of("submit")) <= 40
                suno_sandbox.journal.delays()
                suno_sandbox.expire_images()
            worker.join()
            assert len(suno_sandbox.journal.bills) == 40
    """

    assert passed(await pytested(tmp_path, test, PLAIN))


async def test_the_tests_of_the_page_about_testing_pass_as_printed(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "testing.md").read_text()
    [conftest] = re.findall(r"```py\n(pytest_plugins.*?)```", page, re.DOTALL)
    [tests] = re.findall(r"```python\n([^`]*def test_.*?)```", page, re.DOTALL)

    assert passed(await pytested(tmp_path, tests, PLAIN, conftest=conftest), 2)

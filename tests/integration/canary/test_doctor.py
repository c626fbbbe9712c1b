"""The doctor and the config file show no secret, whatever a host, a proxy or a file says."""

import sys
from pathlib import Path

import pytest
import trustme

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Reply, Sandbox
from tests.support.canary import API_KEY, HMAC_KEY, SECRET, Search, environment, forms
from tests.support.commands import Ended, a_free_port, finish, needs_posix, start
from tests.support.peers import answer, peer
from tests.support.tls import context_of, proxy

PASSWORD = "Canary-password-of-proxies-and-databases-5e81"
DEVELOPER = (sys.executable, "-X", "dev", "-m", "suno_cover_async")


async def doctor(search: Search, folder: Path, *words: str, **more: str) -> Ended:
    """Run the doctor with all its words; search all it shows, and the files it leaves."""
    return await shown(search, folder, "doctor", "-vv", *words, **more)


async def shown(search: Search, folder: Path, *words: str, **more: str) -> Ended:
    """Run a command; search all it shows, and the files it leaves."""
    process = await start(
        *words,
        program=DEVELOPER,
        cwd=folder,
        env=environment() | {"PGPASSWORD": PASSWORD} | more,
    )
    ended = await finish(process)
    search.text("output", ended.out)
    search.text("errors", ended.err)
    search.folder(folder)
    return ended


@pytest.mark.parametrize("json", [(), ("--json",)])
async def test_a_host_that_repeats_the_key_in_every_form_is_shown_without_it(
    json: tuple[str, ...], tmp_path: Path
) -> None:
    search = Search(API_KEY, SECRET, HMAC_KEY, PASSWORD)
    async with Sandbox(api_key=API_KEY) as sandbox:
        for name, form in forms(API_KEY).items():
            if name not in ("plain", "base64", "hex", "HTML", "percent"):
                continue
            sandbox.script("credits", Reply(body=form.encode(), headers={"Date": form}))
            ended = await doctor(search, tmp_path, "--base-url", sandbox.url, *json)
            assert ended.code != ExitCode.DONE
        assert len(sandbox.journal.arrivals) == 5

    assert not search.hits


@needs_posix
async def test_an_issuer_that_is_named_by_the_key_is_shown_without_it(tmp_path: Path) -> None:
    search = Search(API_KEY, SECRET, HMAC_KEY, PASSWORD)
    key = "sk-Canary-7f3A9c2e-Wren-Lark-5d81"
    search._add(key)
    tls = context_of(trustme.CA(organization_name=key), "127.0.0.1")
    async with peer(answer(b"{}"), tls=tls) as host:
        ended = await doctor(search, tmp_path, "--base-url", host.url, SUNO_API_KEY=key)

    assert ended.code == ExitCode.FAILED
    assert "issued by [key]" in ended.out
    assert not search.hits


async def test_passwords_of_proxies_and_databases_are_not_shown(tmp_path: Path) -> None:
    search = Search(API_KEY, SECRET, HMAC_KEY, PASSWORD)
    database = f"postgresql://cover@127.0.0.1:{a_free_port()}/songs"
    async with proxy(0, "407 -") as way:
        ended = await doctor(
            *(search, tmp_path, "--base-url", "https://api.example", "--ledger", database),
            HTTPS_PROXY=way.url.replace("//", f"//me:{PASSWORD}@"),
        )
        refused = await doctor(search, tmp_path, "--ledger", database.replace("cover@", "cover:x@"))

    assert ended.code == ExitCode.FAILED
    assert refused.code == ExitCode.USAGE
    assert not search.hits


UUID = "123e4567-e89b-12d3-a456-426614174000"


@needs_posix
@pytest.mark.parametrize("command", ["doctor", "credits"])
async def test_a_key_in_place_of_a_profile_or_in_a_bad_config_file_is_not_shown(
    command: str, tmp_path: Path
) -> None:
    search = Search(UUID)
    here, config = tmp_path / "here", tmp_path / "config" / "suno-cover"
    here.mkdir()
    place = {"XDG_CONFIG_HOME": str(config.parent), "SUNO_API_KEY": UUID}

    async def refused(**more: str) -> None:
        ended = await shown(search, here, command, **place, **more)
        assert ended.code == ExitCode.USAGE
        assert "config.toml" in ended.out + ended.err

    await refused(SUNO_PROFILE=UUID)
    config.mkdir(parents=True, mode=0o755)
    for line in (f"'{UUID}' = 1", f"fake_ip = ['{UUID}']"):
        (config / "config.toml").write_text(f"[profiles.work]\n{line}\n")
        await refused()

    assert not search.hits


@pytest.mark.parametrize("json", [(), ("--json",)])
async def test_a_password_in_no_proxy_is_not_shown(json: tuple[str, ...], tmp_path: Path) -> None:
    search = Search(PASSWORD)
    async with Sandbox(api_key=API_KEY) as sandbox:
        ended = await doctor(
            search,
            tmp_path,
            "--base-url",
            sandbox.url,
            *json,
            NO_PROXY=f"localhost, http://me:{PASSWORD}@x.example,.example",
        )

    assert "NO_PROXY is localhost, .example (1 entry is not shown" in ended.out
    assert not search.hits


@needs_posix
@pytest.mark.parametrize(
    "line",
    [
        "api_key = '{}'",
        "base_url = 'https://x.example/{}'",
        "key_file = '{}'",
        "proxy = 'http://me:{}@x.example:1'",
        "'{}' = 1",
        "host = '{}",
        "{}",
    ],
)
async def test_a_key_in_the_config_file_is_not_shown(line: str, tmp_path: Path) -> None:
    key = "sk-Canary-7f3A9c2e-Wren-Lark-5d81"
    search = Search(key, SECRET, HMAC_KEY)
    folder = tmp_path / "config" / "suno-cover"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "config.toml").write_text(f"[profiles.work]\n{line.format(key)}\n")
    (tmp_path / "here").mkdir()

    place = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    ended = await doctor(search, tmp_path / "here", **place)

    assert ended.code == ExitCode.USAGE
    assert "config.toml" in ended.out
    assert not search.hits

"""`suno-cover doctor`: each fault is a line of its own that says what to do; the key is in none."""

import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import attrs
import pytest
import trustme

from suno_cover_async import Ledger, Track
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Reply, Sandbox, Scenario
from tests.support.commands import (
    KEY,
    Ended,
    Run,
    a_free_port,
    environment,
    finish,
    needs_posix,
    on_a_terminal,
    start,
)
from tests.support.database_commands import Database
from tests.support.peers import answer, peer
from tests.support.tls import behind_tls, context_of, proxy

VARIABLES = ("https_proxy", "all_proxy", "no_proxy", "http_proxy", "suno_base_url", "suno_profile")
OTHER_ACCOUNT = "fedcba9876543210"


@attrs.frozen
class Machine:
    """A folder with a config and a state folder of its own, and commands in it."""

    folder: Path
    run: Run
    patch: pytest.MonkeyPatch

    def config(self, content: str) -> Path:
        """Write the config file."""
        file = self.folder / "config" / "suno-cover" / "config.toml"
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o644)
        return file

    def environ(self, more: dict[str, str]) -> dict[str, str]:
        own = {
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }
        environ = {
            name: value for name, value in environment().items() if name.lower() not in VARIABLES
        }
        return environ | own | more

    async def process(self, *words: str, **more: str) -> Ended:
        """Run a command as a process of its own."""
        return await finish(await start(*words, cwd=self.here(), env=self.environ(more)))

    async def command(self, *words: str, **more: str) -> Ended:
        """Run a command in a thread of this process, which takes a tenth of the time."""
        environ = self.environ(more)
        with self.patch.context() as patch:
            patch.chdir(self.here())
            for name in os.environ.keys() - environ:
                patch.delenv(name)
            for name, value in environ.items():
                patch.setenv(name, value)
            return await self.run(*words)

    async def doctor(self, *words: str, **more: str) -> Ended:
        return await self.command("doctor", *words, **more)

    def here(self) -> Path:
        here = self.folder / "here"
        here.mkdir(exist_ok=True)
        return here


@pytest.fixture
def machine(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, run, monkeypatch)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario(rate_limit=None), api_key=KEY) as sandbox:
        yield sandbox


def line(ended: Ended, check: str) -> str:
    """Return the only line of a check, which is one line and has no piece of the key."""
    assert KEY[:10] not in ended.out + ended.err
    [found] = [one for one in ended.lines if one[13:].startswith(f"{check}: ")]
    return found


async def test_where_all_is_well_each_check_is_a_line_and_nothing_is_submitted_or_made(
    machine: Machine, sandbox: Sandbox
) -> None:
    ended = await machine.doctor("--base-url", sandbox.url)

    assert ended.code == ExitCode.DONE
    assert all(one.startswith(("ok  ", "warning  ", "not checked  ")) for one in ended.lines)
    assert "0 faults" in ended.err
    assert line(ended, "API").startswith("ok ")
    assert "1,000,000 credits" in line(ended, "balance")
    assert line(ended, "base URL").endswith(f"{sandbox.url} (--base-url)")
    assert line(ended, "key").endswith("its form is valid (from SUNO_API_KEY)")
    assert "as the host's" in line(ended, "clock")
    assert [one.kind for one in sandbox.journal.arrivals] == ["credits"]
    assert sorted(machine.folder.iterdir()) == [machine.folder / "here"]
    assert list((machine.folder / "here").iterdir()) == []


async def test_json_is_an_object_for_each_check(machine: Machine, sandbox: Sandbox) -> None:
    ended = await machine.doctor("--base-url", sandbox.url, "--json")

    records = [json.loads(one) for one in ended.lines]
    assert {tuple(record) for record in records} == {("check", "state", "message", "advice")}
    assert {record["check"] for record in records} >= {"python", "key", "API", "clock", "TLS"}
    assert {record["state"] for record in records} <= {"ok", "warning", "not checked"}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "no API key; set SUNO_API_KEY, or pass --key-file FILE"),
        ("Bearer sk-x12345678", "begins with `Authorization` or `Bearer`; give the key alone"),
        ("sk x12345678", "has characters that no key has"),
        ("sk-1", "has too few characters"),
    ],
)
async def test_without_a_valid_key_the_rest_is_checked_and_nothing_is_sent(
    key: str, words: str, machine: Machine, sandbox: Sandbox
) -> None:
    ended = await machine.doctor("--base-url", sandbox.url, SUNO_API_KEY=key)

    assert ended.code == ExitCode.KEY
    assert line(ended, "key").startswith("fault ")
    assert words in line(ended, "key")
    assert line(ended, "connection").startswith("ok ")
    assert line(ended, "API").startswith("not checked ")
    assert "there is no valid key" in line(ended, "API")
    assert not key or key not in ended.out + ended.err
    assert sandbox.journal.arrivals == []


async def test_a_key_that_the_host_refuses_is_a_fault_of_the_key(machine: Machine) -> None:
    async with Sandbox(api_key="another-key") as sandbox:
        ended = await machine.doctor("--base-url", sandbox.url)

    assert ended.code == ExitCode.KEY
    assert "the key was refused" in line(ended, "API")
    assert "check the key, and that it is one of this host" in line(ended, "API")
    assert line(ended, "balance").startswith("not checked ")


async def test_a_web_server_that_is_not_the_api_is_a_fault_of_the_base_url(
    machine: Machine,
) -> None:
    async with peer(answer(b"<html><title>A shop</title>", "Content-Type: text/html")) as shop:
        ended = await machine.doctor("--base-url", shop.url)

    assert ended.code == ExitCode.USAGE
    assert "does not answer as the Cover API does" in line(ended, "API")
    assert "check --base-url or --host" in line(ended, "API")


async def test_a_port_where_nothing_listens_is_a_fault_and_what_depends_on_it_not_checked(
    machine: Machine,
) -> None:
    ended = await machine.doctor("--base-url", f"http://127.0.0.1:{a_free_port()}")

    assert ended.code == ExitCode.FAILED
    assert line(ended, "connection").startswith("fault ")
    assert "check the network, and --base-url or --host" in line(ended, "connection")
    for check in ("TLS", "API", "balance", "clock"):
        assert line(ended, check).startswith("not checked ")


async def test_a_name_that_is_not_there_is_a_fault(machine: Machine) -> None:
    ended = await machine.doctor("--base-url", "https://no-such-name.invalid")

    assert ended.code == ExitCode.FAILED
    assert "no-such-name.invalid, the host, is not found" in line(ended, "name")
    assert line(ended, "connection").startswith("not checked ")


@pytest.mark.parametrize("variable", ["ftp://x", "https://me:pw@x", "http://api.example"])
async def test_a_base_url_of_the_environment_that_is_none_is_named_by_its_variable(
    variable: str, machine: Machine
) -> None:
    ended = await machine.doctor(SUNO_BASE_URL=variable)

    assert ended.code == ExitCode.USAGE
    assert "SUNO_BASE_URL must " in line(ended, "base URL")
    assert line(ended, "API").startswith("not checked ")


async def test_a_certificate_of_an_unknown_issuer_names_it(machine: Machine) -> None:
    tls = context_of(trustme.CA(organization_name="Corporate \x1b[31mInspection"), "127.0.0.1")
    async with peer(answer(b"{}"), tls=tls) as host:
        ended = await machine.doctor("--base-url", host.url)

    assert ended.code == ExitCode.FAILED
    assert "issued by Corporate ?[31mInspection" in line(ended, "TLS")
    assert "set SSL_CERT_FILE" in line(ended, "TLS")
    assert line(ended, "API").startswith("not checked ")
    assert KEY.encode() not in b"".join(host.received)


async def test_through_a_proxy_all_is_checked_and_no_password_is_shown(
    machine: Machine, sandbox: Sandbox
) -> None:
    authority = trustme.CA(organization_name="Good Issuer")
    authority.cert_pem.write_to_path(machine.folder / "authority.pem")
    port = int(sandbox.url.rpartition(":")[2])
    tls = context_of(authority, "api.example")
    async with behind_tls(port, tls) as there, proxy(there) as way:
        ended = await machine.process(  # SSL_CERT_FILE is read once in a process
            *("doctor", "--base-url", "https://api.example"),
            HTTPS_PROXY=way.url.replace("//", "//me:proxy-secret@"),
            NO_PROXY="intern.example",
            SSL_CERT_FILE=str(machine.folder / "authority.pem"),
        )

    assert ended.code == ExitCode.DONE
    assert f"proxy: {way.url} (HTTPS_PROXY); NO_PROXY is intern.example" in line(ended, "proxy")
    assert "127.0.0.1, the proxy, is 127.0.0.1" in line(ended, "name")
    assert "issued by Good Issuer, valid until " in line(ended, "TLS")
    assert line(ended, "API").startswith("ok ")
    assert "proxy-secret" not in ended.out + ended.err
    assert way.places == ["api.example:443"] * 2


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("407 -", "it wants a user name and a password"),
        ("403 -", "ask who runs it to allow that"),
        ("502 -", "the proxy answered HTTP 502; check the proxy"),
    ],
)
async def test_a_proxy_that_refuses_is_a_fault(status: str, words: str, machine: Machine) -> None:
    async with proxy(0, status) as way:
        ended = await machine.doctor(
            *("--base-url", "https://api.example"), "--proxy", way.url, "--no-shared-limit"
        )

    assert ended.code == ExitCode.FAILED
    assert words in line(ended, "TLS")
    assert line(ended, "API").startswith("not checked ")
    assert "the limit is not shared" in line(ended, "state folder")


@pytest.mark.parametrize(("off", "state"), [(-3600, "warning "), (90, "warning "), (20, "ok ")])
async def test_a_clock_that_is_off_is_told_with_what_depends_on_it(
    off: int, state: str, machine: Machine, sandbox: Sandbox
) -> None:
    body = b'{"code": 200, "msg": "success", "data": 5}'
    headers = {"Date": formatdate(time.time() + off, usegmt=True)}
    sandbox.script("credits", Reply(body=body, headers=headers))

    ended = await machine.doctor("--base-url", sandbox.url)

    found = line(ended, "clock")
    assert ended.code == ExitCode.DONE
    assert found.startswith(state)
    assert ("behind" if off > 0 else "ahead of") in found
    assert ("valid for 300 s" in found) is (state == "warning ")


@pytest.mark.parametrize("date", ["", "today", "1" * 5000, KEY])
async def test_a_date_that_is_none_is_not_shown(
    date: str, machine: Machine, sandbox: Sandbox
) -> None:
    body = b'{"code": 200, "msg": "success", "data": 0}'
    sandbox.script("credits", Reply(body=body, headers={"Date": date}))

    ended = await machine.doctor("--base-url", sandbox.url)

    assert "not checked" in line(ended, "clock")
    assert line(ended, "balance").startswith("warning ")
    assert "buy credits" in line(ended, "balance")


@needs_posix
async def test_a_key_file_that_others_read_and_a_folder_that_is_a_file_are_told(
    machine: Machine, sandbox: Sandbox
) -> None:
    file = machine.folder / "work.key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o644)
    (machine.folder / "covers").write_text("")

    ended = await machine.doctor(
        *("--base-url", sandbox.url, "--key-file", str(file)),
        *("--out", str(machine.folder / "covers")),
        SUNO_API_KEY="",
    )

    assert ended.code == ExitCode.FAILED
    assert line(ended, "key").endswith("(from --key-file)")
    assert line(ended, "key file").startswith("warning ")
    assert "run chmod 600 on that file" in line(ended, "key file")
    assert "is a file, not a folder" in line(ended, "images folder")
    assert "work.key" not in ended.out + ended.err


@needs_posix
async def test_the_profile_is_told_with_the_origin_of_each_setting(
    machine: Machine, sandbox: Sandbox
) -> None:
    key = machine.folder / "work.key"
    key.write_text(KEY)
    key.chmod(0o600)
    file = machine.config(
        f'default = "home"\n[profiles.home]\nbase_url = "http://127.0.0.1:1"\n'
        f'[profiles.work]\nhost = "kie"\nbase_url = "{sandbox.url}"\nkey_file = "{key}"\n'
        "timeout = 60\n"
    )

    ended = await machine.doctor("--profile", "work", "--timeout", "5", SUNO_API_KEY="")

    assert ended.code == ExitCode.DONE
    assert line(ended, "config file").endswith(str(file))
    assert line(ended, "profile").endswith("work (--profile)")
    assert line(ended, "host").endswith("kie (profile work)")
    assert line(ended, "base URL").endswith(f"{sandbox.url} (profile work)")
    assert line(ended, "timeout").endswith("5 s (--timeout)")
    assert line(ended, "poll").endswith("as learned (default)")
    assert line(ended, "key").endswith("(from the key file of the profile work)")
    assert line(ended, "key file").startswith("ok ")


async def test_a_bad_config_file_is_a_fault_and_stops_what_depends_on_it_alone(
    machine: Machine,
) -> None:
    machine.config("[profiles.work]\napi_key = 'sk-canary-7f3a9c2e'\n")

    ended = await machine.doctor()

    assert ended.code == ExitCode.USAGE
    assert line(ended, "config file").startswith("fault ")
    assert "use key_file, --key-file or SUNO_API_KEY" in line(ended, "config file")
    assert line(ended, "API").startswith("not checked ")
    assert line(ended, "images folder").startswith(("ok ", "warning "))
    assert "canary" not in ended.out + ended.err


async def test_commands_that_connect_use_the_profile_and_refuse_a_bad_file_and_others_do_not(
    machine: Machine, sandbox: Sandbox
) -> None:
    machine.config(f'[profiles.work]\nbase_url = "{sandbox.url}"\n')
    by_option = await machine.command("credits", "--profile", "work")
    by_variable = await machine.command("credits", SUNO_PROFILE="work")
    unknown = await machine.command("credits", "--profile", "home")
    machine.config("[profiles.work\n")
    refused = await machine.command("credits")
    helped = await machine.command("credits", "--help")
    completed = await machine.process(
        _SUNO_COVER_COMPLETE="bash_complete",
        COMP_WORDS="suno-cover credits --profile ",
        COMP_CWORD="3",
    )
    shown = await machine.command("ledger", "show", "nothing.db")

    assert (by_option.code, by_option.out) == (ExitCode.DONE, "1000000\n")
    assert (by_variable.code, by_variable.out) == (ExitCode.DONE, "1000000\n")
    assert unknown.code == refused.code == ExitCode.USAGE
    assert "has these profiles: work" in unknown.err
    assert "line 1, column" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert helped.code == ExitCode.DONE
    assert "Traceback" not in completed.err
    assert "config" not in completed.err + shown.err


async def test_the_names_of_profiles_are_completed(machine: Machine) -> None:
    machine.config("[profiles.work]\n[profiles.home]\n")

    completed = await machine.process(
        _SUNO_COVER_COMPLETE="bash_complete",
        COMP_WORDS="suno-cover credits --profile w",
        COMP_CWORD="3",
    )

    assert completed.out == "plain,work\n"


@pytest.mark.skipif(sys.platform == "win32", reason="XDG_CONFIG_HOME")
@pytest.mark.parametrize("home", [".", "./", "here/.."])
async def test_a_config_file_in_the_working_folder_is_never_used(
    home: str, machine: Machine
) -> None:
    async with peer(answer(b"{}")) as thief:
        hostile = machine.folder / "here" / "suno-cover"
        for folder in (hostile, machine.folder / "here" / ".config" / "suno-cover"):
            folder.mkdir(parents=True)
            text = f'default = "x"\n[profiles.x]\nbase_url = "{thief.url}"\n'
            (folder / "config.toml").write_text(text)
        (machine.folder / "here" / "config.toml").write_text(text)
        plain = await machine.command("credits", "--base-url", f"http://127.0.0.1:{a_free_port()}")
        named = await machine.command("credits", XDG_CONFIG_HOME=home)
        profile = await machine.command("credits", "--profile", "x")

        assert thief.received == []
    assert plain.code == ExitCode.FAILED
    assert named.code == profile.code == ExitCode.USAGE
    assert "XDG_CONFIG_HOME" in named.err


async def used(path: Path, account: str) -> None:
    async with Ledger(path) as ledger, ledger.lease(account):
        await ledger.take_in([Track("m1"), Track("m2")])


async def test_a_ledger_of_another_account_is_told(machine: Machine, sandbox: Sandbox) -> None:
    path = machine.folder / "covers.db"
    await used(path, OTHER_ACCOUNT)
    before = path.read_bytes()

    ended = await machine.doctor("--base-url", sandbox.url, "--ledger", str(path))

    assert ended.code == ExitCode.FAILED
    assert "2 tracks" in line(ended, "ledger")
    assert line(ended, "ledger account").startswith("fault ")
    assert "suno-cover ledger forget-account" in line(ended, "ledger account")
    assert "2 waiting, 0 possibly billed" in line(ended, "ledger tracks")
    assert path.read_bytes() == before


async def test_a_ledger_that_another_process_holds_is_told_with_its_holder(
    machine: Machine, sandbox: Sandbox
) -> None:
    path = machine.folder / "covers.db"
    async with Ledger(path):
        ended = await machine.process("doctor", "--base-url", sandbox.url, "--ledger", str(path))

    assert ended.code == ExitCode.DONE
    assert line(ended, "ledger use").startswith("warning ")
    assert f"process {os.getpid()} on " in line(ended, "ledger use")
    assert "wait for it to end, or stop it" in line(ended, "ledger use")


async def test_a_damaged_ledger_and_one_that_is_not_there_are_told(
    machine: Machine, sandbox: Sandbox
) -> None:
    path = machine.folder / "covers.db"
    await used(path, OTHER_ACCOUNT)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * 4096 + content[8192:])

    damaged = await machine.doctor("--base-url", sandbox.url, "--ledger", str(path))
    missing = await machine.doctor("--base-url", sandbox.url, "--ledger", str(path) + ".x")

    assert damaged.code == ExitCode.FAILED
    assert "is damaged" in line(damaged, "ledger")
    assert "restore a copy" in line(damaged, "ledger")
    assert missing.code == ExitCode.DONE
    assert line(missing, "ledger").startswith("warning ")
    assert not path.with_name("covers.db.x").exists()


async def test_a_database_that_is_away_and_one_without_a_ledger_are_told(
    machine: Machine, sandbox: Sandbox, empty_database: Database
) -> None:
    away = f"postgresql://cover@127.0.0.1:{a_free_port()}/songs"

    ended = await machine.doctor("--base-url", sandbox.url, "--ledger", away)
    empty = await machine.doctor("--base-url", sandbox.url, "--ledger", empty_database.url)

    assert ended.code == empty.code == ExitCode.FAILED
    assert line(ended, "ledger").startswith("fault ")
    assert "127.0.0.1" in line(ended, "ledger")
    assert "suno-cover ledger init" in line(empty, "ledger")


async def test_a_ledger_in_a_database_is_told_with_the_rights_that_are_missing(
    machine: Machine, sandbox: Sandbox, database: Database
) -> None:
    good = await machine.doctor("--base-url", sandbox.url, "--ledger", database.url)
    database.execute("REVOKE INSERT ON suno_cover.tracks FROM cover")
    lacking = await machine.doctor("--base-url", sandbox.url, "--ledger", database.url)

    assert good.code == ExitCode.DONE
    assert "the role has all that a run needs" in line(good, "ledger rights")
    assert lacking.code == ExitCode.FAILED
    assert "the role lacks INSERT on tracks" in line(lacking, "ledger rights")


async def test_a_host_that_hangs_ends_after_the_limit_of_a_check(machine: Machine) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        ended = await machine.process(
            "doctor", "--base-url", url
        )  # which ends at once, threads and all

    assert ended.code == ExitCode.FAILED
    assert "did not answer within 10 s" in line(ended, "TLS")
    assert line(ended, "API").startswith("not checked ")


@needs_posix
async def test_a_key_file_that_hangs_ends_the_doctor_all_the_same(machine: Machine) -> None:
    os.mkfifo(machine.folder / "pipe")

    ended = await machine.process("doctor", "--key-file", str(machine.folder / "pipe"))

    assert ended.code == ExitCode.FAILED
    assert "a file could not be read within 10 s" in line(ended, "settings")
    assert line(ended, "images folder").startswith(("ok ", "warning "))


@needs_posix
async def test_a_terminal_shows_the_same_lines(sandbox: Sandbox, tmp_path: Path) -> None:
    screen = await on_a_terminal(
        *("doctor", "--base-url", sandbox.url),
        cwd=tmp_path,
        XDG_CONFIG_HOME=str(tmp_path / "config"),
    )

    assert "key: its form is valid" in screen
    assert KEY not in screen

"""Commands through a proxy to a host that is not on loopback, and the limit that they share."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import trustme

from suno_cover_async import RateLimit
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.commands import KEY, Ended, environment, finish, names, sandbox_with, start
from tests.support.tls import Proxy, behind_tls, context_of, proxy

VARIABLES = ("https_proxy", "all_proxy", "no_proxy", "http_proxy")


@attrs.frozen
class Away:
    """A sandbox that processes reach as `api.example`, through a proxy only."""

    sandbox: Sandbox
    proxy: Proxy
    environ: dict[str, str]
    folder: Path

    async def command(self, *arguments: str, **variables: str) -> Ended:
        process = await start(*arguments, cwd=self.folder, env=self.environ | variables)
        return await finish(process)


@pytest.fixture
async def away(tmp_path: Path) -> AsyncIterator[Away]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    environ = {
        name: value
        for name, value in environment(
            SUNO_BASE_URL="https://api.example",
            SSL_CERT_FILE=str(tmp_path / "authority.pem"),
            XDG_STATE_HOME=str(tmp_path / "state"),
        ).items()
        if name.lower() not in VARIABLES
    }
    strict = Scenario(rate_limit=RateLimit(calls=20, seconds=10), seconds=0, image_size=16)
    async with sandbox_with(strict) as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        tls = context_of(authority, "api.example")
        async with behind_tls(port, tls) as there, proxy(there) as way:
            (tmp_path / "covers").mkdir()
            yield Away(sandbox, way, environ, tmp_path / "covers")


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY", None])
async def test_a_command_goes_through_the_proxy_that_is_given_or_named_by_the_environment(
    variable: str | None, away: Away
) -> None:
    options = () if variable else ("--proxy", away.proxy.url)
    named = {variable: away.proxy.url} if variable else {"HTTPS_PROXY": "http://127.0.0.1:1"}

    ended = await away.command("credits", *options, **named)

    assert (ended.code, ended.out) == (ExitCode.DONE, "1000000\n")
    assert away.proxy.places == ["api.example:443"]
    assert KEY not in "".join(away.proxy.asked)


async def test_three_small_batches_in_a_row_share_the_accounts_limit_and_none_is_refused(
    away: Away,
) -> None:
    songs = away.sandbox.add_music(15)
    for number in range(3):
        (away.folder / f"{number}.txt").write_text("\n".join(songs[number::3]))

        await away.command(
            *("batch", f"{number}.txt", "--ledger", f"{number}.db", "--poll", "0.05"),
            *("--proxy", away.proxy.url),
        )

        assert names(away.folder).count(f"{number}.db") == 1

    arrivals = [one for one in away.sandbox.journal.arrivals if one.kind != "image"]
    assert Counter(bill.music_task_id for bill in away.sandbox.journal.bills) == Counter(songs)
    assert len(arrivals) > 20
    assert all(one.admitted for one in arrivals)

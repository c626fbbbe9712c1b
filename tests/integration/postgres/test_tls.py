"""TLS as the driver does it: parameters of the URL, a certificate that is checked, and refusals."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import attrs
import psycopg
import pytest
import trustme

from suno_cover_async import Ledger, LedgerError, SharedRateLimiter, SunoCoverClient
from suno_cover_async.postgres.url import DatabaseUrl
from suno_cover_async.sandbox import Sandbox
from tests.support.callback_buses import receiver_at, served
from tests.support.canary import Search
from tests.support.catalog_child import policies
from tests.support.permit_tables import permit_table
from tests.support.postgres import PASSWORD, Server
from tests.support.runs import billed, covered

USED = """
    SELECT application_name, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
    WHERE usename = 'cover'
"""


@attrs.frozen
class Place:
    """A server that takes connections over TLS alone.

    Attributes:
        server: The server.
        url: The URL of a database, without parameters.
        authority: The file with the certificate of the authority that issued the server's.
    """

    server: Server
    url: str
    authority: Path

    def verified_by(self, authority: Path, mode: str = "verify-full") -> str:
        return f"{self.url}?sslmode={mode}&sslrootcert={quote(str(authority), safe='')}"

    def used(self) -> dict[str, bool]:
        """Whether each connection uses TLS, by its application."""
        shown = self.server.execute(USED)
        return {name.rstrip(" 0123456789"): ssl for name, ssl in shown}


@pytest.fixture
def place(own_postgres: Server, tmp_path: Path) -> Iterator[Place]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    certificate = authority.issue_cert("localhost")
    data, owner = own_postgres.data, own_postgres.data.owner()
    certificate.private_key_pem.write_to_path(data / "server.key")
    certificate.cert_chain_pems[0].write_to_path(data / "server.crt")
    for name in ("server.key", "server.crt"):
        (data / name).chmod(0o600)
        shutil.chown(data / name, owner)
    rules = data / "pg_hba.conf"
    rules.write_text(rules.read_text().replace("\nhost ", "\nhostssl "))
    own_postgres.execute("ALTER SYSTEM SET ssl = on")
    own_postgres.stop()
    own_postgres.start()
    with own_postgres.database() as name:
        url = own_postgres.url(name).replace("127.0.0.1", "localhost")
        yield Place(own_postgres, url, tmp_path / "authority.pem")


async def test_a_ledger_a_limit_and_a_bus_use_a_server_whose_certificate_is_verified(
    place: Place, tmp_path: Path
) -> None:
    url = place.verified_by(place.authority)
    assert await Ledger(url).init() == 0
    async with Sandbox() as sandbox:
        songs = sandbox.add_music(2)
        with receiver_at(url) as receiver:
            options = policies(30) | {"rate_limit": SharedRateLimiter(url, calls=20, seconds=1)}
            async with (
                served(url, receiver.notifier),
                Ledger(url) as ledger,
                SunoCoverClient(sandbox.api_key, base_url=sandbox.url, **options) as client,
            ):
                await covered(client, songs, ledger, tmp_path / "covers")
                used = place.used()

    assert len(billed(sandbox)) == 2
    assert used == {
        "suno-cover run": True,
        "suno-cover shared rate limit": True,
        "suno-cover callback bus": True,
    }


async def test_a_server_that_is_not_verified_is_refused_in_one_sentence_without_the_password(
    place: Place, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    verified = place.verified_by(place.authority)
    search = Search(PASSWORD, quote(PASSWORD, safe=""), piece=8)
    for url, why in {
        place.verified_by(other): "certificate verify failed",
        verified.replace("localhost", "127.0.0.1"): 'does not match host name "127.0.0.1"',
        place.verified_by(place.authority, "disable"): "no encryption",
    }.items():
        for use in (Ledger(url).init, Ledger(url).__aenter__, Ledger(url).totals):
            with pytest.raises(LedgerError) as refused:
                await use()
            said = str(refused.value)
            assert said.startswith(f"the ledger {DatabaseUrl.parse(url).shown} cannot be used (")
            assert why in said
            assert said.endswith(
                "check the URL, the server, and the password and the rights of the role"
            )
            assert "\n" not in said
            search.error("ledger", refused.value)
        permits = permit_table(url)
        with pytest.raises(psycopg.OperationalError) as failed:
            permits.take("0123", 10.0)
        assert why in permits.problem(failed.value)
        search.text("limit", permits.problem(failed.value))
    assert search.hits == {}

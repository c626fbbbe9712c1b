"""What would hinder a run that began now, of a file and of a database; nothing is changed."""

from pathlib import Path

import pytest

from suno_cover_async import Ledger, LedgerCondition, LedgerError, Track
from suno_cover_async.ledger.sqlite.lock import holder_of
from suno_cover_async.ledger.sqlite.tables import VERSION
from tests.support.old_ledgers import OLD_LEDGERS, old_ledger, version

OURS, OTHER = "0123456789abcdef", "fedcba9876543210"


async def used(path: Path, account: str = OURS) -> None:
    async with Ledger(path) as ledger, ledger.lease(account):
        await ledger.take_in([Track("m1"), Track("m2")])


async def test_a_file_of_this_account_hinders_nothing_and_is_left_as_it_is(path: Path) -> None:
    await used(path)
    before = path.read_bytes()

    condition = await Ledger(path).condition(OURS)

    assert condition == LedgerCondition(version=VERSION, newest=VERSION)
    assert path.read_bytes() == before


async def test_a_file_of_another_account_is_foreign_and_one_without_an_account_is_not(
    path: Path,
) -> None:
    async with Ledger(path):
        pass
    assert not (await Ledger(path).condition(OTHER)).is_foreign

    await used(path)

    assert (await Ledger(path).condition(OTHER)).is_foreign
    assert not (await Ledger(path).condition()).is_foreign


async def test_who_holds_a_file_is_named_and_is_not_disturbed(path: Path) -> None:
    await used(path)
    assert holder_of(path) is None

    async with Ledger(path) as ledger, ledger.lease(OURS):
        named = (await Ledger(path).condition(OURS)).in_use_by
        await ledger.take_in([Track("m1")])

    assert named is not None
    assert named.startswith("process ")
    assert (await Ledger(path).condition(OURS)).in_use_by is None
    await used(path)


@pytest.mark.parametrize("name", OLD_LEDGERS)
async def test_the_version_of_an_old_file_is_told_and_stays(name: str, path: Path) -> None:
    old = old_ledger(path, OLD_LEDGERS[name])

    condition = await Ledger(old).condition(OURS)

    assert f"version {condition.version}" == name
    assert condition.newest == VERSION
    assert f"version {version(old)}" == name


async def test_what_is_no_ledger_is_told_as_by_any_reader(path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger at"):
        await Ledger(path).condition(OURS)
    path.write_bytes(b"x" * 5000)
    with pytest.raises(LedgerError, match="is no ledger"):
        await Ledger(path).condition(OURS)
    assert not path.with_name("covers.db.lock").exists()


async def test_a_lock_file_that_is_no_lock_names_nobody(path: Path) -> None:
    await used(path)
    path.with_name("covers.db.lock").write_bytes(b"x" * 5000)

    assert holder_of(path) is None

"""Who may work on a table, and who may copy it: leases in PostgreSQL, free of races."""

from __future__ import annotations

from dataclasses import replace

import pytest

from feefifod.catalog import Database, Drop, LeaseLost, Ledger, TableBusy, TableCopies
from feefifod.model import Category, FileStamp, Series

_TABLE = "86e608e8-e54d-4ae7-ab19-fc084947ea4b:6"
_COPY = "86e608e8-e54d-4ae7-ab19-fc084947ea4b:8"
_SERVER = _TABLE.rpartition(":")[0]


@pytest.fixture
def copies(database: Database) -> TableCopies:
    return TableCopies(database)


def _drop(name: str = "XBTUSD_60.csv") -> Drop:
    stamp = FileStamp(1, 2, 3, 4, 5)
    return Drop(f"/data/{name}".encode(), name, stamp, Series("BTC", Category.CRYPTO, "USD", 60))


async def test_nobody_begins_while_it_is_copied(copies: TableCopies, ledger: Ledger) -> None:
    await ledger.register([_drop()])
    copy = await copies.begin("assetprice", _TABLE, "MONTH")
    stamp = FileStamp(1, 3, 3, 4, 5)
    with pytest.raises(TableBusy, match="being copied by MONTH"):
        await ledger.claim([_drop().path], _TABLE)
    with pytest.raises(TableBusy):
        await ledger.zips.claim(b"/data/Q.zip", "Q.zip", stamp, _TABLE)
    with pytest.raises(TableBusy):
        await copies.access.use(_TABLE, "verification")
    with pytest.raises(TableBusy):
        await copies.begin("assetprice", _TABLE, "YEAR")
    assert await ledger.claim([_drop().path], "another:9"), "another table is nobody's concern"

    await copies.let_go(copy)
    await copies.access.leave(await copies.access.use(_TABLE, "verification"))
    assert await ledger.zips.claim(b"/data/Q.zip", "Q.zip", stamp, _TABLE)


async def test_those_who_have_begun_are_known(copies: TableCopies, ledger: Ledger) -> None:
    await ledger.register([_drop()])
    claim = await ledger.claim([_drop().path], _TABLE)
    assert claim is not None
    fence = await copies.access.use(_TABLE, "a backfill")
    await copies.access.use("another:9", "a backfill")
    copy = await copies.begin("assetprice", _TABLE, "MONTH")
    users = await copies.list_users(copy)
    assert [user.partition(" of ")[0] for user in users] == ["a backfill", f"batch {claim.batch_id}"]
    await copies.access.leave(fence)
    await ledger.let_go(claim.fence)
    assert not await copies.list_users(copy)


async def test_users_that_are_gone_are_not_waited_for(copies: TableCopies, database: Database) -> None:
    """One that died on this host is gone at once; of one elsewhere the lease tells."""
    host = copies.access.owner.partition("/")[0]
    for owner, end in ((f"{host}/1999999/5/aaaa", "1 hour"), ("elsewhere/1/1/aaaa", "-1 second")):
        await database.execute(
            f"INSERT INTO table_use VALUES (nextval('fence'), $1, 'x', $2, now() + interval '{end}')", _TABLE, owner
        )
    copy = await copies.begin("assetprice", _TABLE, "MONTH")
    assert not await copies.list_users(copy)


async def test_a_lapsed_copy_is_taken_over_and_its_first_owner_changes_nothing(
    copies: TableCopies, database: Database
) -> None:
    copy = await copies.begin("assetprice", _TABLE, "MONTH")
    with pytest.raises(TableBusy):
        await copies.take_over(copy)
    await database.execute("UPDATE table_copy SET lease_until = now()")
    with pytest.raises(LeaseLost):
        await copies.begin_swap(replace(copy, to_id=_COPY), 5)
    found = await copies.find("assetprice", _SERVER)
    assert found is not None
    assert not found.held
    second = replace(await copies.take_over(found), to_id=_COPY)
    await copies.aim(second, _COPY, "MONTH")
    for change in (copies.renew, copies.finish, copies.undo_swap, copies.bind):
        with pytest.raises(LeaseLost):
            await change(copy)
    await copies.begin_swap(second, 5)
    await copies.begin_swap(second, 5)
    await copies.bind(second)
    await copies.bind(second)
    await copies.finish(second)
    assert await copies.find("assetprice", _SERVER) is None
    assert await copies.succeeds(_COPY, _TABLE)
    assert not await copies.succeeds(_TABLE, _COPY)


async def test_names_that_are_being_changed_close_both_tables(copies: TableCopies) -> None:
    """Whether its owner lives or not: between the names and the ledger nothing may be begun."""
    copy = await copies.begin("assetprice", _TABLE, "MONTH")
    await copies.aim(copy, _COPY, "MONTH")
    await copies.begin_swap(copy, 5)
    await copies.let_go(copy)
    for table in (_TABLE, _COPY):
        with pytest.raises(TableBusy):
            await copies.access.use(table, "verification")


async def test_the_old_identity_is_closed_until_it_is_bound_again(copies: TableCopies, ledger: Ledger) -> None:
    """A process that read it a moment ago must not work with it; a table that was restored under it is one again."""
    await ledger.bind_table("questdb", _TABLE)
    copy = replace(await copies.begin("assetprice", _TABLE, "MONTH"), to_id=_COPY)
    await copies.aim(copy, _COPY, "MONTH")
    await copies.begin_swap(copy, 5)
    await copies.bind(copy)
    assert await ledger.bound_table("questdb") == _COPY
    with pytest.raises(TableBusy, match="a moment ago"):
        await copies.access.use(_TABLE, "verification")
    await copies.access.use(_COPY, "verification")
    await copies.finish(copy)
    await ledger.bind_table("questdb", _TABLE)
    await copies.access.use(_TABLE, "verification")

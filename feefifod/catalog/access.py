"""Who may work on a table: any number of users at a time, or one that copies it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from feefifod.catalog.lease import LEASE_SECONDS, LeaseLost
from feefifod.catalog.owner import is_dead, this_owner
from feefifod.catalog.queries import load_queries
from feefifod.errors import Unavailable

if TYPE_CHECKING:
    from feefifod.catalog.database import Database

LOCK_CLAIMS: Final = load_queries("ledger")["lock_claims"]
"""Claims, uses and the beginning of a copy exclude each other for the instant that each takes."""

_LEASE: Final = timedelta(seconds=LEASE_SECONDS)


class TableBusy(Unavailable):
    """The table is being copied into another partitioning, or has just been replaced by its copy: look again later."""


class TableAccess:
    """Leases on a table, for work that no claim of the ledger stands for: backfills, verification, retention."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("access")
        self.owner = str(this_owner())

    async def use(self, table_id: str, purpose: str) -> int:
        """Take a lease; returns its fence.

        Raises:
            TableBusy: the table is being copied.
        """
        await self.free_dead()
        async with self._database.transaction() as connection:
            await connection.execute(LOCK_CLAIMS)
            await refuse_while_copied(connection, table_id)
            fence: int = await connection.fetchval(self._sql["use"], table_id, purpose, self.owner, _LEASE)
        return fence

    async def renew(self, fence: int) -> None:
        """Hold a lease for another lease time.

        Raises:
            LeaseLost: it has ended.
        """
        if not await self._database.execute(self._sql["renew_use"], fence, _LEASE):
            raise LeaseLost("the lease on the table has ended", remedy="Try again")

    async def leave(self, fence: int) -> None:
        """Give a lease back."""
        await self._database.execute(self._sql["end_use"], fence)

    async def free_dead(self) -> None:
        """End the leases of processes of this host that are gone."""
        owners = [row["owner"] for row in await self._database.fetch(self._sql["owners"])]
        if dead := [owner for owner in owners if is_dead(owner)]:
            await self._database.execute(self._sql["free_copies"], dead)
            await self._database.execute(self._sql["free_uses"], dead)


async def refuse_while_copied(connection: Any, table_id: str) -> None:
    """Make sure, within a transaction that has `LOCK_CLAIMS`, that no copy of the table is under way.

    Raises:
        TableBusy: one is.
    """
    row = await connection.fetchrow(load_queries("access")["find_copy"], table_id)
    if row is not None:
        raise busy(row["table_name"], row["partition_by"], row["owner"], row["state"])


def busy(table: str, partition_by: str, owner: str, state: str) -> TableBusy:
    """Say that a table is being copied."""
    if state in {"bound", "done"}:
        return TableBusy(f"the table was replaced by its copy by {partition_by} a moment ago", where=table)
    host, _, rest = owner.partition("/")
    return TableBusy(
        f"the table is being copied by {partition_by} (process {rest.partition('/')[0]} on {host.partition('.')[0]})",
        where=table,
        remedy="It goes on by itself afterwards",
    )

"""Copies of a table into another partitioning: who makes one, how far it is, and the ledger's move to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from feefifod.catalog.access import LOCK_CLAIMS, TableAccess, busy
from feefifod.catalog.lease import LEASE_SECONDS, LeaseLost
from feefifod.catalog.queries import load_queries

if TYPE_CHECKING:
    from feefifod.catalog.database import Database

_LEASE: Final = timedelta(seconds=LEASE_SECONDS)


@dataclass(frozen=True, slots=True)
class TableCopy:
    """A copy that is not finished.

    Attributes:
        table: the name that it will have. from_id, to_id: identities of the table and of its copy, once that is made.
        state: `copying`, `swapping` (names are being changed), or `bound` (the ledger is; the old table is to go).
        sequenced: transactions of the table when the copy was proven.
        held: a living owner has it, as far as its lease tells.
    """

    id: int
    table: str
    from_id: str
    to_id: str | None
    partition_by: str
    state: str
    sequenced: int | None
    owner: str
    fence: int
    held: bool


class TableCopies:
    """Reads and writes them; every change names its fence, and with a lost lease changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("copies")
        self.access = TableAccess(database)

    async def find(self, table: str, server_id: str) -> TableCopy | None:
        """Return the unfinished copy of a server's table."""
        await self.access.free_dead()
        rows = await self._database.fetch(self._sql["find_unfinished"], table)
        return next((_copy(row) for row in rows if row["from_id"].rpartition(":")[0] == server_id), None)

    async def is_any(self, table: str) -> bool:
        """Tell, at the cost of one look, whether a table of this name on whatever server is being copied."""
        return bool(await self._database.fetch(self._sql["find_unfinished"], table))

    async def begin(self, table: str, from_id: str, partition_by: str) -> TableCopy:
        """Begin a copy; from now on nobody else begins to work on the table.

        Raises:
            TableBusy: another process copies it.
        """
        async with self._database.transaction() as connection:
            await connection.execute(LOCK_CLAIMS)
            for row in await connection.fetch(self._sql["find_unfinished"], table):
                if row["from_id"] == from_id:
                    raise busy(row["table_name"], row["partition_by"], row["owner"], row["state"])
            values = (table, from_id, partition_by, self.access.owner, _LEASE)
            return _copy(await connection.fetchrow(self._sql["begin"], *values))

    async def take_over(self, copy: TableCopy) -> TableCopy:
        """Go on with a copy whose owner is gone.

        Raises:
            TableBusy: its owner lives, or another process was faster.
        """
        async with self._database.transaction() as connection:
            await connection.execute(LOCK_CLAIMS)
            row = await connection.fetchrow(self._sql["take_over"], copy.id, self.access.owner, _LEASE)
        if row is None:
            raise busy(copy.table, copy.partition_by, copy.owner, copy.state)
        return _copy(row)

    async def renew(self, copy: TableCopy) -> None:
        """Hold a copy for another lease time.

        Raises:
            LeaseLost: another process has it now, or may have worked on the table meanwhile.
        """
        await self._change("renew", copy, _LEASE)

    async def let_go(self, copy: TableCopy) -> None:
        """End our lease at once."""
        await self._database.execute(self._sql["let_go"], copy.id, copy.fence)

    async def list_users(self, copy: TableCopy) -> list[str]:
        """Return who works on the table still, in words."""
        await self.access.free_dead()
        rows = await self._database.fetch(self._sql["read_users"], copy.from_id)
        return sorted(f"{row['purpose']} of process {row['owner'].split('/')[1]}" for row in rows)

    async def aim(self, copy: TableCopy, to_id: str, partition_by: str) -> None:
        """Record which table the copy is."""
        await self._change("aim", copy, to_id, partition_by)

    async def begin_swap(self, copy: TableCopy, sequenced: int) -> None:
        """Record that the copy is proven and names are about to be changed."""
        await self._change("begin_swap", copy, sequenced)

    async def undo_swap(self, copy: TableCopy) -> None:
        """Record that the names are as they were: the copy lacks what has come since it was proven."""
        await self._change("undo_swap", copy)

    async def bind(self, copy: TableCopy) -> None:
        """Bind everything that was known of the table to its copy, at once."""
        ids = (copy.from_id, copy.to_id)
        async with self._database.transaction() as connection:
            await connection.execute(LOCK_CLAIMS)
            state = await connection.fetchval(self._sql["lock_state"], copy.id, copy.fence)
            if state == "bound":
                return  # The answer to an earlier try was lost.
            if state != "swapping":
                raise _lost(copy)
            await connection.execute(self._sql["mark_bound"], copy.id)
            # What a daemon may have begun to remember of the copy, whose name it has seen already.
            await connection.execute(self._sql["forget_mark"], copy.to_id)
            await connection.execute(self._sql["forget_retention"], copy.to_id)
            for what in ("files", "batches", "targets", "fingerprints", "retention", "mark"):
                await connection.execute(self._sql[f"bind_{what}"], *ids)

    async def succeeds(self, to_id: str, from_id: str) -> bool:
        """Tell whether a table is a copy of another one, or a copy of its copy, in its place."""
        known: bool = await self._database.fetch_value(self._sql["succeeds"], from_id, to_id)
        return known

    async def finish(self, copy: TableCopy, *, given_up: bool = False) -> None:
        """Close a copy."""
        await self._change("finish", copy, "given up" if given_up else "done")

    async def _change(self, name: str, copy: TableCopy, *values: object) -> None:
        if not await self._database.execute(self._sql[name], copy.id, copy.fence, *values):
            raise _lost(copy)


def _lost(copy: TableCopy) -> LeaseLost:
    return LeaseLost(
        "another process has taken over the copy of the table, or the lease on it has ended",
        where=copy.table,
        remedy="Run the command again",
    )


def _copy(row: Any) -> TableCopy:
    return TableCopy(
        row["id"],
        row["table_name"],
        row["from_id"],
        row["to_id"],
        row["partition_by"],
        row["state"],
        row["sequenced"],
        row["owner"],
        row["fence"],
        row["held"],
    )

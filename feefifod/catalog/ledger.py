"""The ledger of files: the row that was claimed is the row that proves a file was loaded."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from feefifod.catalog.owner import is_dead, this_owner
from feefifod.catalog.queries import load_queries
from feefifod.catalog.records import Claim, read_claimed, read_record
from feefifod.catalog.zips import ZipLedger
from feefifod.errors import FeefifodError
from feefifod.failpoint import Step, reach
from feefifod.model import FileState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from feefifod.catalog.database import Database
    from feefifod.catalog.records import BadName, Drop, Ending, FileRecord, Loaded, Move

LEASE_SECONDS: Final = 60.0
"""How long a claim holds without renewal, on PostgreSQL's clock."""

RENEW_SECONDS: Final = LEASE_SECONDS / 3


class LeaseLost(FeefifodError):
    """Someone else has taken over what we had claimed: stop working on it, change nothing."""


class Ledger:
    """Claims and proofs. All times are PostgreSQL's, all leases end by themselves."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("ledger")
        self.owner = str(this_owner())
        self.zips = ZipLedger(database, self.owner, LEASE_SECONDS)

    async def register(self, drops: Sequence[Drop]) -> None:
        """Give every drop its row; a row whose file has changed meanwhile starts anew."""
        stamps = [drop.stamp for drop in drops]
        paths = [drop.path for drop in drops]
        inodes, sizes, mtimes = [s.inode for s in stamps], [s.size for s in stamps], [s.mtime_ns for s in stamps]
        async with self._database.transaction() as connection:
            await connection.execute(self._sql["settle_replaced"], paths, inodes, sizes, mtimes)
            await connection.execute(
                self._sql["register"],
                paths,
                [drop.name for drop in drops],
                [s.device for s in stamps],
                inodes,
                sizes,
                mtimes,
                [s.ctime_ns for s in stamps],
                [drop.series.ticker for drop in drops],
                [str(drop.series.category) for drop in drops],
                [drop.series.quote for drop in drops],
                [drop.series.interval_minutes for drop in drops],
                [drop.membership and drop.membership.zip_sha256 for drop in drops],
                [drop.membership and drop.membership.place for drop in drops],
                [drop.wrapping for drop in drops],
            )

    async def refuse(self, refused: Sequence[BadName]) -> None:
        """Record files whose very name is refused; `adopt_unmoved` then finds them."""
        await self._database.execute(
            self._sql["refuse"],
            [file.path for file in refused],
            [file.name for file in refused],
            [file.stamp.device for file in refused],
            [file.stamp.inode for file in refused],
            [file.stamp.size for file in refused],
            [file.stamp.mtime_ns for file in refused],
            [file.stamp.ctime_ns for file in refused],
            [file.reason for file in refused],
            [file.membership and file.membership.zip_sha256 for file in refused],
            [file.membership and file.membership.place for file in refused],
        )

    async def free_dead_owners(self) -> None:
        """End the leases of processes of this host that are gone."""
        owners = [row["owner"] for row in await self._database.fetch(self._sql["owners"])]
        dead = [owner for owner in owners if owner != self.owner and is_dead(owner)]
        if dead:
            await self._database.execute(self._sql["free"], dead)

    async def claim(self, paths: Collection[bytes], table_id: str, *, orphans: bool = True) -> Claim | None:
        """Claim what is free among `paths`; None when nothing is.

        A batch whose owner is gone comes first, whole, to go on from its checkpoint (unless `orphans` is False);
        then a new batch. A series that another batch is loading is left for later.
        """
        await self.free_dead_owners()
        lease = timedelta(seconds=LEASE_SECONDS)
        async with self._database.transaction() as connection:
            await connection.execute(self._sql["lock_claims"])
            fence = await connection.fetchval(self._sql["new_fence"])
            for orphan in await connection.fetch(self._sql["orphans"]) if orphans else ():
                batch_id = orphan["batch_id"]
                await connection.execute(self._sql["release_strays"], batch_id, paths)
                rows = await connection.fetch(self._sql["take_over"], batch_id, self.owner, fence, lease, paths)
                if rows:
                    batch = await connection.fetchrow(self._sql["take_over_batch"], batch_id, fence, table_id)
                    files = tuple(map(read_claimed, rows))
                    merged = json.loads(batch["merged"])
                    return Claim(batch_id, fence, table_id, files, batch["checkpoint_seconds"], merged)
            batch_id = await connection.fetchval(self._sql["new_batch"], fence, table_id)
            rows = await connection.fetch(self._sql["claim"], batch_id, self.owner, fence, lease, paths)
            reach(Step.CLAIMING)
            if rows:
                return Claim(batch_id, fence, table_id, tuple(map(read_claimed, rows)), None, {})
            await connection.execute(self._sql["drop_batch"], batch_id)
        return None

    async def renew(self, claim: Claim) -> None:
        """Hold what is claimed for another lease time.

        Raises:
            LeaseLost: another process has it now.
        """
        lease = timedelta(seconds=LEASE_SECONDS)
        touched = await self._database.execute(self._sql["renew"], claim.batch_id, claim.fence, lease)
        current = await self._database.fetch_value("SELECT fence FROM batch WHERE id = $1", claim.batch_id)
        if current != claim.fence and not touched:
            raise _lost(claim)

    async def record_hashes(self, claim: Claim, hashes: Mapping[int, bytes]) -> None:
        """Store content hashes by file id."""
        await self._database.execute(
            self._sql["record_hashes"], claim.batch_id, claim.fence, list(hashes), list(hashes.values())
        )

    async def find_known(self, claim: Claim, ids: Collection[int]) -> set[int]:
        """Return which of these files hold content that the table has already, for the same series."""
        rows = await self._database.fetch(self._sql["known_content"], list(ids), claim.table_id)
        return {row["id"] for row in rows}

    async def find_overlaps(self, claim: Claim, spans: Collection[tuple[int, int, int]]) -> set[int]:
        """Return which files (id, unix seconds of first and last row) have a rival in the table already.

        A rival is a row of the same series from another file within that span. Files that overwrite have none.
        """
        rows = await self._database.fetch(
            self._sql["find_overlaps"],
            [id_ for id_, _, _ in spans],
            [first for _, first, _ in spans],
            [last for _, _, last in spans],
            claim.table_id,
        )
        return {row["id"] for row in rows}

    async def request_overwrite(self, paths: Collection[bytes]) -> int:
        """Let waiting files win over what is stored, whatever their trade counts; returns how many were found."""
        return await self._database.execute(self._sql["request_overwrite"], list(paths))

    async def release(self, claim: Claim, ids: Collection[int], reason: str) -> None:
        """Give files back: they wait again."""
        await self._database.execute(self._sql["release"], claim.batch_id, claim.fence, list(ids), reason)

    async def mark_irregular(self, claim: Claim, ids: Collection[int]) -> None:
        """Remember that files have to be put in order first: no checkpoint speaks for them."""
        await self._database.execute(self._sql["mark_irregular"], claim.batch_id, claim.fence, list(ids))

    async def checkpoint(self, claim: Claim, instant_seconds: int, merged: Mapping[str, int], lane: str) -> None:
        """Record that all rows of the batch before this instant are acknowledged.

        Raises:
            LeaseLost: another process has the batch now.
        """
        touched = await self._database.execute(
            self._sql["checkpoint"], claim.batch_id, claim.fence, instant_seconds, json.dumps(merged), lane
        )
        if not touched:
            raise _lost(claim)

    async def mark_loaded(self, claim: Claim, proofs: Sequence[Loaded]) -> None:
        """Record durably that these files are in the table, counted.

        Raises:
            LeaseLost: another process has some of them now.
        """
        touched = await self._database.execute(
            self._sql["mark_loaded"],
            claim.batch_id,
            claim.fence,
            claim.table_id,
            [proof.id for proof in proofs],
            [proof.rows_accepted for proof in proofs],
            [proof.rows_rejected for proof in proofs],
            [proof.rows_odd for proof in proofs],
            [proof.first_seconds for proof in proofs],
            [proof.last_seconds for proof in proofs],
        )
        if touched != len(proofs):
            raise _lost(claim)

    async def mark_ending(self, claim: Claim, endings: Sequence[Ending], *, table_id: str | None = None) -> None:
        """Record durably what becomes of files that are not loaded, before anything is done to them.

        `table_id` is the table whose content makes a duplicate one.

        Raises:
            LeaseLost: another process has some of them now.
        """
        touched = await self._database.execute(
            self._sql["mark_ending"],
            claim.batch_id,
            claim.fence,
            table_id,
            [ending.id for ending in endings],
            [str(ending.state) for ending in endings],
            [ending.reason for ending in endings],
            [ending.rows_rejected for ending in endings],
        )
        if touched != len(endings):
            raise _lost(claim)

    async def finish(self, fence: int, moves: Sequence[Move]) -> None:
        """Record where decided files are now."""
        await self._database.execute(
            self._sql["finish"],
            fence,
            [move.id for move in moves],
            [move.moved_to for move in moves],
            [move.remark for move in moves],
        )

    async def finish_batch(self, claim: Claim) -> None:
        """Close a batch."""
        await self._database.execute(self._sql["finish_batch"], claim.batch_id, claim.fence)

    async def let_go(self, fence: int) -> None:
        """End our lease at once; the next owner goes on from the checkpoint."""
        await self._database.execute(self._sql["let_go"], fence)

    async def adopt_unmoved(self) -> tuple[int, list[FileRecord]]:
        """Take over decided files that were not moved and have no living owner; returns a fence and them."""
        await self.free_dead_owners()
        fence = await self._database.fetch_value(self._sql["new_fence"])
        lease = timedelta(seconds=LEASE_SECONDS)
        rows = await self._database.fetch(self._sql["adopt_unmoved"], self.owner, fence, lease)
        return fence, [read_record(row) for row in rows]

    async def forget(self, paths: Collection[bytes]) -> None:
        """Remove the rows of waiting files that are there no more."""
        await self._database.execute(self._sql["forget_paths"], list(paths))

    async def forget_missing(
        self, folder: bytes, present: Collection[bytes], is_hidden: Callable[[bytes], bool] = lambda _: False
    ) -> None:
        """Remove the rows of all waiting files below `folder` that are there no more.

        `is_hidden` tells of a path that nothing can be seen there now; its file may be there still.
        """
        known = await self._database.fetch(self._sql["waiting_paths"])
        here = frozenset(present)
        prefix = folder.rstrip(b"/") + b"/"
        missing = [row for row in known if row["path"].startswith(prefix) and row["path"] not in here]
        gone = [row["id"] for row in missing if not is_hidden(row["path"])]
        if gone:
            await self._database.execute(self._sql["forget"], gone)

    async def list_unmoved(self) -> list[tuple[str, int]]:
        """Return decided files that lie where they were dropped and that no process is moving: name and rows loaded."""
        return [(row["name"], row["rows_accepted"]) for row in await self._database.fetch(self._sql["list_unmoved"])]

    async def bind_table(self, database: str, table_id: str) -> None:
        """Remember which table a configured database is; files loaded into another one do not count for it."""
        await self._database.execute(self._sql["bind_table"], database, table_id)

    async def bound_table(self, database: str) -> str | None:
        """Return the table that a configured database was last seen to be."""
        table_id: str | None = await self._database.fetch_value(self._sql["bound_table"], database)
        return table_id

    async def count_states(self, table_id: str | None) -> tuple[dict[FileState, int], int, int]:
        """Return files by state, rows accepted and rows rejected, of one table."""
        rows = await self._database.fetch(self._sql["count_states"], table_id)
        states = {FileState(row["state"]): row["files"] for row in rows}
        return states, sum(row["accepted"] for row in rows), sum(row["rejected"] for row in rows)

    async def find_path(self, path: bytes) -> FileRecord | None:
        """Return the newest row of a path in the data folder."""
        rows = await self._database.fetch(self._sql["find_path"], path)
        return read_record(rows[0]) if rows else None


def _lost(claim: Claim) -> LeaseLost:
    return LeaseLost(
        f"another process has taken over batch {claim.batch_id}",
        remedy="Nothing to do: it goes on with the work, and this process changes nothing of it",
    )

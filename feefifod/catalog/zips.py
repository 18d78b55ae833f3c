"""The ledger of zips: a zip is a drop, and so is each of its members."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from feefifod.catalog.access import LOCK_CLAIMS, refuse_while_copied
from feefifod.catalog.queries import load_queries
from feefifod.model import FileState

if TYPE_CHECKING:
    from feefifod.catalog.database import Database
    from feefifod.model import FileStamp


@dataclass(frozen=True, slots=True)
class ZipClaim:
    """A zip that is ours until its lease ends; `sha256` is None until it was hashed."""

    id: int
    fence: int
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """What became of a member.

    Attributes:
        busy: somebody loads or moves it at this moment.
        rows: its rows, good and bad, as far as they are known; those of its twin when it is a duplicate.
    """

    state: FileState
    busy: bool
    rows: int

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.state not in {FileState.WAITING, FileState.LOADING, FileState.MOVING}


@dataclass(frozen=True, slots=True)
class ZipRecord:
    """A zip that is not finished, for people.

    Attributes:
        members: OHLCVT files in it; None until it was opened.
        states: how many of them are in which state; those that are missing here were never unpacked.
        reason: what was last said of it.
    """

    path: bytes
    name: str
    state: FileState
    members: int | None
    states: dict[FileState, int]
    reason: str

    @property
    def done(self) -> int:
        """How many members are finished."""
        unfinished = {FileState.WAITING, FileState.LOADING, FileState.MOVING}
        return sum(count for state, count in self.states.items() if state not in unfinished)


class ZipLedger:
    """Claims and ends of zips. Moves are recorded by the ledger of files, for a zip has its row there."""

    def __init__(self, database: Database, owner: str, lease_seconds: float) -> None:
        self._database = database
        self._sql = load_queries("zips")
        self._settle_replaced = load_queries("ledger")["settle_replaced"]
        self._owner = owner
        self._lease = timedelta(seconds=lease_seconds)

    async def claim(self, path: bytes, name: str, stamp: FileStamp, table_id: str) -> ZipClaim | None:
        """Give a complete zip its row and claim it; None while another owner has it.

        Raises:
            TableBusy: the table is being copied.
        """
        async with self._database.transaction() as connection:
            await connection.execute(LOCK_CLAIMS)
            await refuse_while_copied(connection, table_id)
            inode, size, mtime = [stamp.inode], [stamp.size], [stamp.mtime_ns]
            await connection.execute(self._settle_replaced, [path], inode, size, mtime)
            values = (stamp.device, stamp.inode, stamp.size, stamp.mtime_ns, stamp.ctime_ns)
            await connection.execute(self._sql["register"], path, name, *values)
            row = await connection.fetchrow(self._sql["claim"], path, self._owner, self._lease)
        return ZipClaim(row["id"], row["fence"], row["sha256"]) if row else None

    async def renew(self, claim: ZipClaim) -> bool:
        """Hold a zip for another lease time; False when another process has it now."""
        return bool(await self._database.execute(self._sql["renew"], claim.id, claim.fence, self._lease))

    async def record_hash(self, claim: ZipClaim, sha256: bytes) -> None:
        """Store the content hash: of all parts as one."""
        await self._database.execute(self._sql["record_hash"], claim.id, claim.fence, sha256)

    async def is_known(self, claim: ZipClaim, sha256: bytes, table_id: str) -> bool:
        """Tell whether a zip of this content was finished for this table."""
        known: bool = await self._database.fetch_value(self._sql["known_content"], claim.id, sha256, table_id)
        return known

    async def find_twin(self, claim: ZipClaim, sha256: bytes) -> str | None:
        """Return the name of an unfinished zip of the same content that came first."""
        name: str | None = await self._database.fetch_value(self._sql["twin"], claim.id, sha256)
        return name

    async def members(self, sha256: bytes, table_id: str | None) -> dict[str, MemberRecord]:
        """Return what became of each member that was ever unpacked from a zip of this content, by its place."""
        rows = await self._database.fetch(self._sql["members"], sha256, table_id)
        return {
            row["member"]: MemberRecord(FileState(row["state"]), row["busy"], row["twin_rows"] or row["rows"])
            for row in rows
        }

    async def leave(self, claim: ZipClaim, reason: str, members: int | None) -> None:
        """Let a zip wait, with what there is to say of it."""
        await self._database.execute(self._sql["leave"], claim.id, claim.fence, reason, members)

    async def mark_ending(
        self, claim: ZipClaim, state: FileState, reason: str, *, table_id: str | None, members: int | None
    ) -> bool:
        """Record durably what becomes of a zip, before it is moved; False when another process has it now."""
        values = (str(state), reason, table_id, members)
        return bool(await self._database.execute(self._sql["mark_ending"], claim.id, claim.fence, *values))

    async def name_of(self, sha256: bytes) -> str | None:
        """Return the name of the newest zip of this content."""
        name: str | None = await self._database.fetch_value(self._sql["name_of"], sha256)
        return name

    async def unfinished_hashes(self) -> set[bytes]:
        """Return the content hashes of zips that are not finished."""
        return {row["sha256"] for row in await self._database.fetch(self._sql["unfinished_hashes"])}

    async def count_busy_copies(self) -> int:
        """Count the members that are loaded or moved now; unlike other files they do not lie in the data folder."""
        count: int = await self._database.fetch_value(self._sql["busy_copies"])
        return count

    async def list_unfinished(self, table_id: str | None) -> list[ZipRecord]:
        """Return the zips that are not finished, for people: "N of M members done"."""
        records = []
        for row in await self._database.fetch(self._sql["unfinished"]):
            members = await self.members(row["sha256"], table_id) if row["sha256"] else {}
            states = dict(Counter(member.state for member in members.values()))
            state = FileState(row["state"])
            records.append(ZipRecord(row["path"], row["name"], state, row["members"], states, row["reason"]))
        return records

"""Rounds of ingestion: scan, settle, register, claim, and a batch for each claim."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from anyio import to_thread

from feefifod.discover import Settlement, Settler, scan
from feefifod.failpoint import Step, reach
from feefifod.ingest.batch import Batch
from feefifod.ingest.candidates import Selection, select
from feefifod.ingest.finish import finish_left_over
from feefifod.ingest.zips import Zips
from feefifod.pulse import working
from feefifod.repartition import provide_table
from feefifod.sink import read_identity

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from feefifod.catalog import Claim, Drop
    from feefifod.discover import Found
    from feefifod.ingest.tools import Tools
    from feefifod.model import FileStamp

SMALL_FILE_BYTES: Final = 8 * 1024 * 1024
SMALL_BATCH_BYTES: Final = 16 * 1024 * 1024
_REST_SECONDS: Final = (1.0, 60.0)


@dataclass(frozen=True, slots=True)
class _Rest:
    """A file that cannot be read is left alone for a while, longer each time, as long as it stays as it is."""

    stamp: FileStamp
    reason: str
    seconds: float
    until: float


@dataclass(slots=True)
class Ingestor:
    """Ingests what is complete in the data folder."""

    tools: Tools
    settler: Settler = field(init=False)
    zips: Zips = field(init=False)
    _table_id: str | None = None
    _resting: dict[bytes, _Rest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settler = Settler(self.tools.watch)
        self.zips = Zips(self.tools)

    async def look(self, busy: Collection[bytes] = ()) -> Selection:
        """Scan the data folder and the unpacked members of zips, and sort them out; `busy` files are left out.

        Raises:
            Refused: the folder cannot be listed.
        """
        folder = str(self.tools.paths.data)
        found = await to_thread.run_sync(scan, folder)
        members = await to_thread.run_sync(self.zips.shelf.find)
        if busy:
            found = [item for item in found if os.fsencode(item.path) not in busy]
            members = [item for item in members if os.fsencode(item.path) not in busy]
        settlements = await to_thread.run_sync(self.settler.judge, found)
        # Nobody but us writes there, and what is not whole is hidden.
        settlements |= {item.path: Settlement(True, "unpacked from a zip") for item in members}
        for item in found + members:
            rest = self._resting.get(os.fsencode(item.path))
            if rest is not None and rest.stamp == item.stamp and (left := rest.until - time.monotonic()) > 0:
                settlements[item.path] = Settlement(False, f"it cannot be read: {rest.reason}", left, trouble=True)
        return select(found + members, settlements, self.tools.watch, self.tools.tiers)

    async def prepare(self) -> str:
        """Make sure that the table is there and right, and return its identity.

        Raises:
            Refused: the table has other columns.
            TableBusy: its names are being changed.
        """
        tools = self.tools
        reading = partial(read_identity, tools.client, tools.questdb.table)
        identity = await tools.patiently(reading)
        while identity is None or str(identity) != self._table_id:
            made = await tools.unless_copied(partial(provide_table, tools.client, tools.questdb, tools.ledger.copies))
            reach(Step.TABLE_MADE)
            await tools.patiently(partial(tools.ledger.bind_table, tools.database, str(made)))
            # Looked at again, because a copy may have taken its place before the ledger was bound.
            self._table_id, identity = str(made), await tools.patiently(reading)
        return str(identity)

    async def refuse(self, selection: Selection) -> None:
        """Record files whose very name is refused, and put away whatever has to be; `selection` loses the latter.

        Raises:
            NotMoved: a folder cannot be written; the other files can be loaded all the same.
        """
        if selection.refused:
            await self.tools.patiently(partial(self.tools.ledger.refuse, selection.refused))
            reach(Step.NAME_REFUSED)
        await finish_left_over(self.tools, selection)

    async def claim(self, drops: Sequence[Drop], *, orphans: bool = True) -> Claim | None:
        """Register complete files and claim what is free of them; see `Ledger.claim`."""
        table_id = await self.prepare()
        reach(Step.REGISTERING)
        await self.tools.patiently(partial(self.tools.ledger.register, drops))
        reach(Step.REGISTERED)
        paths = [drop.path for drop in drops]
        return await self.tools.unless_copied(partial(self.tools.ledger.claim, paths, table_id, orphans=orphans))

    async def forget_missing(self, selection: Selection, busy: Collection[bytes] = ()) -> None:
        """Drop the ledger rows of files that were waiting and are there no more."""
        present = [drop.path for drop in selection.drops] + list(busy)
        present += [os.fsencode(found.path) for found, _ in selection.waiting]
        present += [os.fsencode(found.path) for found in selection.zips]
        for folder in (self.tools.paths.data, self.zips.shelf.root):
            await self.tools.patiently(partial(self.tools.ledger.forget_missing, os.fsencode(folder), present))

    async def advance(self, found: Found) -> bool:
        """Do what is next for a complete zip; True when it was unpacked further, or is at its end.

        Raises:
            as `Zips.advance` and `prepare`.
        """
        return await self.zips.advance(found, await self.prepare())

    async def run_batch(self, claim: Claim) -> None:
        """Work on one claim; see `Batch.run` for what it raises."""
        batch = Batch(self.tools, claim, self.tools.scratch / f"batch-{os.getpid()}-{claim.fence}")
        try:
            with structlog.contextvars.bound_contextvars(batch=claim.batch_id), working(f"batch {claim.batch_id}"):
                await batch.run()
        finally:
            self._let_rest(batch)
            self.zips.wake()

    def _let_rest(self, batch: Batch) -> None:
        now, (shortest, longest) = time.monotonic(), _REST_SECONDS
        stamps = {file.path: file.stamp for file in batch.claim.files}
        # What is long over was cured, or is gone.
        self._resting = {path: rest for path, rest in self._resting.items() if now - rest.until < longest}
        for path, reason in batch.unreadable.items():
            before = self._resting.get(path)
            again = before is not None and before.stamp == stamps[path]
            seconds = min(2 * before.seconds, longest) if before is not None and again else shortest
            self._resting[path] = _Rest(stamps[path], reason, seconds, now + seconds)


def pick_small(drops: Sequence[Drop]) -> list[Drop]:
    """Return small files that can be loaded beside a long sweep, not too many of them."""
    picked: list[Drop] = []
    size = 0
    for drop in drops:
        if drop.stamp.size <= SMALL_FILE_BYTES and size + drop.stamp.size <= SMALL_BATCH_BYTES:
            picked.append(drop)
            size += drop.stamp.size
    return picked

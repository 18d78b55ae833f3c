"""Rounds of ingestion: look, register, claim, and a batch for each claim."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog
from anyio import to_thread

from feefifod.catalog import Claim, Drop
from feefifod.config import WatchSettings
from feefifod.discover import Folder, Found, Settlement
from feefifod.failpoint import Step, reach
from feefifod.ingest.batch import Batch
from feefifod.ingest.candidates import Selection, show_name, why_kind_unwanted, why_unwanted
from feefifod.ingest.closed import ClosedFolders
from feefifod.ingest.finish import finish_left_over
from feefifod.ingest.tools import Tools
from feefifod.ingest.zips import Zips
from feefifod.model import FileStamp, Tier
from feefifod.pulse import working
from feefifod.sink import ensure_table, read_identity

_SMALL_FILE_BYTES: Final = 8 * 1024 * 1024
_SMALL_BATCH_BYTES: Final = 16 * 1024 * 1024
_SMALL_BATCH_FILES: Final = 500
_REST_SECONDS: Final = (1.0, 60.0)
_ELSEWHERE: Final = "another feefifod process is loading it, or another file of its series"


@dataclass(frozen=True, slots=True)
class _Rest:
    """A file that cannot be read is left alone for a while, longer each time, as long as it stays as it is."""

    stamp: FileStamp
    reason: str
    seconds: float
    until: float


@dataclass(slots=True)
class Ingestor:
    """Ingests what is complete in the data folder.

    Attributes:
        folder: what is known of the data folder. closed: the folders there that cannot be looked into.
    """

    tools: Tools
    folder: Folder = field(init=False)
    zips: Zips = field(init=False)
    closed: ClosedFolders = field(default_factory=ClosedFolders)
    _table_id: str | None = None
    _members: list[Found] | None = None
    _thorough_at: float = 0.0
    _released: set[str] = field(default_factory=set)
    _resting: dict[bytes, _Rest] = field(default_factory=dict)
    _passed_over: dict[bytes, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.zips = Zips(self.tools)
        self.reconfigure(self.tools.watch, self.tools.tiers)

    def reconfigure(self, watch: WatchSettings, tiers: Mapping[Tier, Sequence[str]]) -> None:
        """Take files by other rules from the next look on."""
        self.tools.watch, self.tools.tiers = watch, tiers
        why_unwanted = partial(why_kind_unwanted, watch=watch, tiers=tiers)
        self.folder = Folder(str(self.tools.paths.data), watch, why_unwanted)
        self.zips.wake()

    async def look(
        self, busy: Collection[str] = (), changed: Collection[str] | None = None, *, lost: bool = False
    ) -> Selection:
        """Look at the data folder and the unpacked members of zips, and sort them out; `busy` files are left out.

        Args:
            busy: paths of files that are in work.
            changed: where something happened since the last look; None if that is not known: everything is listed.
            lost: there may be more that has changed.

        Raises:
            Refused: the folder cannot be listed.
        """
        released, self._released = self._released, set()
        whole = changed is None
        thorough = whole or time.monotonic() > self._thorough_at
        sight = await to_thread.run_sync(
            partial(
                self.folder.look,
                changed or (),
                released=released,
                busy=busy,
                lost=lost,
                whole=whole,
                with_waiting=whole,
            )
        )
        if sight.scanned:
            self.closed.update(self.folder.closed)
        for path, reason in self.folder.take_archives():
            structlog.get_logger().warning("file_ignored", file=show_name(path), reason=reason)
        thorough = thorough and sight.scanned
        if thorough:
            # Where everything is listed more often than that, as where there are no events, the ledger is spared.
            self._thorough_at = time.monotonic() + self.tools.watch.rescan_seconds / 2
        if self._members is None or thorough:
            self._members = await to_thread.run_sync(self.zips.shelf.find)
        selection = Selection(waiting=sight.waiting, due_seconds=sight.due_seconds, scanned=thorough)
        now = time.monotonic()
        for item in sight.complete:
            self._sort_in(item, selection, now)
        for item in self._members:
            # Only we write there, and what is not whole is hidden.
            if item.stamp and item.path not in busy and not why_unwanted(item, self.tools.watch, self.tools.tiers):
                self._sort_in(item, selection, now)
        return selection

    def _sort_in(self, found: Found, selection: Selection, now: float) -> None:
        path = os.fsencode(found.path)
        rest = self._resting.get(path)
        if rest is not None and rest.stamp == found.stamp and (left := rest.until - now) > 0:
            selection.wait(found, Settlement(False, f"it cannot be read: {rest.reason}", left, trouble=True))
        elif (left := self._passed_over.get(path, now) - now) > 0:
            selection.wait(found, Settlement(False, _ELSEWHERE, left))
        else:
            selection.add(found)

    def release(self, paths: Iterable[bytes], *, unpacked: bool) -> None:
        """Take note that files are not in work any more: they have moved, or have to be judged anew.

        Args:
            paths: of these files. unpacked: whether members of zips are among them.

        Only members of zips wake the zips: looking into one costs more than a small batch, and those of a stream end
        every second.
        """
        self._released |= set(map(os.fsdecode, paths))
        if unpacked:
            self._members = None
            self.zips.wake()

    async def prepare(self) -> str:
        """Make sure that the table is there and right, and return its identity.

        Raises:
            Refused: the table has other columns.
        """
        tools = self.tools
        identity = await tools.patiently(partial(read_identity, tools.client, tools.questdb.table))
        if identity is None or str(identity) != self._table_id:
            identity = await tools.patiently(partial(ensure_table, tools.client, tools.questdb))
            reach(Step.TABLE_MADE)
            self._table_id = str(identity)
            await tools.patiently(partial(tools.ledger.bind_table, tools.database, self._table_id))
        return str(identity)

    async def refuse(self, selection: Selection) -> None:
        """Record files whose very name is refused, and put away whatever has to be; `selection` loses the latter.

        Raises:
            NotMoved: a folder cannot be written; the other files can be loaded all the same.
        """
        here = [refused.path for refused in selection.refused] + [drop.path for drop in selection.drops]
        here += [os.fsencode(found.path) for found in selection.zips]
        members = {drop.path for drop in selection.drops if drop.membership is not None}
        members |= {refused.path for refused in selection.refused if refused.membership is not None}
        if selection.refused:
            await self.tools.patiently(partial(self.tools.ledger.refuse, selection.refused))
            reach(Step.NAME_REFUSED)
        try:
            await finish_left_over(self.tools, selection)
        finally:
            left = {drop.path for drop in selection.drops} | {os.fsencode(found.path) for found in selection.zips}
            gone = [path for path in here if path not in left]
            self.release(gone, unpacked=bool(members.intersection(gone)))

    async def claim(self, drops: Sequence[Drop], *, orphans: bool = True) -> Claim | None:
        """Register complete files and claim what is free of them; see `Ledger.claim`."""
        table_id = await self.prepare()
        drops = await self._confirm(drops)
        if not drops:
            return None
        reach(Step.REGISTERING)
        await self.tools.patiently(partial(self.tools.ledger.register, drops))
        reach(Step.REGISTERED)
        paths = [drop.path for drop in drops]
        return await self.tools.patiently(partial(self.tools.ledger.claim, paths, table_id, orphans=orphans))

    def pass_over(self, paths: Iterable[bytes], seconds: float) -> None:
        """Leave files out of the looks of the next moment: another process has them, or has to move them."""
        now = time.monotonic()
        self._passed_over = {path: until for path, until in self._passed_over.items() if until > now}
        self._passed_over |= dict.fromkeys(paths, now + min(seconds, self.tools.watch.rescan_seconds))

    async def _confirm(self, drops: Sequence[Drop]) -> list[Drop]:
        """Return those of the drops that are still complete; what waited for long may have changed."""
        ours = [os.fsdecode(drop.path) for drop in drops if drop.membership is None]
        complete = await to_thread.run_sync(self.folder.confirm, ours)
        return [drop for drop in drops if drop.membership is not None or os.fsdecode(drop.path) in complete]

    async def forget_missing(self, selection: Selection, busy: Collection[str] = ()) -> None:
        """Drop the ledger rows of files that were waiting and are there no more.

        What was seen to vanish is looked up by its path; with a whole scan, everything that waits is compared.
        """
        gone = await to_thread.run_sync(self.folder.take_gone)
        if gone and not selection.scanned:
            await self.tools.patiently(partial(self.tools.ledger.forget, [os.fsencode(path) for path in gone]))
        if selection.scanned:
            present = await to_thread.run_sync(self.folder.list_wanted)
            here = {os.fsencode(path) for path in [*present, *busy, *(item.path for item in self._members or ())]}
            for folder in (self.tools.paths.data, self.zips.shelf.root):
                forget = partial(self.tools.ledger.forget_missing, os.fsencode(folder), here, self.closed.holds)
                await self.tools.patiently(forget)

    async def advance(self, found: Found) -> bool:
        """Do what is next for a complete zip; True when it was unpacked further, or is at its end.

        Raises:
            as `Zips.advance` and `prepare`.
        """
        table_id = await self.prepare()
        if found.path not in await to_thread.run_sync(self.folder.confirm, [found.path]):
            return False
        try:
            return await self.zips.advance(found, table_id)
        finally:
            self._members = None
            self._released.add(found.path)

    async def run_batch(self, claim: Claim) -> None:
        """Work on one claim; see `Batch.run` for what it raises."""
        batch = Batch(self.tools, claim, self.tools.scratch / f"batch-{os.getpid()}-{claim.fence}")
        try:
            with structlog.contextvars.bound_contextvars(batch=claim.batch_id), working(f"batch {claim.batch_id}"):
                await batch.run()
        finally:
            self._let_rest(batch)
            unpacked = any(file.zip_sha256 is not None for file in claim.files)
            self.release((file.path for file in claim.files), unpacked=unpacked)

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


def is_large(drop: Drop) -> bool:
    """Tell whether a file is not loaded beside a long sweep."""
    return drop.stamp.size > _SMALL_FILE_BYTES


def is_long(drops: Sequence[Drop]) -> bool:
    """Tell whether to load these takes so long that others should not have to wait for it."""
    size = sum(drop.stamp.size for drop in drops)
    return len(drops) > _SMALL_BATCH_FILES or size > _SMALL_BATCH_BYTES or any(map(is_large, drops))


def pick_small(drops: Iterable[Drop]) -> list[Drop]:
    """Return small files that can be loaded beside a long sweep, not too many of them, those that came first."""
    picked: list[Drop] = []
    size = 0
    for drop in drops:
        if not is_large(drop) and size + drop.stamp.size <= _SMALL_BATCH_BYTES:
            picked.append(drop)
            size += drop.stamp.size
            if len(picked) == _SMALL_BATCH_FILES:
                break
    return picked

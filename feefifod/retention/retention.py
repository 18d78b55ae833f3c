"""Retention: files of the archive that are old enough, and proven at this moment, are packed or removed."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from anyio import to_thread

from feefifod.archive import remove_drafts
from feefifod.catalog.retention import Leftover
from feefifod.errors import FeefifodError
from feefifod.retention import originals
from feefifod.retention.plan import choose_going, find_unprovable
from feefifod.retention.report import Kept, Report
from feefifod.retention.zips import ZipPlan
from feefifod.verify import hold_table, verify_series
from feefifod.verify.pruned import list_months, write_checksum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feefifod.catalog.retention import OldFile, Retention
    from feefifod.catalog.verification import DoneFile
    from feefifod.config import RetentionSettings
    from feefifod.model import Series
    from feefifod.verify import Kit, Proven
    from feefifod.verify import Report as VerifyReport

_WAITS: Final = "a file with candles of the same months has to stay for now, and they can only go together"
_ELSEWHERE: Final = "it was loaded into a table that is gone, or into another one"
_MOST_LOGGED: Final = 20


async def apply_retention(kit: Kit, store: Retention, settings: RetentionSettings, *, dry_run: bool = False) -> Report:
    """Pack or remove what is old enough and proven; what is not proven is kept and named.

    It may be killed at any instant: a file is recorded as packed only when its copy was read back from disk, and
    removed only after that was recorded. What was begun is finished by the next run.

    Args:
        dry_run: prove, and say what would be done, but change nothing.

    Raises:
        Refused: there is no table, or a server says no, or is away or the table suspended for too long.
    """
    async with hold_table(kit, "retention") as table_id:
        run = _Run(kit, store, settings, table_id, Report(dry_run))
        if not dry_run:
            await run.tidy()
        await run.run()
        return run.report


@dataclass(slots=True)
class _Run:
    """One look at everything that is old enough.

    Attributes:
        files: the old files in ohlcv/, by ledger row.
        zips: what is to become of the old zips.
    """

    kit: Kit
    store: Retention
    settings: RetentionSettings
    table_id: str
    report: Report
    files: dict[int, OldFile] = field(default_factory=dict)
    zips: ZipPlan = field(default_factory=ZipPlan)
    _done: set[int] = field(default_factory=set)

    async def tidy(self) -> None:
        """Finish what an earlier run has begun."""
        await to_thread.run_sync(remove_drafts, self.kit.paths.ingested / "ohlcv", limiter=self.kit.reading)
        for leftover in await self.kit.patiently(self.store.read_leftovers):
            await self._remove(leftover)

    async def run(self) -> None:
        """Prove, and act on what is proven."""
        old = await self._read_old()
        zips = [file for file in old if file.series is None]
        self.files = {file.id: file for file in old if file.series is not None}
        if zips:
            self.zips = await ZipPlan.make(self.kit, self.store, self.table_id, zips)
            proof = await verify_series(self.kit, self.table_id, self.zips.series, self.zips.take)
            self.zips.settle(self._explain(proof), self._may_go)
        wanted = {file.series for file in self.files.values() if file.series} | self.zips.wanted_series
        if wanted:
            proof = await verify_series(self.kit, self.table_id, wanted, self._take)
            self._keep_rest(self._explain(proof))
        for zip_ in self.zips.going:
            await self._prune_zip(zip_)
        for zip_, reason in self.zips.staying:
            self._keep(zip_, reason)
        self._log()

    async def _read_old(self) -> list[OldFile]:
        """Read what is old enough, and of a kind that something is to be done to."""
        settings = self.settings
        old = await self.kit.patiently(partial(self.store.read_old, settings.after_days))
        if settings.files == "prune":
            old += await self.kit.patiently(partial(self.store.read_old, settings.after_days, packed=True))
        wanted = [file for file in old if (settings.zips if file.series is None else settings.files) != "keep"]
        if settings.files == "compress":
            # What was dropped compressed is small already; a list of refused rows always is.
            wanted = [file for file in wanted if not file.wrapping]
        for file in wanted:
            if file.table_id != self.table_id:
                self._keep(file, _ELSEWHERE)
        return [file for file in wanted if file.table_id == self.table_id]

    def _may_go(self, file: DoneFile) -> bool:
        """Tell whether a file is to be removed, as far as it alone is concerned."""
        if file.member is not None:
            return file.zip_place in self.zips.places
        return self.settings.files == "prune" and file.id in self.files

    async def _take(self, proven: Proven) -> None:
        """Act on the files of a series that is proven."""
        files = [file for _, file in proven.member.files]
        prune = self.settings.files == "prune"
        bad = find_unprovable(files, proven.blind, proven.unstable)
        going = choose_going(files, lambda file: self._may_go(file) and file.id not in bad)
        if going:
            await self._prune(proven, going)
        kept = {file.id for file in files} - {file.id for file in going}
        twins = [file for file in self.files.values() if file.series == proven.member.series and file.duplicate]
        blind = find_unprovable(files, proven.blind)
        for file_id in kept & self.files.keys():
            file = self.files[file_id]
            if not prune and file_id not in blind:
                await self._pack(file)
            else:
                self._keep(file, bad.get(file_id, _WAITS), suspicious=file_id in bad)
        for file in twins:
            if proven.blind:
                self._keep(file, next(iter(blind.values()), "its rows cannot be proven any more"))
            elif prune:
                await self._prune_twin(file)
            else:
                await self._pack(file)

    async def _pack(self, file: OldFile) -> None:
        place = os.fsdecode(file.place)
        if self.report.dry_run:
            self._count(file, self.report.packed)
            return
        if await self.kit.patiently(partial(self.store.is_shared, file.place)):
            self._keep(file, "the ledger has several files at this place")
            return
        try:
            packed = partial(originals.pack_original, place, file.sha256)
            target, before, after = await to_thread.run_sync(packed, limiter=self.kit.reading)
        except (OSError, FeefifodError) as error:
            self._keep(file, f"it cannot be packed: {_say(error)}")
            return
        recording = partial(self.store.record_packed, file, os.fsencode(target))
        if await self.kit.patiently(recording):
            self._done.add(file.id)
            self.report.packed.append(place)
            self.report.bytes_before += before
            self.report.bytes_after += after
            await self._remove(Leftover(file.id, file.place, file.sha256, is_zip=False))
            structlog.get_logger().info("file_compressed", file=file.name, to=str(target), size=before, packed=after)

    async def _prune(self, proven: Proven, going: Sequence[DoneFile]) -> None:
        """Record that files are gone and what stands for them; then remove those that lie there themselves."""
        months = {month for file in going for month in list_months(file)}
        checksums = {
            month: write_checksum(proven.months[month]) if month in proven.months else None for month in months
        }
        plain = [self.files[file.id] for file in going if file.member is None]
        if self.report.dry_run:
            for file in plain:
                self._count(file, self.report.pruned)
            return
        recording = partial(
            self.store.record_pruned, [file.id for file in going], self.table_id, {proven.member.series: checksums}
        )
        if await self.kit.patiently(recording):
            for file in plain:
                await self._finish_pruned(file)

    async def _prune_twin(self, file: OldFile) -> None:
        """Remove a duplicate: what it holds is proven, once it is certain that it holds that."""
        if self.report.dry_run:
            self._count(file, self.report.pruned)
            return
        try:
            right = await self._holds(file)
        except OSError as error:
            self._keep(file, f"it cannot be read: {_say(error)}")
            return
        if not right:
            self._keep(file, "it has another content than when it was recognised")
        elif await self.kit.patiently(partial(self.store.record_pruned, [file.id], self.table_id, {})):
            await self._finish_pruned(file)

    async def _prune_zip(self, zip_: OldFile) -> None:
        """Remove a zip once the last of its members is recorded as pruned."""
        if not self.report.dry_run:
            done = await self.kit.patiently(partial(self.kit.claims.read_done, self.table_id))
            if any(file.zip_place == zip_.place for file in done):
                self._keep(zip_, "not all of its members could be proven just now")
                return
        await self._prune_twin(zip_)

    async def _holds(self, file: OldFile) -> bool:
        looking = partial(originals.holds, os.fsdecode(file.place), file.sha256)
        return await to_thread.run_sync(looking, limiter=self.kit.reading)

    async def _finish_pruned(self, file: OldFile) -> None:
        self._count(file, self.report.pruned)
        await self._remove(Leftover(file.id, file.place, file.sha256, is_zip=file.series is None))
        structlog.get_logger().info("file_pruned", file=file.name, at=os.fsdecode(file.place))

    async def _remove(self, leftover: Leftover) -> None:
        """Remove an original, unless the ledger says meanwhile that another file lies there."""
        place = os.fsdecode(leftover.place)
        removed = True
        if not await self.kit.patiently(partial(self.store.is_wanted, leftover.place)):
            removing = partial(originals.remove, place, leftover.sha256)
            try:
                removed = await to_thread.run_sync(removing, limiter=self.kit.reading)
            except OSError as error:
                self.report.kept.append(Kept(place, f"it cannot be removed: {_say(error)}", suspicious=True))
                return  # The next run tries again.
        if not removed:
            self.report.kept.append(Kept(place, "something else lies there now, which is left alone", suspicious=True))
        await self.kit.patiently(partial(self.store.clear_leftover, leftover.id))

    def _count(self, file: OldFile, places: list[str]) -> None:
        self._done.add(file.id)
        places.append(os.fsdecode(file.place))
        self.report.bytes_before += originals.measure(places[-1]) or file.size

    def _keep(self, file: OldFile, reason: str, *, suspicious: bool = True) -> None:
        self._done.add(file.id)
        self.report.kept.append(Kept(os.fsdecode(file.place), reason, suspicious))

    def _keep_rest(self, reasons: dict[Series, str]) -> None:
        """Name what was not proven."""
        for file in self.files.values():
            if file.id not in self._done and file.series is not None:
                unknown = "the ledger has a later file in its place, or no asset of its series"
                self._keep(file, reasons.get(file.series, unknown))

    def _explain(self, proof: VerifyReport) -> dict[Series, str]:
        """Say for each series that is not proven why."""
        reasons: dict[Series, str] = defaultdict(str)
        for skipped in proof.skipped:
            reasons[skipped.series] = skipped.reason
        for difference in proof.differences:
            reasons[difference.series] = f"it is not proven: {difference.reason}; see: feefifod verify"
        return dict(reasons)

    def _log(self) -> None:
        log = structlog.get_logger()
        for kept in self.report.suspicious[:_MOST_LOGGED]:
            log.warning("retention_kept", file=kept.place, reason=kept.reason)
        log.info(
            "retention_done",
            compressed=len(self.report.packed),
            pruned=len(self.report.pruned),
            kept=len(self.report.kept),
            not_proven=len(self.report.suspicious),
        )


def _say(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return error.why if isinstance(error, FeefifodError) else str(error)

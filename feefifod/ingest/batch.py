"""One claim from beginning to end: looked into, loaded, proven, recorded, moved."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import structlog
from anyio import to_thread

from feefifod.catalog import Ending, LeaseLost, Loaded
from feefifod.catalog.lease import LEASE_SECONDS, RENEW_SECONDS
from feefifod.errors import BadInput, FeefifodError, Unavailable
from feefifod.failpoint import Step, reach
from feefifod.ingest.finish import carry_out
from feefifod.ingest.inspect import Inspection, find_changed, inspect_files
from feefifod.ingest.load import Load, Stopped, make_sweep
from feefifod.ingest.order import order_one
from feefifod.ingest.prove import NotProven, expect, prove
from feefifod.ingest.provision import choose_lane, ensure_assets
from feefifod.ingest.unwrap import Unwrapper
from feefifod.ingest.whereabouts import Ended
from feefifod.lasting import tell_fault
from feefifod.model import FileState
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from feefifod.catalog import Claim, ClaimedFile
    from feefifod.ingest.tools import Tools
    from feefifod.sweep import Ordered, Sweep, Tally

_SMALL_BYTES: Final = 16 * 1024 * 1024
"""What is no larger goes first where it meets a longer load."""


@dataclass(slots=True)
class Batch:
    """A claim at work.

    Attributes:
        unreadable: paths of files that were given back because the system cannot read them, and what it says.
        partly_sent: files that became irregular when rows of theirs may have been sent.
    """

    tools: Tools
    claim: Claim
    scratch: Path
    unreadable: dict[bytes, str] = field(default_factory=dict)
    partly_sent: set[int] = field(default_factory=set)
    _trouble: Unavailable | None = None
    _ended: list[Ended] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Bring the claim to its end, or give it back.

        Raises:
            Stopped: the stop came first; the rest is left for the next start.
            LeaseLost: another process goes on with it.
            Refused, Unavailable: it cannot be finished now; it is given back, to go on from its checkpoint.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hold_lease, name="lease")
                await self._ingest()
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _decide(group) from None
        finally:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + 5.0):
                await to_thread.run_sync(partial(shutil.rmtree, self.scratch, ignore_errors=True))
                await self._let_go()

    async def _let_go(self) -> None:
        # What is finished has no lease any more; what is not goes on from its checkpoint at once.
        try:
            await self.tools.ledger.let_go(self.claim.fence)
        except FeefifodError as error:
            structlog.get_logger().debug("lease_left_to_end", reason=error.why)

    async def _hold_lease(self) -> None:
        """Renew the lease; work that nobody can be sure to own any more is cut.

        Raises:
            LeaseLost: another process has the claim, or PostgreSQL was away for longer than the lease.
        """
        held_until = time.monotonic() + LEASE_SECONDS
        while True:
            await anyio.sleep(RENEW_SECONDS / 2)
            asked = time.monotonic()
            try:
                await self.tools.ledger.renew(self.claim)
                held_until = asked + LEASE_SECONDS
            except Unavailable as error:
                if time.monotonic() > held_until:
                    raise LeaseLost("the lease could not be renewed in time", where="PostgreSQL") from error

    async def _ingest(self) -> None:
        claim, tools = self.claim, self.tools
        reach(Step.CLAIMED)
        started = time.monotonic()
        inspections = await inspect_files(claim.files, tools.reading, Unwrapper(self.scratch))
        loadable = await self._sort_out(inspections)
        ready = [inspection for inspection in loadable if not inspection.irregular]
        irregular = [inspection for inspection in loadable if inspection.irregular]
        ordered: dict[int, Ordered] = {}
        if claim.checkpoint_seconds is None or not ready:
            ordered = await self._order(irregular)
            ready, irregular = [*ready, *(i for i in irregular if i.file.id in ordered)], []
        # Else the checkpoint, which speaks for files that are in order alone, is worth more than one sweep for all.
        while ready:
            met = await self._load(ready, ordered, started)
            self.partly_sent |= met
            irregular += [inspection for inspection in ready if inspection.file.id in met]
            ordered = await self._order(irregular)
            ready, irregular = [i for i in irregular if i.file.id in ordered], []
        await self._carry_out()
        await tools.patiently(partial(tools.ledger.finish_batch, claim))
        reach(Step.CLOSED)
        if self._trouble is not None:
            raise self._trouble  # Said when everything else is done.

    async def _sort_out(self, inspections: Sequence[Inspection]) -> list[Inspection]:
        """Decide about files without loading them where that is possible; return the ones to load."""
        claim, tools = self.claim, self.tools
        hashes = {i.file.id: i.sha256 for i in inspections if i.sha256 and not i.gone}
        reach(Step.HASHING)
        await tools.patiently(partial(tools.ledger.record_hashes, claim, hashes))
        reach(Step.HASHED)
        known = await tools.patiently(partial(tools.ledger.find_known, claim, list(hashes)))
        endings: list[Ending] = []
        duplicates: list[Ending] = []
        loadable: list[Inspection] = []
        twins: set[tuple[object, bytes | None]] = set()
        overwritten = {file.series for file in claim.files if file.overwrite}
        for inspection in inspections:
            file = inspection.file
            content = (file.series, inspection.sha256)
            if inspection.gone:
                await self._give_back([file], inspection.gone)
            elif inspection.unreadable:
                self._note_unreadable(file, inspection.unreadable)
                await self._give_back([file], f"it cannot be read: {inspection.unreadable}")
            elif inspection.empty:
                endings.append(Ending(file.id, FileState.EMPTY, "it holds no data row"))
            elif inspection.refusal:
                endings.append(Ending(file.id, FileState.REJECTED, inspection.refusal))
            elif file.id in known:
                duplicates.append(Ending(file.id, FileState.DUPLICATE, "its content is in the table already"))
            elif file.series in overwritten and not file.overwrite:
                # Its rows are compared with what is stored, and those of the overwriting file are not.
                await self._give_back([file], "a file that overwrites its series is loaded first")
            elif content in twins:
                # The same content twice in one batch: when the first is in, this one is known to be a duplicate.
                await self._give_back([file], "the same content is being loaded under another name")
            else:
                twins.add(content)
                loadable.append(inspection)
        await self._mark(endings, None)
        await self._mark(duplicates, claim.table_id)
        return loadable

    async def _mark(self, endings: Sequence[Ending], table_id: str | None) -> None:
        if not endings:
            return
        reach(Step.DECIDING)
        await self.tools.patiently(partial(self.tools.ledger.mark_ending, self.claim, endings, table_id=table_id))
        reach(Step.DECIDED)
        files = {file.id: file for file in self.claim.files}
        for ending in endings:
            self._ended.append(self._end(files[ending.id], ending.state, ending.reason, rejected=ending.rows_rejected))
            if ending.state is FileState.REJECTED and self.tools.stop_on_error:
                self.tools.stop.set()

    async def _give_back(self, files: Sequence[ClaimedFile], reason: str) -> None:
        if not files:
            return
        ids = [file.id for file in files]
        await self.tools.patiently(partial(self.tools.ledger.release, self.claim, ids, reason))
        for file in files:
            structlog.get_logger().info("file_given_back", file=file.name, reason=reason)

    def _note_unreadable(self, file: ClaimedFile, why: str) -> None:
        self.unreadable[file.path] = why
        remedy = "Look at the disk, and who may read the file; it is tried again"
        tell_fault("file_unreadable", file.name, why, file=file.name, remedy=remedy)

    async def _order(self, inspections: Sequence[Inspection]) -> dict[int, Ordered]:
        """Put irregular files in order; returns what can be loaded.

        One without a good row is refused, and one that is wrong as a whole: but a refused file leaves no rows, so one
        of which rows may have been sent loses only its bad rows. (The first look finds the wrong ones before.)
        """
        results: dict[int, Ordered] = {}
        for inspection in inspections:
            file = inspection.file
            try:
                ordered = await to_thread.run_sync(
                    order_one, self.tools, inspection.content, self.scratch, limiter=self.tools.reading
                )
            except BadInput as error:
                await self._mark([Ending(file.id, FileState.REJECTED, str(error))], None)
                continue
            except FileNotFoundError as error:
                await self._give_back([file], error.strerror or str(error))
                continue
            except OSError as error:
                self._note_unreadable(file, why := error.strerror or str(error))
                await self._give_back([file], f"it cannot be read: {why}")
                continue
            except Unavailable as error:
                self._trouble = error
                await self._give_back([file], str(error))
                continue
            reach(Step.ORDERED)
            partly_sent = file.irregular or file.id in self.partly_sent
            if ordered.wrong is not None and not (ordered.rows and partly_sent):
                reason = str(ordered.wrong)
                await self._mark([Ending(file.id, FileState.REJECTED, reason, ordered.rejected)], None)
            elif ordered.rows:
                results[file.id] = ordered
            else:
                await self._mark([Ending(file.id, FileState.EMPTY, "it holds no data row")], None)
        return results

    async def _load(
        self, inspections: Sequence[Inspection], ordered: Mapping[int, Ordered], started: float
    ) -> set[int]:
        """Load, prove and record files; returns those that turned out to be irregular."""
        claim, tools = self.claim, self.tools
        size = sum(inspection.content.stamp.size for inspection in inspections)
        lane = choose_lane(tools, size)
        log = structlog.get_logger().bind(batch=claim.batch_id)
        log.info(
            "batch_started",
            files=len(inspections),
            bytes=size,
            lane=lane.name,
            resumed_at=None if ordered else claim.checkpoint_seconds,
        )
        tools.listener.batch_started(len(inspections), size, lane.name)
        assets = await ensure_assets(tools, inspections)
        reach(Step.ASSETS_MADE)
        paths = {file_id: result.paths for file_id, result in ordered.items()}
        long = size > _SMALL_BYTES
        load = Load(tools, claim, lane, make_sweep(tools, claim, inspections, assets, paths), long)
        with nullcontext() if long else tools.way.claim():
            return await self._prove(load, inspections, ordered, started)

    async def _prove(
        self, load: Load, inspections: Sequence[Inspection], ordered: Mapping[int, Ordered], started: float
    ) -> set[int]:
        claim, tools, sweep = self.claim, self.tools, load.sweep
        await load.run()
        for inspection in inspections:
            if inspection.file.id in load.unreadable:
                self._note_unreadable(inspection.file, load.unreadable[inspection.file.id])
        files = {i.file.id: i.file for i in inspections if i.file.id in sweep.tallies}
        sent = [file for file in sweep.files if file.id in files]
        reach(Step.PROVING)
        try:
            await prove(tools, claim.table_id, expect(sent, sweep.tallies, load.merged))
        except NotProven as error:
            # Nothing that was acknowledged can be trusted: begin again without a checkpoint.
            await self._give_back(list(files.values()), error.why)
            raise
        changed = await to_thread.run_sync(find_changed, list(files.values()))
        await self._give_back(changed, "it was changed or replaced while it was read")
        for file in changed:
            del files[file.id]
        await self._record(files, sweep, ordered)
        rows = sum(sweep.tallies[file_id].rows for file_id in files)
        seconds = time.monotonic() - started
        structlog.get_logger().info(
            "batch_loaded",
            batch=claim.batch_id,
            files=len(files),
            rows=rows,
            seconds=round(seconds, 3),
            rows_per_second=round(rows / max(seconds, 0.001)),
            lane=load.lane.name,
        )
        return load.irregular

    async def _record(self, files: Mapping[int, ClaimedFile], sweep: Sweep, ordered: Mapping[int, Ordered]) -> None:
        proofs = []
        for file_id, file in files.items():
            tally = sweep.tallies[file_id]
            rejected = ordered[file_id].rejected if file_id in ordered else 0
            proofs.append(Loaded(file_id, tally.rows, rejected, tally.odd, tally.first_seconds, tally.last_seconds))
            reason = f"{count_of(rejected, 'row')} {'was' if rejected == 1 else 'were'} refused" if rejected else ""
            self._ended.append(self._end(file, FileState.DONE, reason, rejected=rejected, tally=tally))
        reach(Step.PROVED)
        await self.tools.patiently(partial(self.tools.ledger.mark_loaded, self.claim, proofs))
        reach(Step.RECORDED)

    def _end(
        self, file: ClaimedFile, state: FileState, reason: str, *, rejected: int = 0, tally: Tally | None = None
    ) -> Ended:
        return Ended(
            file.id,
            os.fsdecode(file.path),
            file.name,
            file.stamp,
            state,
            reason,
            rows_accepted=tally.rows if tally else 0,
            rows_rejected=rejected,
            rows_odd=tally.odd if tally else 0,
            series=file.series,
            zip_sha256=file.zip_sha256,
            begun=self._begun,
        )

    async def _carry_out(self) -> None:
        if self._ended:
            await carry_out(self.tools, self.claim.fence, self._ended)


def _decide(group: BaseExceptionGroup) -> BaseException:
    """Return the error that decides: one that nobody expected, a lost lease, what cannot be repeated, the rest."""
    leaves = list(_leaves(group))
    if not all(isinstance(error, FeefifodError | Stopped) for error in leaves):
        return group
    return min(leaves, key=lambda e: (not isinstance(e, LeaseLost), isinstance(e, Unavailable), isinstance(e, Stopped)))


def _leaves(group: BaseExceptionGroup) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error

"""From files to acknowledged rows: sweep, send, checkpoint."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import structlog

from feefifod.discover import open_drop
from feefifod.failpoint import Step, reach
from feefifod.ingest.contest import SeriesKey, contest
from feefifod.sink import send_in_steps
from feefifod.sweep import Irregular, Slab, Sweep, SweepFile, Unreadable, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from anyio.streams.memory import MemoryObjectReceiveStream

    from feefifod.catalog import Claim
    from feefifod.errors import FeefifodError
    from feefifod.ingest.inspect import Inspection
    from feefifod.ingest.tools import Tools
    from feefifod.model import Asset
    from feefifod.sink import Lane

_SENDS: Final = 2
"""Windows that are encoded or in flight at once: the next is encoded while the one before is on its way."""


class Stopped(Exception):
    """The last window in flight is in and recorded; the rest is left for the next start."""


@dataclass(slots=True)
class Sending:
    """A window on its way."""

    window: Window
    acknowledged: bool = False


@dataclass(slots=True)
class Load:
    """The loading of one claim.

    Attributes:
        long: it lets small loads go first.
        merged: rows that lost to a row of another file of the batch, by series.
        contested: series of which other files have loaded rows within the range of these.
        irregular: files that left on the way because they have to be put in order first.
        unreadable: files that left because the system cannot read them, and what it says.
    """

    tools: Tools
    claim: Claim
    lane: Lane
    sweep: Sweep
    long: bool = False
    merged: dict[str, int] = field(default_factory=dict)
    irregular: set[int] = field(default_factory=set)
    unreadable: dict[int, str] = field(default_factory=dict)
    contested: set[SeriesKey] = field(default_factory=set)
    _sending: deque[Sending] = field(default_factory=deque)
    _checkpoints: anyio.Lock = field(default_factory=anyio.Lock)

    async def run(self) -> None:
        """Bring all rows in.

        Raises:
            Stopped: `tools.stop` was set; what is acknowledged is recorded.
            LeaseLost, Refused: see the ledger and the lane.
        """
        if self.sweep.start_seconds is not None:
            self.merged = dict(self.claim.merged)
        self.sweep.partitioning = self.tools.client.partitioning(self.tools.questdb.table)
        try:
            await self._release(await self.sweep.open())
            await self._find_contested()
            slabs, slabs_in = anyio.create_memory_object_stream[Slab](0)
            windows, windows_in = anyio.create_memory_object_stream[Window](0)
            async with anyio.create_task_group() as stages:
                stages.start_soon(self.sweep.read, slabs, name="read")
                stages.start_soon(self.sweep.merge, slabs_in, windows, name="merge")
                stopped = await self._send_all(windows_in)
        finally:
            self.sweep.close()
        if stopped:
            raise Stopped

    async def _find_contested(self) -> None:
        """Find the series whose rows have to be compared with what is stored: usually none."""
        files = {file.id: file for file in self.sweep.files if file.id in self.sweep.tallies}
        spans = [(id_, tally.first_seconds, tally.last_seconds) for id_, tally in self.sweep.tallies.items()]
        if spans:
            found = await self.tools.patiently(partial(self.tools.ledger.find_overlaps, self.claim, spans))
            self.contested = {(files[i].asset_id, files[i].interval_minutes, files[i].quote) for i in found}

    async def _send_all(self, inbox: MemoryObjectReceiveStream[Window]) -> bool:
        """Send windows, a few at a time; True when the stop came before the end."""
        room = anyio.Semaphore(_SENDS)
        stopped = False
        async with inbox, anyio.create_task_group() as sends:
            # Room first: a window that waits here would be one more in memory.
            await room.acquire()
            async for window in inbox:
                if self.long:
                    await self.tools.way.give()
                sending = Sending(window)
                del window
                self._sending.append(sending)
                sends.start_soon(self._send, sending, room, name="send")
                del sending
                if self.tools.stop.is_set():
                    stopped = True
                    break
                await room.acquire()
        return stopped

    async def _send(self, sending: Sending, room: anyio.Semaphore) -> None:
        window = sending.window
        try:
            await self._release(window.withdrawn)
            frame = window.frame
            if frame is not None and self.contested:
                frame = await contest(self.tools, frame, self.contested)
            if frame is not None:
                reach(Step.SENDING)
                receipt = await send_in_steps(
                    self.lane, frame, self.tools.client, self.tools.questdb.table, self.tools.patiently
                )
                reach(Step.ACKNOWLEDGED)
                structlog.get_logger().debug(
                    "window_sent",
                    batch=self.claim.batch_id,
                    rows=receipt.rows,
                    seconds=round(receipt.seconds, 3),
                    attempts=receipt.attempts,
                )
        finally:
            room.release()
        sending.acknowledged = True
        self.tools.listener.window_sent(window.rows, window.bytes)
        async with self._checkpoints:
            await self._checkpoint()

    async def _checkpoint(self) -> None:
        """Move the batch's one number over all windows that are acknowledged without a gap."""
        instant = None
        while self._sending and self._sending[0].acknowledged:
            window = self._sending.popleft().window
            for series, rows in window.merged.items():
                self.merged[series] = self.merged.get(series, 0) + rows
            if window.last:
                instant = window.until_seconds
        if instant is not None:
            await self.tools.patiently(
                partial(self.tools.ledger.checkpoint, self.claim, instant, dict(self.merged), self.lane.name)
            )
            reach(Step.CHECKPOINTED)

    async def _release(self, withdrawn: Sequence[tuple[SweepFile, FeefifodError]]) -> None:
        """Take files out before any checkpoint can speak for them."""
        ledger = self.tools.ledger
        names = {claimed.id: claimed.name for claimed in self.claim.files} if withdrawn else {}
        for file, error in withdrawn:
            structlog.get_logger().info("file_withdrawn", file=names[file.id], reason=error.why)
            reach(Step.WITHDRAWING)
            if isinstance(error, Irregular):
                self.irregular.add(file.id)
                await self.tools.patiently(partial(ledger.mark_irregular, self.claim, [file.id]))
            else:
                if isinstance(error, Unreadable):
                    self.unreadable[file.id] = error.why
                await self.tools.patiently(partial(ledger.release, self.claim, [file.id], error.why))
            reach(Step.WITHDRAWN)


def make_sweep(
    tools: Tools,
    claim: Claim,
    inspections: Sequence[Inspection],
    assets: Mapping[tuple[str, str], Asset],
    ordered: Mapping[int, Sequence[Path]],
) -> Sweep:
    """Prepare the sweep of a claim's files."""
    files = []
    for inspection in inspections:
        file, head = inspection.content, inspection.head
        if head is None:
            continue
        files.append(
            SweepFile(
                id=file.id,
                order=file.id,
                open=partial(open_drop, os.fsdecode(file.path), file.stamp),
                size=file.stamp.size,
                data_start=head.data_start,
                fields=head.fields,
                asset_id=assets[file.series.ticker, file.series.category].id,
                interval_minutes=file.series.interval_minutes,
                quote=file.series.quote,
            )
        )
    return Sweep(
        files,
        ordered,
        # A file that had to be put in order was not part of what the checkpoint speaks for.
        None if ordered else claim.checkpoint_seconds,
        tools.pipeline.window_rows,
        tools.pipeline.window_bytes,
        tools.reading,
        keep_open=tools.open_files,
    )

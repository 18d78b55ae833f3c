"""The daemon: watch, ingest, until told to stop."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
import structlog

from feefifod.catalog import LeaseLost, TableBusy
from feefifod.discover import Settler
from feefifod.errors import FeefifodError, Refused, Unavailable
from feefifod.ingest.candidates import show_name
from feefifod.ingest.finish import NotMoved
from feefifod.ingest.ingestor import pick_small
from feefifod.ingest.load import Stopped
from feefifod.pulse import working

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from feefifod.catalog import Claim
    from feefifod.config import WatchSettings
    from feefifod.daemon.metrics import Metrics
    from feefifod.discover import Found, Waker
    from feefifod.ingest.candidates import Selection
    from feefifod.ingest.ingestor import Ingestor
    from feefifod.model import Tier

DRAIN_SECONDS: Final = 12.0
"""How long the window in flight may take after the first signal; stopping the servers comes on top."""

_GATHER_SECONDS: Final = 0.5
_BACKOFF_SECONDS: Final = (1.0, 30.0)
_COPY_SECONDS: Final = 2.0


@dataclass(slots=True)
class Pause:
    """How long to be quiet after trouble: longer each time."""

    _failures: int = 0
    _until: float = 0.0

    @property
    def left(self) -> float:
        """Seconds that are left of it; not above 0 when it is over."""
        return self._until - time.monotonic()

    def fail(self) -> float:
        """Begin another one; returns its length."""
        low, high = _BACKOFF_SECONDS
        pause: float = min(low * 2 ** min(self._failures, 16), high)
        self._failures += 1
        self._until = time.monotonic() + pause
        return pause

    def rest(self, seconds: float) -> None:
        """Be quiet for so long, without trouble."""
        self._until = time.monotonic() + seconds

    def succeed(self) -> None:
        """Begin anew with the shortest one."""
        self._failures = 0


@dataclass(slots=True)
class Daemon:
    """Watches the data folder and keeps at most two batches going: a sweep, and a small one beside it.

    Beside both, at most one zip is taken forward.
    """

    ingestor: Ingestor
    waker: Waker
    metrics: Metrics
    stop: anyio.Event
    on_start: Callable[[], None]
    on_lease_lost: Callable[[int], None] = lambda _: None
    _busy: dict[int, frozenset[bytes]] = field(default_factory=dict)
    _slots: dict[str, int] = field(default_factory=dict)
    _zip: bytes | None = None
    _pause: Pause = field(default_factory=Pause)
    _moving_pause: Pause = field(default_factory=Pause)
    _started: bool = False
    _copy: str = ""

    async def run(self) -> None:
        """Watch until `stop`; what is in flight then is finished. `on_start` is called after the first scan.

        `on_lease_lost` is told of batches that were lost to another process.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.waker.run, name="watcher")
            tasks.start_soon(self._cut_late_drain, tasks.cancel_scope, name="drain limit")
            async with anyio.create_task_group() as batches:
                while not self.stop.is_set():
                    with working("look"):
                        pause = await self._round(batches)
                    await self.waker.wait(pause)
            self.waker.stop()
            tasks.cancel_scope.cancel()

    async def _cut_late_drain(self, scope: anyio.CancelScope) -> None:
        await self.stop.wait()
        self.waker.wake()
        await anyio.sleep(DRAIN_SECONDS)
        structlog.get_logger().warning("drain_cut", after_seconds=DRAIN_SECONDS)
        scope.cancel()

    async def _round(self, batches: anyio.abc.TaskGroup) -> float:
        """Look once, start what can be started; returns how long to wait for the next look."""
        rescan = self.ingestor.tools.watch.rescan_seconds
        if self._pause.left > 0:
            return min(self._pause.left, rescan)
        busy = frozenset[bytes]().union(*self._busy.values(), {self._zip} if self._zip else ())
        try:
            selection = await self.ingestor.look(busy)
            self._start_once()
            pause = selection.wait_seconds
            gathering = self._gather(selection)
            if gathering is not None:
                return gathering
            await self._put_away(selection)
            await self.ingestor.forget_missing(selection, busy)
            if selection.drops:
                await self._start(selection, batches)
            self._start_zip(selection, batches)
        except FeefifodError as error:
            self._fail(error)
            return max(self._pause.left, 0.0)
        return min(rescan, rescan if pause is None else max(pause, 0.05))

    async def _put_away(self, selection: Selection) -> None:
        """Bring files to where they belong; a folder that cannot be written holds up nothing else."""
        if self._moving_pause.left > 0:
            return
        try:
            await self.ingestor.refuse(selection)
            self._moving_pause.succeed()
        except NotMoved as error:
            self._fail(error)

    def _start_once(self) -> None:
        if not self._started:
            self._started = True
            structlog.get_logger().info("watching", folder=str(self.ingestor.tools.paths.data))
            self.on_start()

    def reconfigure(self, watch: WatchSettings, tiers: Mapping[Tier, Sequence[str]]) -> None:
        """Take files by other rules from the next look on."""
        self.ingestor.tools.watch, self.ingestor.tools.tiers = watch, tiers
        self.ingestor.settler = Settler(watch)
        self.ingestor.zips.wake()
        self.waker.wake()

    def _gather(self, selection: Selection) -> float | None:
        """Wait a little for files that are about to settle, so that what was dropped together is one batch."""
        if not selection.drops:
            return None
        soon = [s.wait_seconds for _, s in selection.waiting if s.wait_seconds <= _GATHER_SECONDS]
        newest = max(drop.stamp.ctime_ns for drop in selection.drops) / 1e9
        settled_for = time.time() - newest - self.ingestor.tools.watch.settle_seconds
        if soon and 0 <= settled_for < _GATHER_SECONDS:
            return max(min(soon), 0.02)
        return None

    async def _start(self, selection: Selection, batches: anyio.abc.TaskGroup) -> None:
        slot, drops = "sweep", selection.drops
        if "sweep" in self._slots:
            slot, drops = "side", pick_small(selection.drops)
        if slot in self._slots or not drops:
            return
        claim = await self.ingestor.claim(drops, orphans=slot == "sweep")
        self._copy = ""
        if claim is None:
            return
        self._slots[slot] = claim.batch_id
        self._busy[claim.batch_id] = frozenset(file.path for file in claim.files)
        self._count()
        batches.start_soon(self._work, claim, slot, name=f"batch {claim.batch_id}")

    async def _work(self, claim: Claim, slot: str) -> None:
        try:
            await self.ingestor.run_batch(claim)
            self._pause.succeed()
        except Stopped:
            structlog.get_logger().info("batch_paused", batch=claim.batch_id)
        except LeaseLost as error:
            structlog.get_logger().warning("lease_lost", batch=claim.batch_id, reason=error.why)
            self.on_lease_lost(claim.batch_id)
        except FeefifodError as error:
            self._fail(error)
        except Exception:
            # Whatever one batch does wrong must not stop the others; it waits and is tried again.
            structlog.get_logger().exception("batch_failed", batch=claim.batch_id)
            self._fail(Refused("a batch failed in a way that nobody foresaw; see the log"))
        finally:
            del self._slots[slot]
            del self._busy[claim.batch_id]
            self._count()
            self.waker.wake()

    def _start_zip(self, selection: Selection, batches: anyio.abc.TaskGroup) -> None:
        due = self.ingestor.zips.find_due(selection)
        if due and self._zip is None:
            self._zip = os.fsencode(due[0].path)
            batches.start_soon(self._advance, due[0], name="zip")

    async def _advance(self, found: Found) -> None:
        try:
            with working("zip"):
                await self.ingestor.advance(found)
        except (Stopped, LeaseLost) as error:
            structlog.get_logger().info("zip_paused", zip=show_name(found.path), reason=str(error) or None)
        except FeefifodError as error:
            self._fail(error)
        except Exception:
            structlog.get_logger().exception("zip_failed", zip=show_name(found.path))
            self._fail(Refused("a zip failed in a way that nobody foresaw; see the log"))
        finally:
            self._zip = None
            self.waker.wake()

    def _fail(self, error: FeefifodError) -> None:
        """Log trouble and be quiet for a while, longer each time."""
        if isinstance(error, TableBusy):
            self._wait_for_copy(error)
            return
        pause = (self._moving_pause if isinstance(error, NotMoved) else self._pause).fail()
        log = structlog.get_logger()
        emit = log.warning if isinstance(error, Unavailable) else log.error
        self.metrics.note(f"{error.where}: {error.why}" if error.where else error.why)
        emit("trouble", reason=error.why, where=error.where, remedy=error.remedy, again_in_seconds=pause)

    def _wait_for_copy(self, error: TableBusy) -> None:
        """Look again soon: the table is being copied, which is no trouble."""
        self._pause.rest(_COPY_SECONDS)
        if error.why != self._copy:
            self._copy = error.why
            structlog.get_logger().info("copy_awaited", reason=error.why, where=error.where)

    def _count(self) -> None:
        self.metrics.batches_changed(len(self._busy), sum(len(paths) for paths in self._busy.values()))

"""The daemon: watch, ingest, until told to stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.abc
import structlog

from feefifod.catalog import Claim, Drop, LeaseLost, TableBusy
from feefifod.config import WatchSettings
from feefifod.daemon.metrics import Metrics
from feefifod.discover import Found, Waker
from feefifod.errors import FeefifodError, Refused, Unavailable
from feefifod.ingest.candidates import Selection, show_name
from feefifod.ingest.finish import NotMoved
from feefifod.ingest.ingestor import Ingestor, is_large, is_long, pick_small
from feefifod.ingest.load import Stopped
from feefifod.lasting import tell_end, tell_fault
from feefifod.model import Series, Tier
from feefifod.pulse import working

DRAIN_SECONDS: Final = 12.0
"""How long the window in flight may take after the first signal; stopping the servers comes on top."""

_GATHER_SECONDS: Final = 0.5
"""How long the first complete file waits for others that are about to settle, at most."""
_IDLE_SECONDS: Final = 5.0
_BURST_FILES: Final = 15
_GATHER_BURST_SECONDS: Final = 3.0
"""The same where so many came within the first time, after so long a rest: a whole folder is being copied."""
_PASS_SECONDS: Final = 1.0
_PASS_FILES: Final = 1000
"""What was asked for in vain is left alone for a second, and another one for so many files: asking costs."""
_LEAST_PAUSE_SECONDS: Final = 0.02
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


@dataclass(frozen=True, slots=True)
class Work:
    """What a batch has in work."""

    paths: frozenset[str]
    series: frozenset[Series]


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
    _slots: dict[str, Work] = field(default_factory=dict)
    _owed: frozenset[Series] = frozenset()
    _zip: str | None = None
    _gathering_since: float | None = None
    _worked_at: float = 0.0
    _root: tuple[int, int] | None = None
    _pause: Pause = field(default_factory=Pause)
    _moving_pause: Pause = field(default_factory=Pause)
    _unmoved: bool = True
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
        if self._pause.left > 0:
            return self._pause.left
        busy = frozenset[str]().union(*(work.paths for work in self._slots.values()), {self._zip} if self._zip else ())
        try:
            changed, lost = self.waker.take()
            selection = await self.ingestor.look(busy, changed, lost=lost)
            self._start_once()
            self._follow_root()
            pauses = [self.ingestor.folder.scan_seconds, selection.due_seconds]
            if (gathering := self._gather(selection)) is not None:
                return min(gathering, *(pause for pause in pauses if pause is not None))
            await self._put_away(selection)
            await self.ingestor.forget_missing(selection, busy)
            await self._start(selection, batches)
            self._start_zip(selection, batches)
        except FeefifodError as error:
            if self.ingestor.folder.trouble:
                self._root = (0, 0)  # When it is there again, it is another one, even if it got the number of the old.
            self._fail(error, "look")
            return max(self._pause.left, 0.0)
        tell_end("trouble", "look")
        if self._unmoved:
            pauses.append(self._moving_pause.left)
        return max(min(pause for pause in pauses if pause is not None), _LEAST_PAUSE_SECONDS)

    def _follow_root(self) -> None:
        """Watch the data folder that is there now: events of one that was made again do not come by themselves."""
        before, self._root = self._root, self.ingestor.folder.identity
        if before not in (None, self._root):
            self.waker.restart()

    async def _put_away(self, selection: Selection) -> None:
        """Bring files to where they belong; a folder that cannot be written holds up nothing else.

        What others have left unmoved is looked for as rarely as everything is listed.
        """
        if self._moving_pause.left > 0 or not (self._unmoved or selection.refused or selection.scanned):
            return
        try:
            await self.ingestor.refuse(selection)
            self._moving_pause.succeed()
            self._unmoved = False
            tell_end("trouble", "move")
        except NotMoved as error:
            self._fail(error, "move")

    def _start_once(self) -> None:
        if not self._started:
            self._started = True
            structlog.get_logger().info("watching", folder=str(self.ingestor.tools.paths.data))
            self.on_start()

    def reconfigure(self, watch: WatchSettings, tiers: Mapping[Tier, Sequence[str]]) -> None:
        """Take files by other rules from the next look on."""
        self.ingestor.reconfigure(watch, tiers)
        self.waker.wake()

    def _gather(self, selection: Selection) -> float | None:
        """Wait a little for files that are about to settle, so that what was dropped together is one batch.

        The wait begins with the first file that is complete, and no later one begins it anew.
        """
        if not selection.drops:
            self._gathering_since = None
            return None
        now = time.monotonic()
        if self._gathering_since is None:
            self._gathering_since = now
        burst = len(selection.drops) >= _BURST_FILES and now - self._worked_at > _IDLE_SECONDS
        most = _GATHER_BURST_SECONDS if burst else _GATHER_SECONDS
        left = self._gathering_since + most - now
        if left > 0 and selection.due_seconds is not None and selection.due_seconds <= left:
            return max(selection.due_seconds, 0.02)
        return None

    async def _start(self, selection: Selection, batches: anyio.abc.TaskGroup) -> None:
        """Start what there is room for.

        Small files never wait for large ones: beside a long sweep they have a place of their own, where they come
        first. Nor do large files wait for a stream of small ones of their series: once a sweep had to leave one
        out, small files of that series stay away from the other place until the next sweep has taken it.
        """
        in_work = frozenset[Series]().union(*(work.series for work in self._slots.values()))
        drops = [drop for drop in selection.drops if drop.series not in in_work]
        large = frozenset(drop.series for drop in selection.drops if is_large(drop))
        sweeping = "sweep" in self._slots
        if sweeping or is_long(drops):
            apart = self._owed if sweeping else large
            small = pick_small(drop for drop in drops if drop.series not in apart)
            if not sweeping:
                # A series is not torn apart: the sweep takes all of it, however many files that are.
                picked = {drop.path for drop in small}
                rest = {drop.series for drop in drops if drop.path not in picked}
                small = [drop for drop in small if drop.series not in rest]
            if "side" not in self._slots:
                await self._claim("side", small, batches)
            # Where that place is taken they wait for it, not for what may be a long sweep.
            beside = {drop.series for drop in small}
            drops = [drop for drop in drops if drop.series not in beside]
        if not sweeping:
            self._owed = large - await self._claim("sweep", drops, batches)

    async def _claim(self, slot: str, drops: Sequence[Drop], batches: anyio.abc.TaskGroup) -> frozenset[Series]:
        """Begin a batch of what is free among these files; returns the series in it."""
        if not drops:
            return frozenset()
        claim = await self.ingestor.claim(drops, orphans=slot == "sweep")
        self._copy = ""
        if claim is None:
            self.ingestor.pass_over((drop.path for drop in drops), _PASS_SECONDS + len(drops) / _PASS_FILES)
            return frozenset()
        self._gathering_since = None
        series = frozenset(file.series for file in claim.files)
        self._slots[slot] = Work(frozenset(os.fsdecode(file.path) for file in claim.files), series)
        self._count()
        batches.start_soon(self._work, claim, slot, name=f"batch {claim.batch_id}")
        return series

    async def _work(self, claim: Claim, slot: str) -> None:
        try:
            await self.ingestor.run_batch(claim)
            self._pause.succeed()
            tell_end("trouble", "batch")
        except Stopped:
            structlog.get_logger().info("batch_paused", batch=claim.batch_id)
        except LeaseLost as error:
            structlog.get_logger().warning("lease_lost", batch=claim.batch_id, reason=error.why)
            self.on_lease_lost(claim.batch_id)
        except FeefifodError as error:
            self._fail(error, "batch")
        except Exception:
            # Whatever one batch does wrong must not stop the others; it waits and is tried again.
            structlog.get_logger().exception("batch_failed", batch=claim.batch_id)
            self._fail(Refused("a batch failed in a way that nobody foresaw; see the log"), "batch")
        finally:
            del self._slots[slot]
            self._worked_at = time.monotonic()
            self._count()
            self.waker.wake()

    def _start_zip(self, selection: Selection, batches: anyio.abc.TaskGroup) -> None:
        due = self.ingestor.zips.find_due(selection)
        if due and self._zip is None:
            self._zip = due[0].path
            batches.start_soon(self._advance, due[0], name="zip")

    async def _advance(self, found: Found) -> None:
        try:
            with working("zip"):
                await self.ingestor.advance(found)
            tell_end("trouble", "zip")
        except (Stopped, LeaseLost) as error:
            structlog.get_logger().info("zip_paused", zip=show_name(found.path), reason=str(error) or None)
        except FeefifodError as error:
            self._fail(error, "zip")
        except Exception:
            structlog.get_logger().exception("zip_failed", zip=show_name(found.path))
            self._fail(Refused("a zip failed in a way that nobody foresaw; see the log"), "zip")
        finally:
            self._zip = None
            self.waker.wake()

    def _fail(self, error: FeefifodError, subject: str) -> None:
        """Tell of trouble and be quiet for a while, longer each time."""
        if isinstance(error, TableBusy):
            self._wait_for_copy(error)
            return
        self._unmoved = True
        pause = (self._moving_pause if isinstance(error, NotMoved) else self._pause).fail()
        level = "warning" if isinstance(error, Unavailable) else "error"
        self.metrics.note(f"{error.where}: {error.why}" if error.where else error.why)
        details = {"where": error.where, "remedy": error.remedy, "again_in_seconds": pause}
        tell_fault("trouble", subject, error.why, level=level, **details)

    def _wait_for_copy(self, error: TableBusy) -> None:
        """Look again soon: the table is being copied, which is no trouble."""
        self._pause.rest(_COPY_SECONDS)
        if error.why != self._copy:
            self._copy = error.why
            structlog.get_logger().info("copy_awaited", reason=error.why, where=error.where)

    def _count(self) -> None:
        self.metrics.batches_changed(len(self._slots), sum(len(work.paths) for work in self._slots.values()))

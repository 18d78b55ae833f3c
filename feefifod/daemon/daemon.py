"""The daemon: watch, ingest, until told to stop."""

from __future__ import annotations

import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
import structlog

from feefifod import __version__
from feefifod.backfill.schedules import run_schedules
from feefifod.catalog import LeaseLost
from feefifod.daemon.services import open_backfills, open_services, open_tools
from feefifod.daemon.signals import obey_signals
from feefifod.discover import Waker
from feefifod.errors import FeefifodError, Refused, Unavailable
from feefifod.ingest.candidates import show_name
from feefifod.ingest.ingestor import Ingestor, pick_small
from feefifod.ingest.load import Stopped
from feefifod.ingest.report import SilentListener
from feefifod.notify import Notifier
from feefifod.servers import hold_daemon

if TYPE_CHECKING:
    from feefifod.catalog import Claim
    from feefifod.config import Settings
    from feefifod.daemon.services import Services
    from feefifod.discover import Found
    from feefifod.ingest.candidates import Selection

DRAIN_SECONDS: Final = 12.0
"""How long the window in flight may take after the first signal; stopping the servers comes on top."""

_GATHER_SECONDS: Final = 0.5
_BACKOFF_SECONDS: Final = (1.0, 30.0)


@dataclass(slots=True)
class Daemon:
    """Watches the data folder and keeps at most two batches going: a sweep, and a small one beside it.

    Beside both, at most one zip is taken forward.
    """

    ingestor: Ingestor
    waker: Waker
    notifier: Notifier
    stop: anyio.Event
    _busy: dict[int, frozenset[bytes]] = field(default_factory=dict)
    _slots: dict[str, int] = field(default_factory=dict)
    _zip: bytes | None = None
    _failures: int = 0
    _quiet_until: float = 0.0

    async def run(self) -> None:
        """Watch until `stop`; what is in flight then is finished."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.waker.run, name="watcher")
            tasks.start_soon(self._cut_late_drain, tasks.cancel_scope, name="drain limit")
            async with anyio.create_task_group() as batches:
                first = True
                while not self.stop.is_set():
                    pause = await self._round(batches)
                    if first:
                        self.notifier.ready()
                        structlog.get_logger().info("watching", folder=str(self.ingestor.tools.paths.data))
                        first = False
                    self._tell()
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
        quiet = self._quiet_until - time.monotonic()
        if quiet > 0:
            return min(quiet, rescan)
        busy = frozenset[bytes]().union(*self._busy.values(), {self._zip} if self._zip else ())
        try:
            selection = await self.ingestor.look(busy)
            pause = selection.wait_seconds
            gathering = self._gather(selection)
            if gathering is not None:
                return gathering
            await self.ingestor.refuse(selection)
            await self.ingestor.forget_missing(selection, busy)
            if selection.drops:
                await self._start(selection, batches)
            self._start_zip(selection, batches)
        except FeefifodError as error:
            self._fail(error)
            return max(self._quiet_until - time.monotonic(), 0.0)
        return min(rescan, rescan if pause is None else max(pause, 0.05))

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
        if claim is None:
            return
        self._slots[slot] = claim.batch_id
        self._busy[claim.batch_id] = frozenset(file.path for file in claim.files)
        batches.start_soon(self._work, claim, slot, name=f"batch {claim.batch_id}")

    async def _work(self, claim: Claim, slot: str) -> None:
        try:
            await self.ingestor.run_batch(claim)
            self._failures = 0
        except Stopped:
            structlog.get_logger().info("batch_paused", batch=claim.batch_id)
        except LeaseLost as error:
            structlog.get_logger().warning("lease_lost", batch=claim.batch_id, reason=error.why)
        except FeefifodError as error:
            self._fail(error)
        except Exception:
            # Whatever one batch does wrong must not stop the others; it waits and is tried again.
            structlog.get_logger().exception("batch_failed", batch=claim.batch_id)
            self._fail(Refused("a batch failed in a way that nobody foresaw; see the log"))
        finally:
            del self._slots[slot]
            del self._busy[claim.batch_id]
            self.waker.wake()

    def _start_zip(self, selection: Selection, batches: anyio.abc.TaskGroup) -> None:
        due = self.ingestor.zips.find_due(selection)
        if due and self._zip is None:
            self._zip = os.fsencode(due[0].path)
            batches.start_soon(self._advance, due[0], name="zip")

    async def _advance(self, found: Found) -> None:
        try:
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
        self._failures += 1
        low, high = _BACKOFF_SECONDS
        pause = min(low * 2 ** (self._failures - 1), high)
        self._quiet_until = time.monotonic() + pause
        log = structlog.get_logger()
        emit = log.warning if isinstance(error, Unavailable) else log.error
        emit("trouble", reason=error.why, where=error.where, remedy=error.remedy, again_in_seconds=pause)

    def _tell(self) -> None:
        loading = sum(len(paths) for paths in self._busy.values())
        self.notifier.status(f"loading {loading} files" if loading else "watching")


async def run_daemon(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; the first drains, the second cuts.

    Raises:
        ConfigError: another daemon runs on this state, or a port is busy.
        Refused: the table has other columns, or a server does not let us in.
    """
    notifier = Notifier()
    stop = anyio.Event()
    log = structlog.get_logger()
    with hold_daemon(settings.paths.state):
        log.info("starting", version=__version__, pid=os.getpid())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(obey_signals, stop, tasks.cancel_scope, notifier.stopping, name="signals")
            async with AsyncExitStack() as stack:
                services = await _open(settings, stop, stack)
                if services is not None:
                    await _serve(services, notifier, stop)
            tasks.cancel_scope.cancel()
        log.info("stopped")
    notifier.close()


async def _open(settings: Settings, stop: anyio.Event, stack: AsyncExitStack) -> Services | None:
    """Open the services, waiting for servers that are away; None when the stop comes first."""
    attempt = 0
    while not stop.is_set():
        try:
            return await stack.enter_async_context(open_services(settings))
        except Unavailable as error:
            pause = min(2.0**attempt, _BACKOFF_SECONDS[1])
            structlog.get_logger().warning(
                "waiting", reason=error.why, where=error.where, remedy=error.remedy, again_in_seconds=pause
            )
            attempt += 1
            with anyio.move_on_after(pause):
                await stop.wait()
    return None


async def _serve(services: Services, notifier: Notifier, stop: anyio.Event) -> None:
    async with (
        open_tools(services, SilentListener(), stop, patience_seconds=None) as tools,
        open_backfills(services, patience_seconds=None) as backfills,
        anyio.create_task_group() as tasks,
    ):
        ingestor = Ingestor(tools)
        await ingestor.prepare()
        waker = Waker(str(tools.paths.data), tools.watch)
        tasks.start_soon(run_schedules, backfills, services.settings.schedules, name="schedules")
        await Daemon(ingestor, waker, notifier, stop).run()
        tasks.cancel_scope.cancel()

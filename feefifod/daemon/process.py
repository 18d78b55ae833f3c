"""The daemon as a process: servers, status endpoint, signals and systemd around the one that watches."""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import structlog

from feefifod import __version__
from feefifod.catalog import Marks
from feefifod.daemon.alarm import Alarm
from feefifod.daemon.answers import Answerer
from feefifod.daemon.daemon import Daemon
from feefifod.daemon.load_line import follow_loads
from feefifod.daemon.mending import PATIENCE_SECONDS, Mender
from feefifod.daemon.metrics import Metrics, WatchedLedger
from feefifod.daemon.outlook import Outlook
from feefifod.daemon.reload import Reloader
from feefifod.daemon.services import open_backfills, open_services, open_tools, open_verification
from feefifod.daemon.signals import STOP_SECONDS, obey_signals
from feefifod.daemon.timetable import Timetable
from feefifod.daemon.upkeep import keep_up
from feefifod.daemon.watchdog import Watchdog, watchdog_seconds
from feefifod.discover import Waker
from feefifod.endpoint import serve
from feefifod.errors import Unavailable
from feefifod.ingest.ingestor import Ingestor
from feefifod.lasting import tell_end, tell_fault
from feefifod.notify import Notifier, is_under_systemd
from feefifod.servers import hold_daemon
from feefifod.servers.ports import name_holder

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable
    from pathlib import Path

    from feefifod.config import Settings
    from feefifod.daemon.services import Services

_LONGEST_PAUSE_SECONDS: Final = 30.0


async def run_daemon(
    settings: Settings,
    read: Callable[[], Settings],
    file: Path | None = None,
    *,
    reload_on_hangup: bool = False,
    show: Callable[[str | None], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT; the first drains, the second cuts.

    Args:
        read: reads the configuration again.
        file: the configuration's own, to be followed when [watch] config asks for it.
        reload_on_hangup: SIGHUP reads the configuration again, as it does under systemd; else it means that the
            terminal was closed, and drains.
        show: shows a person what is being loaded; None takes it away.

    Raises:
        ConfigError: another daemon runs on this state, or a port is busy.
        Refused: the table has other columns, or a server does not let us in.
    """
    with hold_daemon(settings.paths.state), ExitStack() as stack:
        reloads = reload_on_hangup or is_under_systemd(os.environ)
        hangups = stack.enter_context(anyio.open_signal_receiver(signal.SIGHUP)) if reloads else None
        structlog.get_logger().info("starting", version=__version__, pid=os.getpid())
        await _Process(settings, read, file, show).run(hangups)
        structlog.get_logger().info("stopped")


class _Process:
    """The parts that live as long as the process, and how they hang together."""

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        file: Path | None,
        show: Callable[[str | None], None] | None,
    ) -> None:
        self._settings = settings
        self._read = read
        self._file = file
        self._show = show
        self._stop = anyio.Event()
        self._notifier = Notifier()
        self._metrics = Metrics()
        self._answerer = Answerer(Outlook(settings), self._metrics, self._stop)
        self._watchdog = Watchdog(self._notifier, self._answerer.describe, watchdog_seconds(os.environ))

    async def run(self, hangups: AsyncIterable[signal.Signals] | None) -> None:
        answers = self._answerer.answers()
        async with (
            serve(self._settings.http.listen, answers, name_holder=name_holder),
            anyio.create_task_group() as tasks,
        ):
            obey = partial(obey_signals, hangup=hangups is None)
            tasks.start_soon(obey, self._stop, tasks.cancel_scope, self._say_stopping, name="signals")
            if self._show is not None:
                tasks.start_soon(follow_loads, self._metrics, self._show, name="load line")
            tasks.start_soon(self._watchdog.run, name="watchdog")
            async with AsyncExitStack() as stack:
                services = await self._open(stack)
                if services is not None:
                    await self._serve(services, hangups)
            tasks.cancel_scope.cancel()
        self._notifier.close()

    async def _open(self, stack: AsyncExitStack) -> Services | None:
        """Open the services, waiting for servers that are away; None when the stop comes first."""
        attempt = 0
        while not self._stop.is_set():
            try:
                services = await stack.enter_async_context(open_services(self._settings))
            except Unavailable as error:
                pause = min(2.0 ** min(attempt, 16), _LONGEST_PAUSE_SECONDS)
                details: dict[str, Any] = {"where": error.where, "remedy": error.remedy, "again_in_seconds": pause}
                tell_fault("waiting", "start", error.why, **details)
                self._metrics.trouble(error, attempt + 1)
                attempt += 1
                with anyio.move_on_after(pause):
                    await self._stop.wait()
            else:
                tell_end("waiting", "start")
                return services
        return None

    async def _serve(self, services: Services, hangups: AsyncIterable[signal.Signals] | None) -> None:
        metrics, outlook = self._metrics, self._answerer.outlook
        outlook.questdb, outlook.postgres = services.questdb, services.postgres
        async with (
            open_tools(services, metrics, self._stop, patience_seconds=None) as tools,
            open_backfills(services, patience_seconds=None) as backfills,
            open_verification(services, patience_seconds=PATIENCE_SECONDS) as kit,
            anyio.create_task_group() as tasks,
        ):
            watched = replace(
                tools,
                ledger=WatchedLedger(services.postgres, metrics),
                ilp=metrics.watch(tools.ilp),
                bulk=tools.bulk and metrics.watch(tools.bulk),
            )
            ingestor = Ingestor(watched)
            await ingestor.prepare()
            outlook.folder = lambda: ingestor.folder
            mender = Mender(kit, Marks(services.postgres), metrics)
            waker = Waker(str(tools.paths.data), tools.watch)
            daemon = Daemon(ingestor, waker, metrics, self._stop, self._say_started, mender.suspect_batch)
            timetable = Timetable(backfills, tasks)
            timetable.keep(self._settings.schedules, self._settings.sources)

            def apply(settings: Settings) -> None:
                outlook.settings = settings
                daemon.reconfigure(settings.watch, settings.tiers)
                timetable.keep(settings.schedules, settings.sources)

            reloader = Reloader(self._settings, self._read, apply, self._notifier, self._stop)
            tasks.start_soon(Alarm(outlook, metrics).run, name="alarm")
            if hangups is not None:
                tasks.start_soon(reloader.run, hangups, name="reload")
            tasks.start_soon(reloader.follow, self._file, name="configuration file")
            tasks.start_soon(keep_up, services, lambda: outlook.settings, name="retention")
            tasks.start_soon(mender.run, name="self-repair")
            await daemon.run()
            await mender.leave()
            tasks.cancel_scope.cancel()

    def _say_started(self) -> None:
        self._answerer.started = True
        self._watchdog.started.set()
        self._notifier.ready()

    def _say_stopping(self) -> None:
        self._notifier.stopping()
        self._notifier.extend(STOP_SECONDS + 5)

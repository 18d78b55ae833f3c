"""Waking up: events of the kernel where there are some, a timer in any case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import structlog
import watchfiles

if TYPE_CHECKING:
    from feefifod.config import WatchSettings

_RESTART_SECONDS = 2.0


class Waker:
    """Sets an event when something may have changed below a folder.

    Events get lost (overflow, a folder made again, a name that is not UTF-8), so they only ever wake:
    the caller scans, and it scans every `rescan_seconds` without any event too.
    """

    def __init__(self, folder: str, watch: WatchSettings) -> None:
        self._folder = folder
        self._watch = watch
        self._event = anyio.Event()
        self._stop = anyio.Event()

    async def run(self) -> None:
        """Watch until `stop`; a watcher that dies is started again."""
        log = structlog.get_logger()
        while not self._stop.is_set():
            try:
                async for _ in watchfiles.awatch(
                    self._folder,
                    watch_filter=None,
                    stop_event=self._stop,
                    force_polling=True if self._watch.poll else None,
                    poll_delay_ms=int(max(self._watch.settle_seconds, 0.3) * 500),
                    debounce=100,
                    step=50,
                    recursive=True,
                    ignore_permission_denied=True,
                ):
                    self.wake()
            except* (OSError, RuntimeError) as group:
                # One hostile name can kill a watcher, and a folder can be away; the rescan covers the time between.
                # From the watcher's own thread the error comes in a group.
                log.warning("watcher_restarted", folder=self._folder, error=str(group.exceptions[0]))
                self.wake()
                with anyio.move_on_after(_RESTART_SECONDS):
                    await self._stop.wait()

    def wake(self) -> None:
        """Wake the one who waits."""
        self._event.set()

    def stop(self) -> None:
        """End `run` and wake the one who waits."""
        self._stop.set()
        self.wake()

    async def wait(self, seconds: float) -> None:
        """Wait until something happened, at most this long."""
        with anyio.move_on_after(seconds):
            await self._event.wait()
        self._event = anyio.Event()

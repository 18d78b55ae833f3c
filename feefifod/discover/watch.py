"""Waking up: events of the kernel where there are some, a timer in any case."""

from __future__ import annotations

from typing import Final

import anyio
import structlog
import watchfiles

from feefifod.config import WatchSettings

_RESTART_SECONDS: Final = 2.0
_NO_TIMEOUT_MS: Final = 3_600_000
"""At each time-out the library throws away what came in just then."""
_MOST_CHANGES: Final = 100_000
"""More paths than this are not remembered: to list everything costs less."""


class Waker:
    """Wakes the one who waits when something may have changed below a folder, and says where.

    Events get lost (overflow, a folder made again, a name that is not UTF-8), so they never are the whole truth:
    the caller lists everything every `rescan_seconds` without any event too. With `poll` there are none at all.
    """

    def __init__(self, folder: str, watch: WatchSettings) -> None:
        self._folder = folder
        self._poll = watch.poll
        self._event = anyio.Event()
        self._end = anyio.Event()
        self._stopped = False
        self._changes: set[str] = set()
        self._lost = False

    async def run(self) -> None:
        """Watch until `stop`; a watcher that dies is started again."""
        while not self._stopped:
            self._end = anyio.Event()
            try:
                await self._watch(self._end)
            except* (OSError, RuntimeError) as group:
                # One hostile name can kill a watcher, and a folder can be away; the rescan covers the time between.
                # From the watcher's own thread the error comes in a group.
                log = structlog.get_logger()
                log.warning("watcher_restarted", folder=self._folder, error=str(group.exceptions[0]))
                self._lose()
                with anyio.move_on_after(_RESTART_SECONDS):
                    await self._end.wait()

    async def _watch(self, end: anyio.Event) -> None:
        if self._poll:
            await end.wait()
            return
        # Both times are limits: no stream of events can hold back a wake-up for longer than `debounce`.
        async for changes in watchfiles.awatch(
            self._folder,
            watch_filter=None,
            stop_event=end,
            force_polling=False,
            debounce=100,
            step=50,
            rust_timeout=_NO_TIMEOUT_MS,
            recursive=True,
            ignore_permission_denied=True,
        ):
            self._changes.update(path for _, path in changes)
            if (watchfiles.Change.deleted, self._folder) in changes:
                self._lose()
                self.restart()  # Events of a folder that is made again do not come by themselves.
            if len(self._changes) > _MOST_CHANGES:
                self._lose()
            self.wake()

    def _lose(self) -> None:
        self._changes.clear()
        self._lost = True
        self.wake()

    def take(self) -> tuple[set[str], bool]:
        """Return the paths that something has happened to since the last call, and whether there may be others."""
        taken, self._changes = self._changes, set()
        lost, self._lost = self._lost, False
        return taken, lost

    def wake(self) -> None:
        """Wake the one who waits."""
        self._event.set()

    def restart(self) -> None:
        """Watch anew: the folder is another one of the same name."""
        self._end.set()

    def stop(self) -> None:
        """End `run` and wake the one who waits."""
        self._stopped = True
        self._end.set()
        self.wake()

    async def wait(self, seconds: float) -> None:
        """Wait until something happened, at most this long."""
        with anyio.move_on_after(seconds):
            await self._event.wait()
        self._event = anyio.Event()

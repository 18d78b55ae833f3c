"""Waking up: events of the kernel where there are some, a timer in any case."""

from __future__ import annotations

from typing import Final

import anyio
import watchfiles

from feefifod.config import WatchSettings
from feefifod.lasting import tell_end, tell_fault

_RESTART_SECONDS: Final = 2.0
_LONGEST_RESTART_SECONDS: Final = 30.0
_CONFIRM_SECONDS: Final = 1.0
"""A watcher that has lived for so long works."""
_CAUSES: Final = (
    (
        ("os error 24", "Too many open files"),
        "no inotify instance or open file is left for this user",
        "Run as root: sysctl -w fs.inotify.max_user_instances=1024; if that is not it, raise LimitNOFILE (ulimit -n)",
    ),
    (
        ("os error 28", "No space left", "limit reached", "MaxFilesWatch"),
        "no inotify watch is left for this user",
        "Run as root: sysctl -w fs.inotify.max_user_watches=1048576",
    ),
)
_NO_TIMEOUT_MS: Final = 3_600_000
"""At each time-out the library throws away what came in just then."""
_MOST_CHANGES: Final = 100_000
"""More paths than this are not remembered: to list everything costs less."""


def _explain(error: BaseException) -> tuple[str, str | None]:
    """Say why there is no watcher, and what to do."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error)
    for signs, reason, remedy in _CAUSES:
        if any(sign in text for sign in signs):
            return reason, remedy
    return text, None


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
        self._pause = _RESTART_SECONDS

    async def run(self) -> None:
        """Watch until `stop`; while there can be no watcher, everything is listed every 2 s instead."""
        while not self._stopped:
            self._end = anyio.Event()
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._confirm)
                    await self._watch(self._end)
                    tasks.cancel_scope.cancel()
            except* (OSError, RuntimeError) as group:
                # One hostile name can kill a watcher, and a folder can be away; the rescan covers the time between.
                # From the watcher's own thread the error comes in a group.
                reason, remedy = _explain(group)
                tell_fault(
                    "watcher_restarted",
                    self._folder,
                    reason,
                    folder=self._folder,
                    remedy=remedy,
                    listed_every_seconds=_RESTART_SECONDS,
                )
                await self._do_without()

    async def _confirm(self) -> None:
        await anyio.sleep(_CONFIRM_SECONDS)
        self._pause = _RESTART_SECONDS
        tell_end("watcher_restarted", self._folder)

    async def _do_without(self) -> None:
        """Do without events until the next attempt; the attempts become rarer."""
        with anyio.move_on_after(self._pause):
            while not self._end.is_set():
                self._lose()
                with anyio.move_on_after(_RESTART_SECONDS):
                    await self._end.wait()
        self._lose()
        self._pause = min(2 * self._pause, _LONGEST_RESTART_SECONDS)

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

"""Signs of life for systemd: only while the event loop turns and the work in flight moves."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
import structlog

from feefifod.pulse import still_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from feefifod.notify import Notifier

STALL_SECONDS: Final = 600.0
"""Work that has not moved for so long hangs: no single step of it may take half of that."""

_CHECK_SECONDS: Final = 20.0
_TELL_SECONDS: Final = 5.0
_START_SECONDS: Final = 60.0


def watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Return after which silence systemd gives us up; None when it does not watch us."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        micros = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return micros / 1e6 if micros > 0 else None


def find_stalled(limit_seconds: float) -> list[str]:
    """Name the work that has not moved for longer than this."""
    return [name for name, seconds in still_for().items() if seconds > limit_seconds]


@dataclass(slots=True)
class Watchdog:
    """Tells systemd that we live, and what we do.

    Args:
        describe: says in a line what the daemon is doing.
        timeout_seconds: after which silence systemd gives us up, or None.
    """

    notifier: Notifier
    describe: Callable[[], str]
    timeout_seconds: float | None
    stall_seconds: float = STALL_SECONDS
    started: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> None:
        """Go on until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._feed, name="watchdog")
            tasks.start_soon(self._tell, name="status line")
            tasks.start_soon(self._hold_off_limit, name="start limit")

    async def _feed(self) -> None:
        known: list[str] = []
        while True:
            stalled = find_stalled(self.stall_seconds)
            if not stalled:
                self.notifier.watchdog()
            if stalled != known:
                log = structlog.get_logger()
                if stalled:
                    log.error("work_stalled", work=stalled, after_seconds=self.stall_seconds)
                else:
                    log.info("work_moves_again", work=known)
                known = stalled
            await anyio.sleep(self.timeout_seconds / 3 if self.timeout_seconds else _CHECK_SECONDS)

    async def _tell(self) -> None:
        told = ""
        while True:
            line = self.describe()
            if line != told:
                self.notifier.status(line)
                told = line
            await anyio.sleep(_TELL_SECONDS)

    async def _hold_off_limit(self) -> None:
        """Ask for more time while we wait for servers: giving up and beginning again would not bring them back."""
        while not self.started.is_set():
            self.notifier.extend(_START_SECONDS)
            with anyio.move_on_after(_START_SECONDS / 3):
                await self.started.wait()

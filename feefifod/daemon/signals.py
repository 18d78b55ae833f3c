"""SIGTERM and SIGINT: the first one drains, the second one cuts."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Final

import anyio
import structlog
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

_CUT_SECONDS: Final = 2.0


async def obey_signals(stop: anyio.Event, scope: anyio.CancelScope, on_drain: Callable[[], None]) -> None:
    """Set `stop` with the first signal, cancel `scope` with the second; runs until cancelled."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            name = signal.Signals(number).name
            if not stop.is_set():
                structlog.get_logger().info("draining", signal=name)
                on_drain()
                stop.set()
                continue
            structlog.get_logger().warning("cut", signal=name)
            scope.cancel()
            # Threads cannot be cancelled; whatever still holds one after this is left to the next start.
            await to_thread.run_sync(_exit_late, abandon_on_cancel=True)


def _exit_late() -> None:
    time.sleep(_CUT_SECONDS)
    os._exit(1)

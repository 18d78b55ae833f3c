"""SIGTERM, SIGINT, and SIGHUP of a terminal that was closed: the first one drains, the second one cuts."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Final

import anyio
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

STOP_SECONDS: Final = 19.0
"""The longest that a stop takes, whatever happens."""

_CUT_SECONDS: Final = 2.0


async def obey_signals(
    stop: anyio.Event, scope: anyio.CancelScope, on_drain: Callable[[], None], *, hangup: bool = True
) -> None:
    """Set `stop` with the first signal, cancel `scope` with the second; runs until cancelled.

    Args:
        hangup: whether SIGHUP is such a signal; what `nohup` started never hears it.
    """
    obeyed = [signal.SIGTERM, signal.SIGINT]
    if hangup and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        obeyed.append(signal.SIGHUP)
    try:
        with anyio.open_signal_receiver(*obeyed) as signals:
            async for number in signals:
                if number == signal.SIGHUP and stop.is_set():
                    continue  # The kernel and the shell both tell of a closed terminal.
                name = signal.Signals(number).name
                if not stop.is_set():
                    structlog.get_logger().info("draining", signal=name)
                    on_drain()
                    stop.set()
                    _exit_after(STOP_SECONDS, 0)
                    continue
                structlog.get_logger().warning("cut", signal=name)
                scope.cancel()
                _exit_after(_CUT_SECONDS, 1)
    finally:
        if stop.is_set() and signal.SIGHUP in obeyed:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # The other one may come while the process ends.


def _exit_after(seconds: float, code: int) -> None:
    """End the process if it is still there then: threads cannot be cancelled, and one may wait for a dead server.

    That is as safe as any other crash: what was not recorded is done again by the next start.
    """
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()


async def end_on(stop: anyio.Event, scope: anyio.CancelScope) -> None:
    """Cancel what runs in `scope` as soon as we are told to stop."""
    await stop.wait()
    scope.cancel()

"""What a person who watches the daemon on a terminal sees of a load that takes a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import anyio

from feefifod.daemon.metrics import Metrics
from feefifod.wording import count_of

_LOOK_SECONDS: Final = 0.5
_QUICK_SECONDS: Final = 1.0
"""A load that is over sooner has a line when it is done, and none before."""


async def follow_loads(metrics: Metrics, show: Callable[[str | None], None]) -> None:
    """Show files, rows and rows a second while something is loaded; runs until cancelled."""
    started: float | None = None
    rows_before = 0
    try:
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            if not metrics.loading:
                show(None)
                started = None
                continue
            if started is None:
                started, rows_before = now - _LOOK_SECONDS, metrics.sent_rows
            if (seconds := now - started) >= _QUICK_SECONDS:
                rows = metrics.sent_rows - rows_before
                show(
                    f"loading {count_of(metrics.loading, 'file')}: {count_of(rows, 'row')} sent,"
                    f" {rows / seconds:,.0f} rows/s"
                )
    finally:
        show(None)

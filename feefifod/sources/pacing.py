"""The pace of calls. One pacer per API is shared by every process, so it lives elsewhere; this is its contract."""

from __future__ import annotations

from typing import Final, Protocol

from feefifod.model import Source

_WINDOW_SECONDS: Final = 61.0
"""A minute and a margin: calls sent exactly a minute apart can arrive within one."""

_SHORTEST_SPACING_SECONDS: Final = {
    Source.FINNHUB: 1.1 / 30,  # 30 calls a second on every plan, whatever the calls per minute.
    Source.MASSIVE: 1.1 / 100,  # Paid plans have no limit but ask to stay below 100 a second.
}


class Pacer(Protocol):
    """Gives out call slots, evenly spaced: a bucket that refills would let a burst through."""

    async def wait(self) -> None:
        """Return when the next call may be sent. One slot is one attempt, retries included."""

    async def hold_off(self, seconds: float) -> None:
        """Let no process call for so many seconds: the API said that it is too much."""


def spacing_seconds(source: Source, calls_per_minute: float) -> float:
    """Return the time between two calls that keeps every limit of the API."""
    return max(_WINDOW_SECONDS / calls_per_minute, _SHORTEST_SPACING_SECONDS.get(source, 0.0))

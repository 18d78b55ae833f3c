"""One pace of calls per API, for every process on this PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import anyio

from feefifod.catalog.queries import load_queries
from feefifod.pulse import beat

if TYPE_CHECKING:
    from feefifod.catalog.database import Database

_LONGEST_SLEEP: Final = 30.0
"""Nobody sleeps longer without another look: the clock may have been set."""

_SHORTEST_SLEEP: Final = 0.005


class SharedPacer:
    """Gives out slots, each at least `spacing_seconds` after the one before, on PostgreSQL's clock.

    A slot is taken when it is due and never ahead of time: so idleness saves up no burst, a pause holds for everybody
    who waits, and a process that dies takes at most one slot with it.
    """

    def __init__(self, database: Database, source: str, spacing_seconds: float) -> None:
        self._database = database
        self._source = source
        self._spacing = timedelta(seconds=spacing_seconds)
        self._sql = load_queries("pacer")
        self._turn = anyio.Lock()

    async def wait(self) -> None:
        """Return when the next call may be sent.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        async with self._turn:
            while True:
                left = await self._database.fetch_value(self._sql["take_slot"], self._source, self._spacing)
                beat()
                if left is None:
                    return
                await anyio.sleep(min(max(left, _SHORTEST_SLEEP), _LONGEST_SLEEP))

    async def hold_off(self, seconds: float) -> None:
        """Let no process call for so many seconds.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        await self._database.execute(self._sql["hold_off"], self._source, timedelta(seconds=seconds))

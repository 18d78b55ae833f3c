"""When tables were last seen well, and what the last check of each found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feefifod.catalog.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from feefifod.catalog.database import Database


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of a table.

    Attributes:
        well_at: when it was last seen well, on PostgreSQL's clock; 1970 when nothing of it can be relied on.
        started_us: when its server had been started, microseconds since 1970 UTC; 0 when that is not known.
        sequenced: how many transactions its write-ahead log had then.
        checked_at, outcome: of the last check that a daemon made by itself; None when there was none.
    """

    well_at: datetime
    started_us: int
    sequenced: int
    checked_at: datetime | None
    outcome: dict[str, Any] | None


class Marks:
    """Reads and writes the marks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("marks")

    async def read(self, table_id: str) -> Mark | None:
        """Return a table's mark."""
        rows = await self._database.fetch(self._sql["read"], table_id)
        return _mark(rows[0]) if rows else None

    async def begin(self, table_id: str) -> Mark:
        """Return a table's mark, made when there is none yet."""
        [row] = await self._database.fetch(self._sql["begin"], table_id)
        return _mark(row)

    async def see_well(self, table_id: str, started_us: int, sequenced: int, *, checked: bool) -> bool:
        """Say that a table is well now; without a check only when no other process has doubts, else False."""
        return await self._database.execute(self._sql["see_well"], table_id, started_us, sequenced, checked) > 0

    async def doubt(self, table_id: str, batch_id: int) -> None:
        """Take back that a table was seen well since a batch began."""
        await self._database.execute(self._sql["doubt"], table_id, batch_id)

    async def distrust(self, table_id: str, sequenced: int) -> None:
        """Take back that a table was ever seen well: it has fallen back to so many transactions."""
        await self._database.execute(self._sql["distrust"], table_id, sequenced)

    async def record(self, table_id: str, outcome: Mapping[str, Any]) -> None:
        """Remember what a check has found."""
        await self._database.execute(self._sql["record"], table_id, json.dumps(outcome))


def _mark(row: Any) -> Mark:
    outcome = row["outcome"] and json.loads(row["outcome"])
    return Mark(row["well_at"], row["started_us"], row["sequenced"], row["checked_at"], outcome)

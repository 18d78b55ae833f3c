"""What is stored already, as far as it decides which of two candles wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from feefifod.sink.sql import Identifier, Instant, load_statements, render

if TYPE_CHECKING:
    from collections.abc import Collection

    from feefifod.model import Source
    from feefifod.sink.sql import QuestDBClient

_SQL: Final = load_statements("stored.sql")
_SECONDS: Final = 300.0


class StoredCandle(NamedTuple):
    """The key of a stored row, and what it is ranked by."""

    asset_id: int
    interval_minutes: int
    quote: str
    time_us: int
    trade_count: int | None
    volume: float | None


async def read_stored(
    client: QuestDBClient, table: str, *, source: Source, assets: Collection[int], first_us: int, last_us: int
) -> list[StoredCandle]:
    """Read the visible rows of some assets between two instants, both included."""
    sql = render(
        _SQL["read_stored"],
        table=Identifier(table),
        source=str(source),
        assets=tuple(sorted(assets)),
        first=Instant(first_us),
        last=Instant(last_us),
    )
    answer = await client.query(sql, timeout_seconds=_SECONDS)
    return [StoredCandle(*row) for row in answer.rows]

"""Count what the table holds, series by series: the proof that rows arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from feefifod.sink.sql import Identifier, Instant, load_statements, render

if TYPE_CHECKING:
    from feefifod.model import Source
    from feefifod.sink.sql import QuestDBClient

_SQL: Final = load_statements("counts.sql")


@dataclass(frozen=True, slots=True)
class SeriesCount:
    """Rows of one series within a range of time; the instants are None when there is no row."""

    rows: int
    first_us: int | None
    last_us: int | None

    def __add__(self, other: SeriesCount) -> SeriesCount:
        """Put the counts of two ranges of time together."""
        firsts = [one.first_us for one in (self, other) if one.first_us is not None]
        lasts = [one.last_us for one in (self, other) if one.last_us is not None]
        return SeriesCount(self.rows + other.rows, min(firsts, default=None), max(lasts, default=None))


SeriesKey = tuple[int, int, str]
"""asset_id, interval_minutes, quote."""


async def count_series(
    client: QuestDBClient, table: str, source: Source, first_us: int, last_us: int, *, timeout_seconds: float = 300.0
) -> dict[SeriesKey, SeriesCount]:
    """Count every series of a source between two instants, both included, in one pass over the table."""
    sql = render(
        _SQL["count_series"],
        table=Identifier(table),
        source=str(source),
        first=Instant(first_us),
        last=Instant(last_us),
    )
    answer = await client.query(sql, timeout_seconds=timeout_seconds)
    return {
        (asset_id, interval_minutes, quote): SeriesCount(rows, first, last)
        for asset_id, interval_minutes, quote, rows, first, last in answer.rows
    }


async def count_one(
    client: QuestDBClient,
    table: str,
    *,
    source: Source,
    asset_id: int,
    interval_minutes: int,
    quote: str,
    first_us: int,
    last_us: int,
    timeout_seconds: float = 300.0,
) -> SeriesCount:
    """Count one series between two instants, both included."""
    sql = render(
        _SQL["count_one"],
        table=Identifier(table),
        source=str(source),
        asset_id=asset_id,
        interval_minutes=interval_minutes,
        quote=quote,
        first=Instant(first_us),
        last=Instant(last_us),
    )
    [[rows, first, last]] = (await client.query(sql, timeout_seconds=timeout_seconds)).rows
    return SeriesCount(rows, first, last)

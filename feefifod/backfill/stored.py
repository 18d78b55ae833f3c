"""Day candles that are in the table already."""

from __future__ import annotations

from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from feefifod.schedule.sessions import day_microseconds
from feefifod.sink.sql import Identifier, Instant, render

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from feefifod.backfill.tools import Tools
    from feefifod.model import Source
    from feefifod.sources.candle import DayCandle

Key = tuple[int, str, int]
"""Asset id, quote currency, and the session's `time` in microseconds."""

Values = tuple[float, float, float, float, float, int | None]
"""Open, high, low, close, volume, and trade count."""

_SQL: Final = resources.files(__package__).joinpath("stored.sql").read_text(encoding="utf-8")


def key_of(asset_id: int, candle: DayCandle) -> Key:
    """Return where a candle of an asset is stored."""
    return asset_id, candle.quote_currency, day_microseconds(candle.session)


def values_of(candle: DayCandle) -> Values:
    """Return what is stored of a candle."""
    return candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trade_count


async def read_stored(
    tools: Tools, source: Source, asset_ids: Collection[int], start: date, end: date
) -> dict[Key, Values]:
    """Return the day candles of some assets from `start` to `end`, both included."""
    if not asset_ids:
        return {}
    table = tools.questdb.table
    rows: list[list[Any]] = []
    for first, last in tools.client.partitioning(table).divide(day_microseconds(start), day_microseconds(end)):
        statement = render(
            _SQL,
            table=Identifier(table),
            source=str(source),
            first=Instant(first),
            last=Instant(last),
            lowest=min(asset_ids),
            highest=max(asset_ids),
        )
        rows += (await tools.patiently(partial(tools.client.query, statement, timeout_seconds=120.0))).rows
    wanted = set(asset_ids)
    # JSON writes 1.0 as 1: the types are made what they are in the table.
    return {
        (asset_id, quote, time_us): (float(o), float(h), float(low), float(c), float(v), n)
        for asset_id, quote, time_us, o, h, low, c, v, n in rows
        if asset_id in wanted
    }

"""The larger trade count wins against what is stored too, so that the order of drops does not matter (design 4)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from feefifod.model import INT_NULL, Frame
from feefifod.sink import read_stored

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from feefifod.ingest.tools import Tools
    from feefifod.sink import StoredCandle

SeriesKey = tuple[int, int, str]
"""asset_id, interval_minutes, quote."""

_CHUNK_ROWS: Final = 100_000


async def contest(tools: Tools, frame: Frame, contested: Collection[SeriesKey]) -> Frame:
    """Return the frame without the rows that lose against a stored one; only contested series are compared."""
    mine = np.flatnonzero(_is_contested(frame, contested))
    losers = [
        await _find_losers(tools, frame, mine[start : start + _CHUNK_ROWS])
        for start in range(0, len(mine), _CHUNK_ROWS)
    ]
    lost = np.concatenate([np.empty(0, np.int64), *losers])
    if not len(lost):
        return frame
    keep = np.ones(len(frame), dtype=bool)
    keep[lost] = False
    return select_rows(frame, keep)


def select_rows(frame: Frame, keep: NDArray[np.bool_]) -> Frame:
    """Return some rows of a frame."""
    return Frame(
        time_us=frame.time_us[keep],
        asset_id=frame.asset_id[keep],
        open=frame.open[keep],
        high=frame.high[keep],
        low=frame.low[keep],
        close=frame.close[keep],
        volume=frame.volume[keep],
        interval_minutes=frame.interval_minutes[keep],
        trade_count=frame.trade_count[keep],
        quote_code=frame.quote_code[keep],
        quotes=frame.quotes,
        source=frame.source,
    )


def _is_contested(frame: Frame, contested: Collection[SeriesKey]) -> NDArray[np.bool_]:
    codes = {quote: code for code, quote in enumerate(frame.quotes)}
    keys = [(asset, minutes, codes[quote]) for asset, minutes, quote in contested if quote in codes]
    wanted = np.array(keys, dtype=np.int64).reshape(-1, 3)
    rows = _join_keys(frame.asset_id.astype(np.int64), frame.interval_minutes, frame.quote_code)
    return np.isin(rows, _join_keys(wanted[:, 0], wanted[:, 1], wanted[:, 2]))


def _join_keys(
    asset_id: NDArray[np.int64], minutes: NDArray[np.integer], quote: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Make one number of a series: minutes need 11 bits, and a frame has fewer than 65,536 quotes."""
    return (asset_id << 27) | (minutes.astype(np.int64) << 16) | quote.astype(np.int64)


async def _find_losers(tools: Tools, frame: Frame, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which of these rows (indexes, ascending by time) lose against a stored row of the same key."""
    assets = np.unique(frame.asset_id[rows]).tolist()
    first, last = int(frame.time_us[rows[0]]), int(frame.time_us[rows[-1]])
    stored: list[StoredCandle] = []
    for start, end in tools.client.partitioning(tools.questdb.table).divide(first, last):
        question = partial(
            read_stored,
            tools.client,
            tools.questdb.table,
            source=frame.source,
            assets=assets,
            first_us=start,
            last_us=end,
        )
        stored += await tools.patiently(question)
    return beaten(frame, rows, stored)


def beaten(frame: Frame, rows: NDArray[np.int64], stored: Sequence[StoredCandle]) -> NDArray[np.int64]:
    """Return which of these rows have a stored row of the same key that is ranked higher; equals are not beaten."""
    ranks = {
        (candle.time_us, candle.asset_id, candle.interval_minutes, candle.quote): _rank(
            candle.trade_count, candle.volume
        )
        for candle in stored
    }
    if not ranks:
        return np.empty(0, np.int64)
    found = [
        row
        for row, key, trades, volume in zip(
            rows.tolist(),
            zip(
                frame.time_us[rows].tolist(),
                frame.asset_id[rows].tolist(),
                frame.interval_minutes[rows].tolist(),
                [frame.quotes[code] for code in frame.quote_code[rows].tolist()],
                strict=True,
            ),
            frame.trade_count[rows].tolist(),
            frame.volume[rows].tolist(),
            strict=True,
        )
        if key in ranks and ranks[key] > _rank(trades, volume)
    ]
    return np.array(found, dtype=np.int64)


def _rank(trade_count: int | None, volume: float | None) -> tuple[int, float]:
    return (0 if trade_count in (None, INT_NULL) else trade_count, volume or 0.0)

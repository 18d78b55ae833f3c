"""Merging a window: the rows of all files in the order of time, each key once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from feefifod.model import INT_NULL, Frame, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from feefifod.sweep.read import Part


def merge_parts(parts: Sequence[Part]) -> tuple[Frame | None, dict[str, int]]:
    """Return the frame of these parts (None without a row), and how many rows lost their key, by series.

    Two rows of one series with the same time: the larger trade count wins, then the larger volume, then the
    later drop (design: "Two files with the same candle").
    """
    pieces = [piece for part in parts for piece in part.pieces]
    candles = [candles for part in parts for candles in part.candles]
    counts = np.array([count for _, count in pieces], dtype=np.int64)
    if not counts.sum():
        return None, {}
    files = [run.file for run, _ in pieces]
    quotes = tuple(sorted({file.quote for file in files}))
    codes = {quote: code for code, quote in enumerate(quotes)}
    time = np.concatenate([c.time_seconds for c in candles])
    columns = {
        name: np.concatenate([getattr(c, name) for c in candles])
        for name in ("open", "high", "low", "close", "volume", "trade_count")
    }
    columns["asset_id"] = np.repeat(np.array([file.asset_id for file in files], np.int32), counts)
    columns["interval_minutes"] = np.repeat(np.array([file.interval_minutes for file in files], np.int32), counts)
    columns["quote_code"] = np.repeat(np.array([codes[file.quote] for file in files], np.int32), counts)

    drops = np.repeat(np.array([file.order for file in files], np.int64), counts)
    lost, merged = _find_losers([file.series for file in files], counts, time, drops, columns)
    order = np.argsort(time, kind="stable")
    if lost is not None:
        order = order[~lost[order]]
    frame = Frame(
        time_us=time[order] * 1_000_000,
        quotes=quotes,
        source=Source.KRAKEN,
        **{name: column[order] for name, column in columns.items()},
    )
    return frame, merged


def _find_losers(
    series: Sequence[str],
    counts: NDArray[np.int64],
    time: NDArray[np.int64],
    drops: NDArray[np.int64],
    columns: dict[str, np.ndarray],
) -> tuple[NDArray[np.bool_] | None, dict[str, int]]:
    """Mark rows that lose against another row of their series; only series with several pieces can have any."""
    by_series: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(series):
        by_series[key].append(index)
    ends = np.cumsum(counts)
    lost: NDArray[np.bool_] | None = None
    merged: dict[str, int] = {}
    for key, pieces in by_series.items():
        if len(pieces) == 1:
            continue
        rows = np.concatenate([np.arange(ends[i] - counts[i], ends[i]) for i in pieces])
        ranked = rows[rank_rows(time[rows], columns["trade_count"][rows], columns["volume"][rows], drops[rows])]
        beaten = ranked[:-1][time[ranked[:-1]] == time[ranked[1:]]]
        if len(beaten):
            lost = np.zeros(len(time), dtype=bool) if lost is None else lost
            lost[beaten] = True
            merged[key] = len(beaten)
    return lost, merged


def rank_rows(
    time: NDArray[np.int64],
    trade_count: NDArray[np.int32],
    volume: NDArray[np.float64],
    drops: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return the order by time in which, among rows of one time, the one that wins comes last.

    `drops` is the order in which their files were dropped; without it, and among equals, the later row wins.
    """
    trades = trade_count.astype(np.int64)
    trades[trades == INT_NULL] = 0
    keys = (volume, trades, time) if drops is None else (drops, volume, trades, time)
    return np.lexsort(keys)

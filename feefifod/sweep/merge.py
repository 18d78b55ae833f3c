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
    from feefifod.sweep.run import SweepFile


def merge_parts(parts: Sequence[Part]) -> tuple[Frame | None, dict[str, int]]:
    """Return the frame of these parts (None without a row), and how many rows lost their key, by series.

    Two rows of one series with the same time: the larger trade count wins, then the larger volume, then the
    later drop (design: "Two files with the same candle").
    """
    pieces = [piece for part in parts for piece in part.pieces]
    candles = [candles for part in parts for candles in part.candles]
    counts = np.array([count for _, count in pieces], dtype=np.int64)
    rows = int(counts.sum())
    if not rows:
        return None, {}
    files = [run.file for run, _ in pieces]
    quotes = tuple(sorted({file.quote for file in files}))
    time = np.concatenate([c.time_seconds for c in candles])
    trade_count = np.concatenate([c.trade_count for c in candles])
    volume = np.concatenate([c.volume for c in candles])
    lost, merged = _find_losers(files, counts, time, trade_count, volume)
    order = _order_by_time(time)
    if lost is not None:
        order = order[~lost[order]]
    scratch = np.empty(rows)

    def gather(name: str) -> NDArray[np.float64]:
        # One scratch array for all columns: touching fresh memory costs more than copying rows.
        taken: NDArray[np.float64] = np.concatenate([getattr(c, name) for c in candles], out=scratch).take(order)
        return taken

    piece = np.repeat(np.arange(len(pieces)), counts).take(order)  # As wide as an index: others would be cast.

    def spread(values: Sequence[int]) -> NDArray[np.int32]:
        return np.array(values, np.int32).take(piece)

    time_us = time.take(order)
    time_us *= 1_000_000
    frame = Frame(
        time_us=time_us,
        asset_id=spread([file.asset_id for file in files]),
        open=gather("open"),
        high=gather("high"),
        low=gather("low"),
        close=gather("close"),
        volume=volume.take(order),
        interval_minutes=spread([file.interval_minutes for file in files]),
        trade_count=trade_count.take(order),
        quote_code=spread([quotes.index(file.quote) for file in files]),
        quotes=quotes,
        source=Source.KRAKEN,
    )
    return frame, merged


def _order_by_time(time: NDArray[np.int64]) -> NDArray[np.int64]:
    """Do what a stable argsort does in half its time: sort numbers that end in their own place."""
    place_bits = len(time).bit_length()
    keys: NDArray[np.int64] = time - time.min()
    keys <<= place_bits
    keys |= np.arange(len(time))
    keys.sort()
    keys &= (1 << place_bits) - 1
    return keys


def _find_losers(
    files: Sequence[SweepFile],
    counts: NDArray[np.int64],
    time: NDArray[np.int64],
    trade_count: NDArray[np.int32],
    volume: NDArray[np.float64],
) -> tuple[NDArray[np.bool_] | None, dict[str, int]]:
    """Mark rows that lose against another row of their series; only series with several pieces can have any."""
    by_series: dict[str, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        by_series[file.series].append(index)
    ends = np.cumsum(counts)
    lost: NDArray[np.bool_] | None = None
    merged: dict[str, int] = {}
    for key, pieces in by_series.items():
        if len(pieces) == 1:
            continue
        rows = np.concatenate([np.arange(ends[i] - counts[i], ends[i]) for i in pieces])
        drops = np.repeat(np.array([files[i].order for i in pieces], np.int64), counts[pieces])
        ranked = rows[rank_rows(time[rows], trade_count[rows], volume[rows], drops)]
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

"""Rows that a person had overwritten: they lose whatever their trade counts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from feefifod.model import Candles
from feefifod.sweep.read import Part

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray


def drop_overwritten(parts: Sequence[Part], eras: Mapping[int, int], overwriting: Collection[int]) -> Sequence[Part]:
    """Leave out each row that came in before a file that overwrites and holds the same candle.

    What is left is decided by trade counts as ever: among the files of one batch, and for what came in later.

    Args:
        eras: when each file (by id) came in; files of one batch have the same number.
        overwriting: ids of files that overwrite.
    """
    pieces = [piece for part in parts for piece in part.pieces]
    if not any(run.file.id in overwriting for run, _ in pieces):
        return parts
    counts = np.array([count for _, count in pieces])
    columns = [
        np.concatenate([getattr(candles, column.name) for part in parts for candles in part.candles])
        for column in fields(Candles)
    ]
    came_in = np.repeat(np.array([eras[run.file.id] for run, _ in pieces]), counts)
    overwrites = np.repeat(np.array([run.file.id in overwriting for run, _ in pieces]), counts)
    keep = np.ones(len(came_in), dtype=bool)
    ends = np.cumsum(counts)
    by_series: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
    for (run, count), end in zip(pieces, ends.tolist(), strict=True):
        by_series[run.file.series].append(np.arange(end - count, end))
    for places in by_series.values():
        rows = np.concatenate(places)
        times, which = np.unique(columns[0][rows], return_inverse=True)
        last = np.full(len(times), -1)
        ours = overwrites[rows]
        np.maximum.at(last, which[ours], came_in[rows][ours])
        keep[rows] = came_in[rows] >= last[which]
    before = np.concatenate(([0], np.cumsum(keep)))
    kept = before[ends] - before[ends - counts]
    return [
        Part(
            pieces=[(run, count) for (run, _), count in zip(pieces, kept.tolist(), strict=True)],
            candles=[Candles(*(column[keep] for column in columns))],
        )
    ]

"""Overwriting: against a slow reference that takes in one batch after the other."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feefifod.model import Candles
from feefifod.sweep.merge import merge_parts
from feefifod.sweep.read import Part
from feefifod.verify.overwritten import drop_overwritten


@dataclass(frozen=True)
class Item:
    """A file: the batch that it came in with, whether it overwrites, and its rows: time, trades, volume."""

    batch: int
    overwrite: bool
    series: str
    rows: tuple[tuple[int, int, int], ...]


rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)), max_size=5, unique_by=lambda row: row[0]
)
items = st.builds(
    Item, st.integers(0, 2), st.booleans(), st.sampled_from(("1/60/EUR", "1/60/USD")), rows.map(sorted).map(tuple)
)


def load_slowly(files: list[Item]) -> dict[tuple[str, int], tuple[int, int, int]]:
    """Take in batch after batch; the value is trades, volume and the file that won."""
    table: dict[tuple[str, int], tuple[int, int, int]] = {}
    for batch in sorted({item.batch for item in files}):
        its = [(place, item) for place, item in enumerate(files) if item.batch == batch]
        # Within a batch the files that overwrite go first against what is stored; then the best one wins.
        for _, item in its:
            for time, _, _ in item.rows if item.overwrite else ():
                key = (item.series, time)
                if key in table and files[table[key][2]].batch < batch:
                    del table[key]
        for place, item in its:
            for time, trades, volume in item.rows:
                best = table.get((item.series, time))
                if best is None or (trades, volume, place) > best:
                    table[item.series, time] = (trades, volume, place)
    return table


def make_part(place: int, item: Item) -> Part:
    time, trades, volume = (np.array([row[i] for row in item.rows], np.int64) for i in range(3))
    number = np.full(len(time), float(place))
    run = SimpleNamespace(
        file=SimpleNamespace(
            id=place + 100,
            order=place,
            series=item.series,
            asset_id=1,
            interval_minutes=60,
            quote=item.series.rpartition("/")[2],
        )
    )
    candles = Candles(time, number, number, number, number, volume.astype(np.float64), trades.astype(np.int32))
    return Part(pieces=[(run, len(time))], candles=[candles])  # type: ignore[list-item]  # A stand-in for a run.


@given(st.lists(items, max_size=6).map(lambda files: sorted(files, key=lambda item: item.batch)))
def test_the_last_file_that_overwrites_wins_over_all_before_it(files: list[Item]) -> None:
    parts = [make_part(place, item) for place, item in enumerate(files)]
    eras = {place + 100: item.batch for place, item in enumerate(files)}
    overwriting = frozenset(place + 100 for place, item in enumerate(files) if item.overwrite)

    frame, _ = merge_parts(drop_overwritten(parts, eras, overwriting))

    found = {}
    for row in range(len(frame) if frame else 0):
        assert frame is not None
        key = (f"1/60/{frame.quotes[frame.quote_code[row]]}", int(frame.time_us[row]) // 1_000_000)
        found[key] = (int(frame.trade_count[row]), int(frame.volume[row]), int(frame.open[row]))
    assert found == load_slowly(files)

"""The comparison row by row, against sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feefifod.model import INT_NULL
from feefifod.sink.checksums import StoredRows
from feefifod.verify.candles import FileRows, compare_rows

values = st.tuples(st.sampled_from((0.0, 1.0, 1.0000000000000002, 5e-324)), st.sampled_from((INT_NULL, 0, 7)))
tables = st.dictionaries(st.integers(0, 8), values, max_size=8)


def columns(table: list[tuple[int, tuple[float, int]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    times = np.array([time for time, _ in table], np.int64)
    numbers = np.array([[1.0, 2.0, 3.0, value, 5.0] for _, (value, _) in table]).reshape(-1, 5).T
    return times, numbers, np.array([count for _, (_, count) in table], np.int32)


@given(tables, tables, st.integers(0, 8), st.randoms(use_true_random=False))
def test_what_is_missing_too_much_and_changed(
    files: dict[int, tuple[float, int]], stored: dict[int, tuple[float, int]], cut: int, chance: object
) -> None:
    rows = FileRows()
    for piece in (sorted(files.items())[:cut], sorted(files.items())[cut:]):
        rows.pieces.append(columns(piece))
    shuffled = list(stored.items())
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random

    counts = compare_rows(rows, StoredRows(*columns(shuffled)))

    changed = {time for time in files.keys() & stored.keys() if files[time] != stored[time]}
    assert counts.missing == len(files.keys() - stored.keys())
    assert counts.extra == len(stored.keys() - files.keys())
    assert counts.changed == len(changed)
    assert counts.equal == (files == stored)
    assert len(counts.examples) == sum(min(5, n) for n in (counts.missing, counts.extra, counts.changed))


def test_a_row_that_is_stored_twice_is_one_too_many() -> None:
    rows = FileRows([columns([(1, (1.0, 7))])])

    counts = compare_rows(rows, StoredRows(*columns([(1, (1.0, 7)), (1, (1.0, 7))])))

    assert (counts.missing, counts.extra, counts.changed) == (0, 1, 0)
    assert counts.examples == ("1970-01-01T00:00:00.000001Z: only in the table",)

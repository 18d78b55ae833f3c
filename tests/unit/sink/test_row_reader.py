"""An answer that comes in pieces is read as the whole one would be."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from feefifod.sink.stream import RowReader

TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.lists(st.integers())


@given(
    st.lists(st.lists(VALUES, min_size=1, max_size=4), max_size=6),
    TEXT,
    st.lists(st.integers(1, 60), min_size=1, max_size=40),
)
def test_wherever_it_is_cut(rows: list[list[Any]], question: str, sizes: list[int]) -> None:
    document = {
        "query": question + '"dataset":[',
        "columns": [{"name": '],"dataset":[', "type": "STRING"}, {"name": "ä", "type": "INT"}],
        "timestamp": -1,
        "dataset": rows,
        "count": len(rows),
    }
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    reader, read = RowReader(), list[list[Any]]()
    place = 0
    for number in range(len(text)):
        size = sizes[number % len(sizes)]
        read += reader.feed(text[place : place + size])
        place += size
        if place >= len(text):
            break

    assert reader.ended
    assert reader.columns == ['],"dataset":[', "ä"]
    assert read == rows


def test_what_is_cut_off_has_not_ended() -> None:
    reader = RowReader()

    assert reader.feed(b'{"query":"x","columns":[{"name":"a","type":"INT"}],"dataset":[[1],[2') == [[1]]
    assert (reader.begun, reader.ended, reader.rest) == (True, False, "[2")

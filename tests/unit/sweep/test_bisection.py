"""The bytes of an instant are found by bisection, exactly where a reader from the start would find them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feefifod.sweep import Irregular
from feefifod.sweep.run import find_time, parse_time

_LINES = st.lists(
    st.tuples(st.integers(0, 60), st.text(alphabet="0123456789.,", max_size=12)), max_size=40, unique_by=lambda p: p[0]
).map(sorted)


def _scan(data: bytes, start: int, seconds: int) -> int:
    """Find it slowly, line by line."""
    while start < len(data):
        if int(data[start : data.index(b",", start)]) >= seconds:
            return start
        start = data.index(b"\n", start) + 1
    return len(data)


@given(_LINES, st.integers(0, 62), st.data())
def test_bisection_finds_what_a_scan_finds(lines: list[tuple[int, str]], seconds: int, data: st.DataObject) -> None:
    pieces = [f"{time},{rest}\n".encode() for time, rest in lines]
    text = b"".join(pieces)
    place = data.draw(st.integers(0, len(pieces)))
    start = sum(map(len, pieces[:place]))
    assert find_time(text, start, seconds) == _scan(text, start, seconds)


@pytest.mark.parametrize("row", [b"", b"1700000000", b",1,1\n", b"-5,1\n", b"1e9,1\n", b" 17,1\n", b"\xd9\xa1,1\n"])
def test_what_is_no_time_is_said_to_be_none(row: bytes) -> None:
    with pytest.raises(Irregular):
        parse_time(row, 0)

"""A whole irregular file: the good rows, the refused lines with their numbers, in bounded memory."""

from __future__ import annotations

import io
import random
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from feefifod.errors import Unavailable
from feefifod.model import INT_NULL, Series
from feefifod.parse.head import inspect_head
from feefifod.parse.rows import Reject, RowsChunk, has_only_six_fields, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable

LATEST = 1_800_000_000
ROW = b"1381017600,122.0,124.0,121.0,123.0,0.1,1\n"
SIX = b"1381017600,122.0,124.0,121.0,123.0,0.1\n"
NAMES = b"timestamp,open,high,low,close,volume,trades\n"


def read_all(
    data: bytes,
    *,
    fields: int | None = None,
    chunk_bytes: int = 1 << 20,
    short: bool = False,
    series: Series | None = None,
) -> RowsChunk:
    """Read a file and put its chunks together; the candles become a list of rows in `candles`."""
    head = inspect_head(data[:16384], series)
    if fields is not None:
        head = replace(head, fields=fields)
    chunks = list(
        read_rows(
            give(data, short=short),
            head=head,
            interval_minutes=1,
            latest_seconds=LATEST,
            chunk_bytes=chunk_bytes,
            terminated=data.endswith(b"\n"),
            series=series,
        )
    )
    for chunk in chunks:
        assert chunk.lines == len(chunk.candles) + len(chunk.rejects) + chunk.blanks > 0
    return RowsChunk(
        [row for chunk in chunks for row in list_rows(chunk)],
        [reject for chunk in chunks for reject in chunk.rejects],
        sum(chunk.lines for chunk in chunks),
        sum(chunk.blanks for chunk in chunks),
    )


def give(data: bytes, *, short: bool = False) -> Callable[[int], bytes]:
    """Make a `read` of bytes; a short one gives less than asked for, as pipes do."""
    file = io.BytesIO(data)
    luck = random.Random(len(data))
    return lambda size: file.read(luck.randint(1, size) if short else size)


def list_rows(chunk: RowsChunk) -> list[tuple[float, ...]]:
    candles = chunk.candles
    columns = (candles.time_seconds, candles.open, candles.high, candles.low, candles.close, candles.volume)
    return list(zip(*(column.tolist() for column in columns), candles.trade_count.tolist(), strict=True))


# An independent reading of the same language: no regular expression, no float() of unchecked text, no chunks.


def reference_number(text: bytes) -> float | None:
    mantissa, mark, exponent = text.lower().partition(b"e")
    whole, _, fraction = mantissa.partition(b".")
    digits = whole + fraction
    if not digits or digits.strip(b"0123456789"):
        return None
    if mark:
        unsigned = exponent[1:] if exponent[:1] in (b"+", b"-") else exponent
        if not 1 <= len(unsigned) <= 3 or unsigned.strip(b"0123456789"):
            return None
    # The nearest double to an exact fraction is what division of integers gives in Python.
    scale = int(exponent or b"0") - len(fraction)
    try:
        return int(digits) * 10**scale / 1 if scale >= 0 else int(digits) / 10**-scale
    except OverflowError:
        return None


def reference_row(line: bytes, fields: int, below_header: bool) -> tuple[float, ...] | None:
    texts = line.removesuffix(b"\r").split(b",")
    numbers = [reference_number(text.strip(b" ") if below_header else text) for text in texts]
    if len(numbers) != fields or None in numbers:
        return None
    time, *rest = (number for number in numbers if number is not None)
    if not 1230768000 <= time <= LATEST or time % 60:
        return None
    if fields == 6:
        return (int(time), *rest, INT_NULL)
    if rest[5] % 1 or rest[5] > 2**31 - 1:
        return None
    return (int(time), *rest[:5], int(rest[5]))


def reference(
    data: bytes, start: int, fields: int, below_header: bool
) -> tuple[list[tuple[float, ...]], list[int], int]:
    """Give the good rows, the numbers of the refused lines, and how many lines are blank."""
    good, bad, blanks = [], [], 0
    lines = data[start:].split(b"\n")
    for number, line in enumerate(lines, start=1 + data[:start].count(b"\n")):
        last = number == len(lines) + data[:start].count(b"\n")
        if last and not line:
            continue
        if len(line) > 4096:
            bad.append(number)
        elif not line.strip():
            blanks += 1
        elif line.removesuffix(b"\r") == NAMES[:-1] and not last:
            blanks += 1
            fields, below_header = 7, True
        elif last or (row := reference_row(line, fields, below_header)) is None:
            bad.append(number)
        else:
            good.append(row)
    return good, bad, blanks


GOOD = st.integers(1230768000 // 60, LATEST // 60).map(
    lambda minute: ROW[:-1].replace(b"1381017600", b"%d" % (minute * 60))
)
LINES = st.one_of(
    GOOD,
    GOOD,
    GOOD.map(lambda line: line + b"\r"),
    GOOD.map(lambda line: line * 3),
    GOOD.map(lambda line: line[:-2]),
    GOOD.map(lambda line: line.replace(b"122.0", b"3E+1")),
    GOOD.map(lambda line: line.replace(b"0,122.0", b"0.0,1e-07")),
    st.tuples(
        GOOD,
        st.sampled_from(
            [
                b"",
                b"-1",
                b"nan",
                b"1e400",
                b"1e0001",
                b"+5",
                b" 5",
                b"0x1",
                b"1_0",
                b"\x01",
                b"\xff",
                b"1\r2",
                b"9" * 4060,
            ]
        ),
    ).map(lambda pair: pair[0].replace(b"122.0", pair[1])),
    st.sampled_from(
        [
            b"",
            b"\r",
            b"  ",
            b"\x0b",
            b" " * 4097,
            b"x" * 5000,
            b"hello",
            b",,,,,,",
            b"\xef\xbb\xbf" + ROW[:-1],
            NAMES[:-1],
        ]
    ),
    st.binary(max_size=20),
)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(LINES, max_size=12),
    repeat=st.sampled_from([1, 1, 1, 150]),
    ending=st.sampled_from([b"\n", b"\n", b""]),
    start=st.sampled_from([b"", b"\xef\xbb\xbf", NAMES, b"\r\n" + NAMES]),
    chunk_bytes=st.sampled_from([1, 7, 50, 1000, 5000, 1 << 20]),
    fields=st.sampled_from([6, 7]),
    short=st.booleans(),
)
def test_read_rows_equals_a_slow_reading_of_the_whole(
    lines: list[bytes], repeat: int, ending: bytes, start: bytes, chunk_bytes: int, fields: int, short: bool
) -> None:
    body = (ROW if fields == 7 else SIX) * (repeat - 1) + b"\n".join(lines) + ending
    data = start + body
    assume(b"\0" not in data and not data.startswith((b"\x1f\x8b", b"PK", b"\xff\xfe", b"\xfe\xff")))
    if len(data) > 2_000:
        chunk_bytes = max(chunk_bytes, 500)
    head = inspect_head(data[:16384])

    result = read_all(data, fields=fields, chunk_bytes=chunk_bytes, short=short)

    good, bad, blanks = reference(data, head.data_start, 7 if head.header else fields, head.header)
    assert result.candles == good
    assert [reject.line for reject in result.rejects] == bad
    assert result.blanks == blanks


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", NAMES, b"\xef\xbb\xbf" + NAMES])
def test_krakens_dialects_have_no_rejects(start: bytes, newline: bytes) -> None:
    data = (start + ROW * 3).replace(b"\n", newline)

    assert read_all(data) == RowsChunk([(1381017600, 122.0, 124.0, 121.0, 123.0, 0.1, 1)] * 3, [], 3, 0)


@pytest.mark.parametrize("data", [b"", b"\n\r\n  \n", NAMES, NAMES.strip(), b"\xef\xbb\xbf", b" "])
def test_a_file_without_rows_has_none(data: bytes) -> None:
    result = read_all(data)

    assert (result.candles, result.rejects) == ([], [])
    assert result.lines == result.blanks


def test_one_row_is_data() -> None:
    assert len(read_all(ROW).candles) == 1


def test_rejects_carry_number_reason_and_text() -> None:
    data = (
        NAMES
        + ROW
        + b"\n"
        + b"1381017600,-1,2,1,1,1,1\r\n"
        + ROW
        + b"a\x01\xff"
        + b"\n"
        + b"z" * 9000
        + b"\n"
        + ROW[:-1]
    )

    assert read_all(data).rejects == [
        Reject(4, "open is negative", "1381017600,-1,2,1,1,1,1"),
        Reject(6, "1 field instead of the 7 that the header names", "a\\x01\\xff"),
        Reject(7, "line too long", "z" * 200),
        Reject(8, "unterminated last line", ROW[:-1].decode()),
    ]


@pytest.mark.parametrize("chunk_bytes", [1000, 4096, 4097, 1 << 20])
def test_the_longest_line_is_read_across_chunks(chunk_bytes: int) -> None:
    longest = ROW.replace(b"0.1", b"0.1" + b"0" * (4096 - len(ROW) + 1))

    result = read_all(longest + longest.replace(b"0.1", b"0.10") + ROW, chunk_bytes=chunk_bytes)

    assert len(result.candles) == 2
    assert [(reject.line, reject.reason) for reject in result.rejects] == [(2, "line too long")]


def test_nul_bytes_beyond_the_head_are_a_reject_that_can_be_stored() -> None:
    data = ROW * 1000 + b"\0" * 5 + b"\n" + ROW

    result = read_all(data)

    assert result.rejects == [Reject(1001, "1 field instead of 7", "\\x00" * 5)]
    assert len(result.candles) == 1001


def test_a_last_line_that_lost_its_newline_means_a_changing_file() -> None:
    chunks = read_rows(
        give(ROW + ROW[:-1]), head=inspect_head(ROW), interval_minutes=1, latest_seconds=LATEST, terminated=True
    )

    with pytest.raises(Unavailable, match="being changed"):
        list(chunks)


def test_six_fields_only_when_every_row_has_six() -> None:
    assert has_only_six_fields(give(SIX * 3 + b"\n\r\n" + SIX), 0)
    assert has_only_six_fields(give(NAMES + SIX), len(NAMES))
    assert has_only_six_fields(give(SIX + b"1381017600,12"), 0)
    assert not has_only_six_fields(give(SIX + ROW), 0)
    assert not has_only_six_fields(give(SIX + b"hello\n"), 0)
    assert not has_only_six_fields(give(SIX + b"z" * 9000 + b"\n" + SIX), 0, 1000)
    assert not has_only_six_fields(give(SIX + b"z" * 9000), 0)


@given(st.lists(st.sampled_from([SIX, ROW, b"\n"]), max_size=8), st.integers(1, 200))
def test_counting_fields_does_not_depend_on_chunks(lines: list[bytes], chunk_bytes: int) -> None:
    assert has_only_six_fields(give(b"".join(lines)), 0, chunk_bytes) == (ROW not in lines)


def test_a_file_of_mixed_rows_keeps_those_with_seven_fields() -> None:
    result = read_all(SIX + ROW + SIX, fields=7)

    assert len(result.candles) == 1
    assert [(reject.line, reject.reason) for reject in result.rejects] == [
        (1, "6 fields instead of 7"),
        (3, "6 fields instead of 7"),
    ]


def test_an_endless_line_needs_no_memory() -> None:
    parts = iter([ROW, *[b"1" * (1 << 20)] * 100, b"\n" + ROW])
    tracemalloc.start()

    chunks = list(
        read_rows(
            lambda size: next(parts, b""),
            head=inspect_head(ROW),
            interval_minutes=1,
            latest_seconds=LATEST,
            terminated=True,
        )
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert sum(len(chunk.candles) for chunk in chunks) == 2
    assert [reject for chunk in chunks for reject in chunk.rejects] == [Reject(2, "line too long", "1" * 200)]
    assert peak < 8 << 20


def test_rejects_do_not_pile_up() -> None:
    data = b"x\n" * 20_000
    chunks = read_rows(
        give(data), head=inspect_head(data[:100]), interval_minutes=1, latest_seconds=LATEST, terminated=True
    )

    sizes = [len(chunk.rejects) for chunk in chunks]

    assert sum(sizes) == 20_000
    assert max(sizes) < 5000

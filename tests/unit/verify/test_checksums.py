"""Fingerprints: they depend on every bit of every row, and not on their order."""

from __future__ import annotations

import struct
from dataclasses import fields, replace
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from feefifod.model import INT_NULL, Frame, Source
from feefifod.sink.checksums import Checksum, checksum_frame

MIX = 6_364_136_223_846_793_005

# Where every double is exact in a fingerprint.
prices = st.floats(2.0**-41, 2.0**33, exclude_max=True)
volumes = st.floats(2.0**-27, 2.0**47, exclude_max=True)
rows = st.tuples(
    st.integers(0, 3),
    st.sampled_from((1, 60)),
    st.integers(0, 1),
    st.integers(0, 400),
    st.tuples(prices, prices, prices, prices),
    volumes,
    st.one_of(st.just(INT_NULL), st.integers(0, 2**31 - 1)),
)
tables = st.lists(rows, min_size=1, max_size=30, unique_by=lambda row: row[:4])

Row = tuple[int, int, int, int, tuple[float, ...], float, int]


def make_frame(table: list[Row]) -> Frame:
    """Make a frame; the fourth of a row is its hour of 2024."""
    asset, interval, quote, hour, price, volume, trades = zip(*table, strict=True)
    prices = np.array(price, np.float64).T
    return Frame(
        time_us=np.array([(1_704_067_200 + 86_400 * h) * 1_000_000 for h in hour], np.int64),
        asset_id=np.array(asset, np.int32),
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        volume=np.array(volume),
        interval_minutes=np.array(interval, np.int32),
        trade_count=np.array(trades, np.int32),
        quote_code=np.array(quote, np.int32),
        quotes=("EUR", "USD"),
        source=Source.KRAKEN,
    )


def slow(values: list[float], times: list[int], scale: int) -> int:
    """Add up by the definition, in exact numbers."""
    total = 0
    for value, time in zip(values, times, strict=True):
        scaled = Fraction(value) * 2**scale
        whole = scaled.numerator // scaled.denominator
        fraction = (scaled - whole) * 2**63
        assert fraction.denominator == 1  # Nothing is lost.
        total += (whole * MIX + int(fraction)) * (2 * time + 1)
    return total % 2**64


@settings(max_examples=40)
@given(tables)
def test_it_is_what_the_definition_says(table: list[Row]) -> None:
    frame = make_frame(table)
    found = checksum_frame(frame)

    months: dict[tuple[int, int, str, int], list[int]] = {}
    for place, time in enumerate(frame.time_us.tolist()):
        moment = datetime.fromtimestamp(time / 1e6, UTC).replace(day=1, hour=0)
        key = (table[place][0], table[place][1], frame.quotes[table[place][2]], int(moment.timestamp()) * 1_000_000)
        months.setdefault(key, []).append(place)
    assert found.keys() == months.keys()
    for key, places in months.items():
        times = [int(frame.time_us[place]) for place in places]
        counts = [int(frame.trade_count[place]) for place in places]
        counted = [count for count in counts if count != INT_NULL]
        weighted = sum(c * (2 * t + 1) for c, t in zip(counts, times, strict=True) if c != INT_NULL)
        checksum = found[key]
        assert (checksum.rows, checksum.first_us, checksum.last_us) == (len(places), min(times), max(times))
        assert (checksum.counted, checksum.trades) == (len(counted), sum(counted))
        columns = [
            [getattr(frame, name)[place].item() for place in places] for name in ("open", "high", "low", "close")
        ]
        volumes = [frame.volume[place].item() for place in places]
        sums = [weighted % 2**64, *(slow(column, times, 30) for column in columns), slow(volumes, times, 16)]
        assert list(checksum.sums) == sums
        assert checksum.exact


@settings(max_examples=40)
@given(tables, st.randoms(use_true_random=False), st.integers(0, 30))
def test_order_and_cuts_do_not_matter(table: list[Row], chance: object, cut: int) -> None:
    whole = checksum_frame(make_frame(table))
    shuffled = list(table)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random

    parts: dict[object, Checksum] = {}
    for part in (shuffled[:cut], shuffled[cut:]):
        for key, checksum in checksum_frame(make_frame(part)).items() if part else ():
            if key in parts:
                parts[key].add(checksum)
            else:
                parts[key] = checksum

    assert parts == whole


@settings(max_examples=40)
@given(tables, st.data())
def test_a_change_of_one_bit_changes_it(table: list[Row], data: st.DataObject) -> None:
    frame = make_frame(table)
    name = data.draw(st.sampled_from(("open", "high", "low", "close", "volume")))
    row = data.draw(st.integers(0, len(table) - 1))
    column = getattr(frame, name).copy()
    bits = struct.unpack("<Q", struct.pack("<d", column[row]))[0] ^ (1 << data.draw(st.integers(0, 63)))
    column[row] = struct.unpack("<d", struct.pack("<Q", bits))[0]
    assume(np.isfinite(column[row]))

    changed = checksum_frame(replace(frame, **{name: column}))

    before = checksum_frame(frame)
    assert changed != before or not all(checksum.exact for checksum in changed.values())


@given(st.sampled_from(("open", "high", "low", "close", "volume")), st.sampled_from((0.0, 5e-324, 1e-13, 1e300, 1e308)))
def test_what_cannot_be_exact_says_so(name: str, value: float) -> None:
    frame = make_frame([(1, 60, 0, 0, (1.0, 1.0, 1.0, 1.0), 1.0, 1)])

    [checksum] = checksum_frame(replace(frame, **{name: np.array([value])})).values()

    assert not checksum.exact


def test_every_column_has_its_sum() -> None:
    assert len(fields(Frame)) == 12  # A new column needs a place in the fingerprint.

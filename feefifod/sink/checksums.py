"""A fingerprint of each series and month, worked out by the server and, of a frame, by us: equal rows, equal numbers.

A sum of doubles depends on the order of its terms, a sum of integers does not, not even when it overflows (modulo
2^64). So each double becomes an integer, exactly: `x * SCALE` is split at its point, both halves fit into 63 bits, and
`whole * MIX + fraction` is multiplied by an odd number made of the row's time, so that values that changed places
are noticed too. Nothing is rounded on the way, because scales are powers of two. Doubles that are too large or too
small for that, and zeros (which a tiny number would look like), make a fingerprint inexact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from feefifod.model import INT_NULL
from feefifod.sink.sql import Identifier, Instant, load_statements, render

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from feefifod.model import Frame, Source
    from feefifod.sink.sql import QuestDBClient

_SQL: Final = load_statements("checksums.sql")
SUMS: Final = _SQL["sums"].rstrip(";")
"""The columns that make up a fingerprint, of whichever rows a statement groups."""

_SECONDS: Final = 300.0

_MIX: Final = np.uint64(6_364_136_223_846_793_005)
_HALF: Final = 63
_PRICE_SCALE: Final = 30
_VOLUME_SCALE: Final = 16
_LEAST: Final = 11
"""A double from 2^-(scale + 11) up to 2^(63 - scale) is split without a loss: its last bit is 2^-52 of its first."""

SeriesMonth = tuple[int, int, str, int]
"""asset_id, interval_minutes, quote, and the month's first instant in microseconds since 1970 UTC."""


@dataclass(slots=True)
class Checksum:
    """The fingerprint of the rows of one series and month.

    Attributes:
        first_us, last_us: the oldest and the newest row.
        counted: rows with a trade count. trades: its sum.
        price_least, price_most, volume_least, volume_most: the extremes; NaN where they are unknown.
        sums: of trade count, open, high, low, close and volume, modulo 2^64.
    """

    rows: int
    first_us: int
    last_us: int
    counted: int
    trades: int
    price_least: float
    price_most: float
    volume_least: float
    volume_most: float
    sums: tuple[int, ...]

    @property
    def exact(self) -> bool:
        """Whether equal fingerprints mean equal rows."""
        return _fits(self.price_least, self.price_most, _PRICE_SCALE) and _fits(
            self.volume_least, self.volume_most, _VOLUME_SCALE
        )

    def add(self, other: Checksum) -> None:
        """Take in other rows of the same series and month."""
        self.rows += other.rows
        self.first_us = min(self.first_us, other.first_us)
        self.last_us = max(self.last_us, other.last_us)
        self.counted += other.counted
        self.trades += other.trades
        self.price_least = min(self.price_least, other.price_least)
        self.price_most = max(self.price_most, other.price_most)
        self.volume_least = min(self.volume_least, other.volume_least)
        self.volume_most = max(self.volume_most, other.volume_most)
        self.sums = tuple((one + two) % 2**64 for one, two in zip(self.sums, other.sums, strict=True))


def _fits(least: float, most: float, scale: int) -> bool:
    return least >= 2.0 ** -(scale + _LEAST) and most < 2.0 ** (_HALF - scale)


async def read_checksums(
    client: QuestDBClient,
    table: str,
    *,
    source: Source,
    assets: Collection[int],
    intervals: Collection[int],
    first_us: int,
    last_us: int,
) -> dict[SeriesMonth, Checksum]:
    """Let the server work out the fingerprints of many series at once, between two instants, both included."""
    sql = render(
        _SQL["read_checksums"].replace("<sums>", SUMS),
        table=Identifier(table),
        source=str(source),
        assets=tuple(sorted(assets)),
        intervals=tuple(sorted(intervals)),
        first=Instant(first_us),
        last=Instant(last_us),
    )
    answer = await client.query(sql, timeout_seconds=_SECONDS)
    return {(row[0], row[1], row[2], row[3]): read_checksum(row[4:]) for row in answer.rows}


def read_checksum(row: list[Any]) -> Checksum:
    """Read what the columns of `SUMS` say."""
    rows, first, last, counted, trades, *extremes = row[:9]
    least_price, most_price, least_volume, most_volume = (
        np.nan if value is None else float(value) for value in extremes
    )
    sums = tuple((value or 0) % 2**64 for value in row[9:])
    return Checksum(rows, first, last, counted, trades or 0, least_price, most_price, least_volume, most_volume, sums)


@dataclass(frozen=True, slots=True)
class Months:
    """The rows of a frame by series and month, in the order of time within each.

    Attributes:
        order: row numbers, one month after the other. starts: where in `order` each month begins.
        keys: which month that is.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    keys: list[SeriesMonth]

    def rows(self) -> dict[SeriesMonth, NDArray[np.int64]]:
        """Return the row numbers of each month."""
        return dict(zip(self.keys, np.split(self.order, self.starts[1:]), strict=True))


def group_months(frame: Frame) -> Months:
    """Group the rows of a frame, which has some, by series and month."""
    months = frame.time_us.view("datetime64[us]").astype("datetime64[M]")
    series = (
        (frame.asset_id.astype(np.int64) << 32) | (frame.quote_code.astype(np.int64) << 16) | frame.interval_minutes
    )
    order = np.lexsort((months, series))
    months, series = months[order], series[order]
    changes = (months[1:] != months[:-1]) | (series[1:] != series[:-1])
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    heads = order[starts]
    return Months(
        order,
        starts,
        list(
            zip(
                frame.asset_id[heads].tolist(),
                frame.interval_minutes[heads].tolist(),
                [frame.quotes[code] for code in frame.quote_code[heads].tolist()],
                months[starts].astype("datetime64[us]").view(np.int64).tolist(),
                strict=True,
            )
        ),
    )


def checksum_frame(frame: Frame) -> dict[SeriesMonth, Checksum]:
    """Work out the fingerprints of a frame, which has rows, as the server does."""
    months = group_months(frame)
    columns = _sum_up(frame, months.order, months.starts)
    names = [name for name in columns if name != "sums"]
    values = zip(*(columns[name].tolist() for name in names), strict=True)
    sums = columns["sums"].T.tolist()
    return {
        key: Checksum(**dict(zip(names, row, strict=True)), sums=tuple(totals))
        for key, row, totals in zip(months.keys, values, sums, strict=True)
    }


def _sum_up(frame: Frame, order: NDArray[np.int64], starts: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return one array for each field of `Checksum`, with a value for each run of rows that begins at `starts`."""
    time_us = frame.time_us[order]
    weight = time_us.view(np.uint64) * np.uint64(2) + np.uint64(1)
    counted = frame.trade_count[order] != INT_NULL
    trades = np.where(counted, frame.trade_count[order], 0).astype(np.int64)
    prices = [frame.open[order], frame.high[order], frame.low[order], frame.close[order]]
    volume = frame.volume[order]
    terms = [trades.view(np.uint64), *(_split(price, _PRICE_SCALE) for price in prices), _split(volume, _VOLUME_SCALE)]
    return {
        "rows": np.diff(np.append(starts, len(time_us))),
        "first_us": np.minimum.reduceat(time_us, starts),
        "last_us": np.maximum.reduceat(time_us, starts),
        "counted": np.add.reduceat(counted.astype(np.int64), starts),
        "trades": np.add.reduceat(trades, starts),
        "price_least": np.minimum.reduceat(np.minimum.reduce(prices), starts),
        "price_most": np.maximum.reduceat(np.maximum.reduce(prices), starts),
        "volume_least": np.minimum.reduceat(volume, starts),
        "volume_most": np.maximum.reduceat(volume, starts),
        "sums": np.stack([np.add.reduceat(term * weight, starts) for term in terms]),
    }


def _split(values: NDArray[np.float64], scale: int) -> NDArray[np.uint64]:
    """Turn doubles into integers; what does not fit becomes some number, and the fingerprint is inexact."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = values * 2.0**scale
        whole = np.floor(scaled)
        fits = whole < 2.0**_HALF
        fraction = np.where(fits, scaled - whole, 0.0) * 2.0**_HALF
    whole = np.where(fits, whole, 0.0)
    return whole.astype(np.int64).view(np.uint64) * _MIX + fraction.astype(np.int64).view(np.uint64)


@dataclass(frozen=True, slots=True)
class StoredRows:
    """The rows of one series in the table, by time.

    Attributes:
        time_us: int64. values: float64, one row each for open, high, low, close and volume; NaN for NULL.
        trade_count: int32, `INT_NULL` for NULL.
    """

    time_us: NDArray[np.int64]
    values: NDArray[np.float64]
    trade_count: NDArray[np.int32]


async def read_candles(
    client: QuestDBClient,
    table: str,
    *,
    source: Source,
    asset_id: int,
    interval_minutes: int,
    quote: str,
    first_us: int,
    last_us: int,
) -> StoredRows:
    """Read the rows of one series between two instants, both included; QuestDB's JSON keeps every bit of a double."""
    sql = render(
        _SQL["read_candles"],
        table=Identifier(table),
        source=str(source),
        asset_id=asset_id,
        interval_minutes=interval_minutes,
        quote=quote,
        first=Instant(first_us),
        last=Instant(last_us),
    )
    rows = (await client.query(sql, timeout_seconds=_SECONDS)).rows
    return StoredRows(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1:6] for row in rows], np.float64).reshape(-1, 5).T,
        np.array([INT_NULL if row[6] is None else row[6] for row in rows], np.int32),
    )

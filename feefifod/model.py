"""The types that travel between the layers: pure data, no behaviour that touches the outside."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INTERVALS: Final = (1, 5, 15, 30, 60, 240, 720, 1440)
"""Minutes of a candle, as Kraken's archive has them (facts: Kraken support article 360047124832)."""

INT_NULL: Final = -(2**31)
"""What QuestDB stores for a NULL in an INT column; stands for "no trade count" in `Candles` and `Frame`."""


class Category(StrEnum):
    """What an asset is; it decides which source and calendar apply."""

    STOCK = "STOCK"
    CRYPTO = "CRYPTO"
    COMMODITY = "COMMODITY"
    CURRENCY = "CURRENCY"


class Tier(StrEnum):
    """How much an asset matters; files can be filtered by it."""

    TIER1 = "TIER1"
    TIER2 = "TIER2"
    TIER3 = "TIER3"
    TIER4 = "TIER4"


class Source(StrEnum):
    """Where rows came from: the `source` column."""

    KRAKEN = "kraken"
    MASSIVE = "massive"
    FINNHUB = "finnhub"


@dataclass(frozen=True, slots=True)
class Pair:
    """A Kraken pair, split.

    Attributes:
        altname: as the file has it, `XBTUSD`.
        base: Kraken's code of the base, `XBT`.
        ticker: the common code of the base, `BTC`.
        quote: the common code of the quote, `USD`.
        category: CURRENCY when the base is fiat money, else CRYPTO.
    """

    altname: str
    base: str
    ticker: str
    quote: str
    category: Category


class Membership(NamedTuple):
    """What a file in scratch space is a copy of; said by the process that made it, never read out of its path.

    Attributes:
        place: the member's path when it is unpacked, see `discover.Member`.
    """

    zip_sha256: bytes
    place: str


@dataclass(frozen=True, slots=True)
class Asset:
    """A row of PostgreSQL's `asset`."""

    id: int
    ticker: str
    name: str
    category: Category
    tier: Tier
    quote_currency: str
    description: str
    active: bool


@dataclass(frozen=True, slots=True)
class Candles:
    """The good rows of one piece of one file, as equally long arrays, in the file's order.

    Attributes:
        time_seconds: int64, unix seconds UTC, the start of the interval.
        open, high, low, close, volume: float64, finite and not negative.
        trade_count: int32, `INT_NULL` where the file has no such column.
    """

    time_seconds: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    trade_count: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.time_seconds)


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows of many series, ready for the sink: sorted by time, each DEDUP key once.

    Attributes:
        time_us: int64, microseconds since 1970 UTC.
        asset_id, interval_minutes: int32.
        open, high, low, close, volume: float64.
        trade_count: int32, `INT_NULL` for NULL.
        quote_code: int32, index into `quotes`.
        quotes: the quote currencies of this frame.
        source: one for the whole frame.
    """

    time_us: NDArray[np.int64]
    asset_id: NDArray[np.int32]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    interval_minutes: NDArray[np.int32]
    trade_count: NDArray[np.int32]
    quote_code: NDArray[np.int32]
    quotes: tuple[str, ...]
    source: Source

    def __len__(self) -> int:
        return len(self.time_us)


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One line of candles that files feed: the asset by its natural key, for it may not exist yet."""

    ticker: str
    category: Category
    quote: str
    interval_minutes: int


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells one state of a file from another; a writer cannot set `ctime_ns` back."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class FileState(StrEnum):
    """The life of a drop in the ledger.

    waiting → loading → moving → done, rejected, duplicate or empty. `moving` means: what becomes of it is
    decided and recorded (for `done`: its rows are proven to be in the table), and the file still has to go there.
    """

    WAITING = "waiting"
    LOADING = "loading"
    MOVING = "moving"
    DONE = "done"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    EMPTY = "empty"

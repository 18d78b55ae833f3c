"""Which pairs a synthetic archive holds, and since when each of them trades."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from feefifod.model import INTERVALS

QUOTES: Final = ("USD", "EUR")


@dataclass(frozen=True, slots=True)
class PairShape:
    """What the candles of one pair look like.

    Attributes:
        altname: as Kraken names the file.
        start: the first day with trades.
        price: about where the price ends.
        decimals: of a price.
        activity: how much is traded, against the largest pair.
    """

    altname: str
    start: date
    price: float
    decimals: int
    activity: float


# First bars as in Kraken's archive (facts: "First bars"). Where nothing is known of a euro pair, it starts with the
# dollar pair.
_KNOWN: Final = (
    ("XBT", date(2013, 10, 6), 90_000.0, 1, 1.0),
    ("ETH", date(2015, 8, 7), 3_000.0, 2, 0.8),
    ("LTC", date(2013, 10, 24), 80.0, 2, 0.3),
    ("XRP", date(2017, 5, 18), 2.0, 5, 0.5),
    ("ADA", date(2018, 9, 28), 0.4, 6, 0.35),
    ("SOL", date(2021, 6, 17), 130.0, 2, 0.6),
    ("XDG", date(2019, 12, 19), 0.13, 7, 0.4),
    ("LINK", date(2019, 9, 25), 13.0, 5, 0.3),
    ("XMR", date(2017, 1, 2), 400.0, 2, 0.25),
    ("ZEC", date(2016, 10, 29), 400.0, 2, 0.15),
)
_KNOWN_STARTS: Final = {"XBTEUR": date(2013, 9, 10)}
_LATER_NAMES: Final = """
    ETC BCH XLM XTZ DOT ATOM ALGO AAVE UNI FIL TRX AVAX SHIB MATIC NEAR ICP APT VET GRT FTM FLOW KSM COMP SNX
    SUSHI YFI ENS CAKE BAT ENJ GALA MANA SAND AXS CHZ CRV LRC REN ZRX BAL KNC QTUM OMG ANKR STORJ BNT OCEAN NMR
    BAND BADGER PERP RUNE SRM TRB UMA LPT RARI OXT REP GNO ICX SC LSK NANO WAVES PAXG DASH EOS MLN KAVA KEEP
    CTSI GHST MOVR SDN KAR KILT BNC PHA ACA ASTR GLMR IMX SPELL FXS ALICE RAD MIR MINA INJ KINT
"""
_LATER: Final = tuple(_LATER_NAMES.split())
_FIRST_LATER: Final = date(2017, 3, 1)


def list_pairs(count: int) -> list[PairShape]:
    """Return the first `count` pairs: each base with both quotes, the well-known bases first, then made-up ones."""
    return [_shape(index // len(QUOTES), QUOTES[index % len(QUOTES)]) for index in range(count)]


def list_series(files: int) -> list[tuple[PairShape, list[int]]]:
    """Return the pairs of an archive of so many files, each with its intervals; the last one may lack some."""
    pairs = list_pairs(-(-files // len(INTERVALS)))
    return [(pair, list(INTERVALS[: files - index * len(INTERVALS)])) for index, pair in enumerate(pairs)]


def _shape(index: int, quote: str) -> PairShape:
    weight = 1.0 if quote == "USD" else 0.8
    if index < len(_KNOWN):
        base, start, price, decimals, activity = _KNOWN[index]
        start = _KNOWN_STARTS.get(base + quote, start)
        return PairShape(base + quote, start, price, decimals, activity * weight)
    index -= len(_KNOWN)
    base = _LATER[index] if index < len(_LATER) else _invent(index - len(_LATER))
    # Spread over the years in which Kraken listed them, and the prices over the decades, without any chance in it.
    start = _FIRST_LATER + timedelta(days=index * 23 % 2000)
    decade = index % 5 - 2
    return PairShape(base + quote, start, 3.0 * 10.0**decade, 4 - decade, 0.2 / (1 + index % 7) * weight)


def _invent(index: int) -> str:
    """Return a base that nobody has: Q, three letters, Q."""
    letters = [chr(ord("B") + index // 20**place % 20) for place in range(3)]
    return f"Q{''.join(letters)}Q"


def day_seconds(day: date) -> int:
    """Return the unix seconds at which a day begins (UTC)."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())

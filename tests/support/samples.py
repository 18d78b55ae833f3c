"""Files as Kraken's archive has them, made from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

START: Final = 1_700_006_400
"""2023-11-15 00:00 UTC, on the grid of every interval."""

_BASES: Final = {
    "XBT": "BTC",
    "ETH": "ETH",
    "XDG": "DOGE",
    "ADA": "ADA",
    "SOL": "SOL",
    "LTC": "LTC",
    "DOT": "DOT",
    "XRP": "XRP",
    "LINK": "LINK",
    "UNI": "UNI",
    "ATOM": "ATOM",
    "AVAX": "AVAX",
    "TRX": "TRX",
}
_QUOTES: Final = {"USD": "USD", "EUR": "EUR", "GBP": "GBP"}

PAIRS: Final = {
    **{f"{base}{quote}": (ticker, code) for base, ticker in _BASES.items() for quote, code in _QUOTES.items()},
    "BTCUSD": ("BTC", "USD"),
    "DOGEUSD": ("DOGE", "USD"),
    "ETHXBT": ("ETH", "BTC"),
}
"""Names of pairs, with the ticker and the quote that they mean."""


def spell(number: float, chance: random.Random) -> str:
    """Write a number in one of the ways that Kraken's files have."""
    way = chance.randrange(6)
    if way == 0 and number == int(number):
        return str(int(number))
    if way == 1:
        return f"{number:.10f}"
    if way == 2:
        return f"{number:.2E}".replace("E+0", "E+").replace("E-0", "E-")
    return repr(number)


def rows(
    count: int,
    *,
    interval: int = 1,
    start: int = START,
    seed: int = 1,
    trades: int | None = None,
    gaps: bool = False,
) -> list[str]:
    """Make candles in the order of time; `trades` fixes their trade count, `gaps` leaves some times out."""
    chance = random.Random(f"{seed}/{interval}/{start}")
    lines = []
    step = 0
    for _ in range(count):
        price = round(chance.lognormvariate(3, 2), chance.choice((0, 2, 5, 8)))
        high, low = price * (1 + chance.random() / 50), price * (1 - chance.random() / 50)
        prices = ",".join(spell(value, chance) for value in (price, max(high, price), low, price))
        volume = spell(round(chance.expovariate(0.1), 8), chance)
        lines.append(f"{start + step * interval * 60},{prices},{volume},{trades or chance.randrange(1, 900)}")
        step += chance.choice((1, 1, 1, 2, 7)) if gaps else 1
    return lines


def text(lines: Sequence[str]) -> bytes:
    """Join lines to a file."""
    return "".join(f"{line}\n" for line in lines).encode()


def file(count: int, **options: int | bool | None) -> bytes:
    """Make a file of candles; see `rows`."""
    return text(rows(count, **options))  # type: ignore[arg-type]  # The options are those of `rows`.

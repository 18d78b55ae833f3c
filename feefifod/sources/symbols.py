"""The vendors' names of assets, both ways.

Massive: `BRK.B`, `X:BTCUSD`, `C:EURUSD`. Finnhub: `BRK.B`, `BINANCE:BTCUSDT`, `OANDA:EUR_USD`. Stock tickers
are case-sensitive (`KIMpL` is a preferred share) and are left as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from feefifod.errors import BadInput
from feefifod.model import Category

if TYPE_CHECKING:
    from feefifod.config.backfills import FinnhubSettings

_TICKER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,31}")
_CODE: Final = re.compile(r"[A-Z0-9][A-Z0-9.]{0,31}")

_QUOTES: Final = ("USDT", "USDC", "USD", "EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "KRW", "BTC", "ETH")
"""What coins are quoted in, for reading a symbol back; a longer code comes before its own beginning."""

_SEPARATORS: Final = {"COINBASE": "-"}
"""Between the two codes of a coin's symbol at Finnhub; nothing at the other exchanges."""


class Market(StrEnum):
    """A market of Massive's grouped endpoint; assets of one market share its calls."""

    STOCKS = "stocks"
    CRYPTO = "crypto"
    FX = "fx"


@dataclass(frozen=True, slots=True)
class Symbol:
    """An asset as a vendor names it.

    Attributes:
        text: the vendor's name.
        quote_currency: what the vendor's prices are in.
    """

    text: str
    ticker: str
    category: Category
    quote_currency: str


def market_of(category: Category) -> Market:
    """Return the market an asset trades on: COMMODITY means exchange-traded funds such as GLD."""
    return {Category.CRYPTO: Market.CRYPTO, Category.CURRENCY: Market.FX}.get(category, Market.STOCKS)


def name_for_massive(ticker: str, category: Category, quote_currency: str) -> Symbol:
    """Return Massive's symbol. Stocks are in USD whatever the asset's own quote currency: it is the US market.

    Raises:
        BadInput: the asset has no symbol there.
    """
    if market_of(category) is Market.STOCKS:
        return Symbol(_check_ticker(ticker), ticker, category, "USD")
    base, quote = _check_pair(ticker, quote_currency, category)
    prefix = "X" if category is Category.CRYPTO else "C"
    return Symbol(f"{prefix}:{base}{quote}", ticker, category, quote)


def parse_massive(text: str, category: Category) -> Symbol:
    """Read Massive's symbol back; `category` tells stocks from funds, which look alike.

    Raises:
        BadInput: it is no symbol of this category.
    """
    prefix, colon, pair = text.rpartition(":")
    expected = {Market.STOCKS: "", Market.CRYPTO: "X", Market.FX: "C"}[market_of(category)]
    if prefix != expected or bool(colon) != bool(expected):
        raise BadInput(f"{text!r} is no {category} symbol of Massive")
    if not expected:
        return Symbol(text, _check_ticker(text), category, "USD")
    base, quote = (pair[:-3], pair[-3:]) if category is Category.CURRENCY else _split_coin(pair, text)
    _check_pair(base, quote, category)
    return Symbol(text, base, category, quote)


def name_for_finnhub(ticker: str, category: Category, quote_currency: str, settings: FinnhubSettings) -> Symbol:
    """Return Finnhub's symbol, at the exchange of the configuration.

    Raises:
        BadInput: the asset has no symbol there.
    """
    if market_of(category) is Market.STOCKS:
        return Symbol(_check_ticker(ticker), ticker, category, "USD")
    if category is Category.CRYPTO:
        base, quote = _check_pair(ticker, settings.crypto_quote, category)
        exchange, separator = settings.crypto_exchange, _SEPARATORS.get(settings.crypto_exchange, "")
    else:
        base, quote = _check_pair(ticker, quote_currency, category)
        exchange, separator = settings.forex_exchange, "_"
    return Symbol(f"{exchange}:{base}{separator}{quote}", ticker, category, quote)


def parse_finnhub(text: str, category: Category, settings: FinnhubSettings) -> Symbol:
    """Read Finnhub's symbol back.

    Raises:
        BadInput: it is no symbol of this category at the exchange of the configuration.
    """
    if market_of(category) is Market.STOCKS:
        return Symbol(text, _check_ticker(text), category, "USD")
    exchange, _, pair = text.rpartition(":")
    if category is Category.CRYPTO:
        expected, separator = settings.crypto_exchange, _SEPARATORS.get(settings.crypto_exchange, "")
    else:
        expected, separator = settings.forex_exchange, "_"
    if exchange != expected:
        raise BadInput(f"{text!r} is no {category} symbol of {expected}")
    if separator:
        base, _, quote = pair.partition(separator)
    elif pair.endswith(settings.crypto_quote):
        base, quote = pair.removesuffix(settings.crypto_quote), settings.crypto_quote
    else:
        base, quote = _split_coin(pair, text)
    _check_pair(base, quote, category)
    return Symbol(text, base, category, quote)


def _split_coin(pair: str, text: str) -> tuple[str, str]:
    for quote in _QUOTES:
        if pair.endswith(quote) and pair != quote:
            return pair.removesuffix(quote), quote
    raise BadInput(f"{text!r} ends in no known quote currency")


def _check_ticker(ticker: str) -> str:
    if not _TICKER.fullmatch(ticker):
        raise BadInput(f"{ticker!r} is not a stock ticker")
    return ticker


def _check_pair(base: str, quote: str, category: Category) -> tuple[str, str]:
    if not (_CODE.fullmatch(base) and _CODE.fullmatch(quote)):
        raise BadInput(f"{base!r} in {quote!r} is not a pair of upper-case codes")
    if category is Category.CURRENCY and not len(base) == len(quote) == 3:
        raise BadInput(f"{base!r} in {quote!r} is not a pair of currencies, which have three letters")
    if base == quote:
        raise BadInput(
            f"{base} cannot be quoted in itself",
            remedy=f"feefifod assets set {base} --quote-currency EUR, or --active no",
        )
    return base, quote

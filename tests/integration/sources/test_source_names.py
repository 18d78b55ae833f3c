"""Keys are found, assets are named as the vendors do, and paces keep the limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feefifod.config.backfills import FinnhubSettings, SourcesSettings
from feefifod.errors import BadInput, ConfigError
from feefifod.model import Category, Source
from feefifod.sources.keys import read_key
from feefifod.sources.pacing import spacing_seconds
from feefifod.sources.symbols import (
    Market,
    Symbol,
    market_of,
    name_for_finnhub,
    name_for_massive,
    parse_finnhub,
    parse_massive,
)

FINNHUB = SourcesSettings().finnhub


def _finnhub(**changes: str) -> FinnhubSettings:
    return FINNHUB.model_copy(update=changes)


@pytest.mark.parametrize(
    ("ticker", "category", "quote", "massive", "finnhub", "finnhub_quote"),
    [
        ("AAPL", Category.STOCK, "EUR", "AAPL", "AAPL", "USD"),
        ("BRK.B", Category.STOCK, "USD", "BRK.B", "BRK.B", "USD"),
        ("KIMpL", Category.STOCK, "USD", "KIMpL", "KIMpL", "USD"),
        ("GLD", Category.COMMODITY, "USD", "GLD", "GLD", "USD"),
        ("BTC", Category.CRYPTO, "USD", "X:BTCUSD", "BINANCE:BTCUSDT", "USDT"),
        ("T", Category.CRYPTO, "EUR", "X:TEUR", "BINANCE:TUSDT", "USDT"),
        ("EUR", Category.CURRENCY, "USD", "C:EURUSD", "OANDA:EUR_USD", "USD"),
        ("USD", Category.CURRENCY, "JPY", "C:USDJPY", "OANDA:USD_JPY", "JPY"),
    ],
)
def test_names(ticker: str, category: Category, quote: str, massive: str, finnhub: str, finnhub_quote: str) -> None:
    massive_quote = "USD" if market_of(category) is Market.STOCKS else quote

    assert name_for_massive(ticker, category, quote) == Symbol(massive, ticker, category, massive_quote)
    assert name_for_finnhub(ticker, category, quote, FINNHUB) == Symbol(finnhub, ticker, category, finnhub_quote)


def test_the_exchange_can_be_configured() -> None:
    settings = _finnhub(crypto_exchange="COINBASE", crypto_quote="BTC")

    symbol = name_for_finnhub("ETC", Category.CRYPTO, "USD", settings)

    assert (symbol.text, symbol.quote_currency) == ("COINBASE:ETC-BTC", "BTC")
    assert parse_finnhub(symbol.text, Category.CRYPTO, settings) == symbol


codes = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=8)
money = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3)
quotes = st.sampled_from(["USD", "EUR", "USDT", "BTC", "GBP"])


@given(codes, quotes, st.sampled_from(["BINANCE", "COINBASE"]))
def test_coins_can_be_read_back(ticker: str, quote: str, exchange: str) -> None:
    if ticker != quote:
        massive = name_for_massive(ticker, Category.CRYPTO, quote)
        assert parse_massive(massive.text, Category.CRYPTO) == massive
        settings = _finnhub(crypto_exchange=exchange, crypto_quote=quote)
        finnhub = name_for_finnhub(ticker, Category.CRYPTO, "USD", settings)
        assert parse_finnhub(finnhub.text, Category.CRYPTO, settings) == finnhub


@given(money, money)
def test_currencies_can_be_read_back(ticker: str, quote: str) -> None:
    if ticker != quote:
        massive = name_for_massive(ticker, Category.CURRENCY, quote)
        assert parse_massive(massive.text, Category.CURRENCY) == massive
        finnhub = name_for_finnhub(ticker, Category.CURRENCY, quote, FINNHUB)
        assert parse_finnhub(finnhub.text, Category.CURRENCY, FINNHUB) == finnhub


@given(
    st.from_regex(r"[A-Za-z]{1,5}([.\-][A-Za-z])?", fullmatch=True),
    st.sampled_from([Category.STOCK, Category.COMMODITY]),
)
def test_stocks_can_be_read_back(ticker: str, category: Category) -> None:
    massive = name_for_massive(ticker, category, "USD")

    assert parse_massive(massive.text, category) == massive
    assert parse_finnhub(ticker, category, FINNHUB) == massive


@given(st.text(max_size=12), st.sampled_from(Category), st.text(max_size=6))
def test_a_strange_name_never_reaches_an_address(ticker: str, category: Category, quote: str) -> None:
    try:
        symbol = name_for_massive(ticker, category, quote)
    except BadInput:
        return
    assert symbol.text.isascii()
    assert not set(symbol.text) & set("/?#%&\\ \n")
    assert symbol.text.strip(".") == symbol.text or market_of(category) is Market.STOCKS


@pytest.mark.parametrize(
    ("ticker", "category", "quote"),
    [("USD", Category.CURRENCY, "USD"), ("../x", Category.STOCK, "USD"), ("..", Category.STOCK, "USD"),
     ("", Category.STOCK, "USD"),
     ("btc", Category.CRYPTO, "USD"), ("EURO", Category.CURRENCY, "USD"), ("A/B", Category.STOCK, "USD")],
)  # fmt: skip
def test_what_has_no_symbol_is_refused(ticker: str, category: Category, quote: str) -> None:
    with pytest.raises(BadInput):
        name_for_massive(ticker, category, quote)


@pytest.mark.parametrize(
    ("text", "category"),
    [("BTCUSD", Category.CRYPTO), ("C:EURUSD", Category.CRYPTO), ("X:BTCUSD", Category.STOCK),
     ("X:USD", Category.CRYPTO),
     ("X:BTCXXX", Category.CRYPTO), ("C:EUR", Category.CURRENCY), (":AAPL", Category.STOCK), ("", Category.STOCK)],
)  # fmt: skip
def test_what_is_no_symbol_is_refused(text: str, category: Category) -> None:
    with pytest.raises(BadInput):
        parse_massive(text, category)
    if category is not Category.CURRENCY:
        with pytest.raises(BadInput):
            parse_finnhub(text, category, FINNHUB)


def test_the_key_comes_from_the_environment_first(tmp_path: Path) -> None:
    (tmp_path / "massive_api_key").write_text("from-systemd\n")
    environ = {"MASSIVE_API_KEY": " from-environment\n", "CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert read_key(Source.MASSIVE, environ).get_secret_value() == "from-environment"
    del environ["MASSIVE_API_KEY"]
    assert read_key(Source.MASSIVE, environ).get_secret_value() == "from-systemd"
    with pytest.raises(ConfigError, match="FINNHUB_API_KEY"):
        read_key(Source.FINNHUB, environ)


def test_a_missing_key_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="MASSIVE_API_KEY is not set"):
        read_key(Source.MASSIVE, {})
    with pytest.raises(ConfigError, match="FINNHUB_API_KEY is not set"):
        read_key(Source.FINNHUB, {"FINNHUB_API_KEY": "  "})


@pytest.mark.parametrize("key", ["two\nlines", "with space", "ümlaut", "nul\0"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="characters") as failure:
        read_key(Source.MASSIVE, {"MASSIVE_API_KEY": key})

    assert key not in str(failure.value)


def test_an_unreadable_credential_is_named(tmp_path: Path) -> None:
    (tmp_path / "massive_api_key").mkdir()

    with pytest.raises(ConfigError, match="massive_api_key"):
        read_key(Source.MASSIVE, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


@given(st.sampled_from([Source.MASSIVE, Source.FINNHUB]), st.floats(0.1, 60_000))
def test_the_spacing_keeps_every_limit(source: Source, calls_per_minute: float) -> None:
    spacing = spacing_seconds(source, calls_per_minute)

    assert 60 / spacing < calls_per_minute
    assert 1 / spacing < (30 if source is Source.FINNHUB else 100)

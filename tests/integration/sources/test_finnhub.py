"""Finnhub's answers become the right candles, or an error that says why not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from pydantic import SecretStr

from feefifod.config.backfills import SourcesSettings
from feefifod.errors import BadInput, Unavailable
from feefifod.model import Category
from feefifod.schedule.sessions import list_sessions
from feefifod.sources.candle import DayCandle
from feefifod.sources.failure import CategoryStopped, NotFound, SourceStopped
from feefifod.sources.finnhub import Finnhub
from feefifod.sources.symbols import Symbol, name_for_finnhub
from tests.integration.sources.conftest import PATIENCE, LocalPacer
from tests.support.fake_api import Document, Limit, respond
from tests.support.fake_finnhub import TOO_MANY, FakeFinnhub
from tests.support.fake_massive import make_bar

SETTINGS = SourcesSettings().finnhub
START, END = date(2026, 1, 5), date(2026, 6, 30)
STOCK = name_for_finnhub("AAPL", Category.STOCK, "USD", SETTINGS)
COIN = name_for_finnhub("BTC", Category.CRYPTO, "USD", SETTINGS)
CURRENCY = name_for_finnhub("EUR", Category.CURRENCY, "USD", SETTINGS)


def _expected(symbol: Symbol, session: date) -> DayCandle:
    bar = make_bar(symbol.text, session)
    return DayCandle(session, bar.o, bar.h, bar.l, bar.c, bar.v, None, symbol.quote_currency)


@pytest.mark.parametrize(
    ("symbol", "path", "quote"),
    [(STOCK, "/stock/candle", "USD"), (COIN, "/crypto/candle", "USDT"), (CURRENCY, "/forex/candle", "USD")],
)
async def test_candles_of_each_category(
    symbol: Symbol, path: str, quote: str, fake_finnhub: FakeFinnhub, finnhub: Finnhub
) -> None:
    sessions = list_sessions(symbol.category, START, END)
    fake_finnhub.trade(symbol.text, sessions)

    candles = await finnhub.read_range(symbol, START, sessions[-1])

    assert candles == tuple(_expected(symbol, session) for session in sessions)
    assert {candle.quote_currency for candle in candles} == {quote}
    call = fake_finnhub.calls[0]
    assert call.path == f"/api/v1{path}"
    assert call.query["symbol"] == symbol.text
    assert call.query["resolution"] == "D"
    assert call.headers["X-Finnhub-Token"] == fake_finnhub.key
    assert len(fake_finnhub.calls) == 1


@pytest.mark.parametrize("opening_times", [True, False])
async def test_odd_times_of_day_are_keyed_by_date(
    opening_times: bool, fake_finnhub: FakeFinnhub, finnhub: Finnhub
) -> None:
    sessions = list_sessions(Category.STOCK, START, END)
    fake_finnhub.trade("AAPL", sessions)
    fake_finnhub.odd_last, fake_finnhub.opening_times = True, opening_times

    assert [candle.session for candle in await finnhub.read_range(STOCK, START, END)] == list(sessions)


async def test_the_silently_missing_older_part_is_fetched(
    fake_finnhub: FakeFinnhub, finnhub: Finnhub, pacer: LocalPacer
) -> None:
    sessions = list_sessions(Category.STOCK, START, END)
    fake_finnhub.trade("AAPL", sessions)
    fake_finnhub.most_candles = 50

    assert await finnhub.read_range(STOCK, START, END) == tuple(_expected(STOCK, session) for session in sessions)
    assert len(fake_finnhub.calls) == pacer.slots == 3


async def test_a_failed_older_part_fails_the_asset(fake_finnhub: FakeFinnhub, finnhub: Finnhub) -> None:
    fake_finnhub.trade("AAPL", list_sessions(Category.STOCK, START, END))
    fake_finnhub.most_candles = 50
    fake_finnhub.change(lambda document: document)
    fake_finnhub.fail(respond(500), times=99)

    with pytest.raises(Unavailable):
        await finnhub.read_range(STOCK, START, END)


async def test_a_young_asset_costs_one_more_call(fake_finnhub: FakeFinnhub, finnhub: Finnhub) -> None:
    sessions = list_sessions(Category.STOCK, START + timedelta(days=60), END)
    fake_finnhub.trade("AAPL", sessions)

    assert len(await finnhub.read_range(STOCK, START, END)) == len(sessions)
    assert len(fake_finnhub.calls) == 2


async def test_no_data_is_not_an_error(fake_finnhub: FakeFinnhub, finnhub: Finnhub) -> None:
    assert await finnhub.read_range(COIN, START, END) == ()
    assert len(fake_finnhub.calls) == 1


@pytest.mark.parametrize("status", [403, 401])
async def test_premium_only_stops_the_category_with_the_vendors_reason(
    status: int, fake_finnhub: FakeFinnhub, finnhub: Finnhub
) -> None:
    fake_finnhub.premium, fake_finnhub.premium_status = {"stock/candle"}, status
    fake_finnhub.trade(COIN.text, [START])

    with pytest.raises(CategoryStopped, match="You don't have access to this resource"):
        await finnhub.read_range(STOCK, START, END)

    assert len(await finnhub.read_range(COIN, START, START)) == 1
    assert len(fake_finnhub.calls) == 2


async def test_a_wrong_key_stops_the_source(fake_finnhub: FakeFinnhub) -> None:
    """A missing one answers 429, which would otherwise be waited out."""
    async with Finnhub(f"{fake_finnhub.url}/api/v1", SecretStr("wrong"), LocalPacer(), patience=PATIENCE) as finnhub:
        with pytest.raises(SourceStopped, match="FINNHUB_API_KEY") as failure:
            await finnhub.read_range(STOCK, START, END)
        assert not isinstance(failure.value, CategoryStopped)

        fake_finnhub.fail(respond(429, {"error": "Please use an API key. You can sign up for a free account at ..."}))
        with pytest.raises(SourceStopped, match="FINNHUB_API_KEY"):
            await finnhub.read_range(STOCK, START, END)

    assert len(fake_finnhub.calls) == 2


async def test_both_limits_are_waited_out() -> None:
    limits = (Limit(6, 1.0), Limit(2, 0.1))
    async with FakeFinnhub(limits=limits) as fake:
        fake.trade(COIN.text, list_sessions(Category.CRYPTO, START, END))
        fake.most_candles = 18
        fake.fail(respond(429, TOO_MANY))
        pacer = LocalPacer(1.0 / 6 * 1.03)
        async with Finnhub(f"{fake.url}/api/v1", SecretStr(fake.key), pacer, patience=PATIENCE) as finnhub:
            candles = await finnhub.read_range(COIN, START, END)

    assert len(candles) == (END - START).days + 1
    assert fake.rejected == 0
    assert len(pacer.held) == 1


def _column(name: str, value: object) -> Callable[[Document], Document]:
    def mutation(document: Document) -> Document:
        document[name][3] = value
        return document

    return mutation


BAD_ANSWERS: dict[str, tuple[Callable[[Document], Document], str]] = {
    "short column": (lambda document: {**document, "v": document["v"][:-1]}, "differ in length"),
    "no column": (lambda document: {k: v for k, v in document.items() if k != "h"}, "missing"),
    "null": (_column("o", None), "open is missing"),
    "text": (_column("c", "1"), "close is not a number"),
    "negative": (_column("v", -1.0), "volume is negative"),
    "disordered": (_column("l", 9e11), "out of order"),
    "outside": (_column("t", 86400), "outside the request"),
    "milliseconds": (_column("t", 1767571200000), "out of range|outside"),
    "no time": (_column("t", None), "time is missing"),
}


@pytest.mark.parametrize(("mutation", "reason"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
async def test_an_answer_that_cannot_be_right_fails_the_asset(
    mutation: Callable[[Document], Document], reason: str, fake_finnhub: FakeFinnhub, finnhub: Finnhub
) -> None:
    fake_finnhub.trade("AAPL", list_sessions(Category.STOCK, START, END))
    fake_finnhub.change(mutation, times=2)

    with pytest.raises(BadInput, match=reason):
        await finnhub.read_range(STOCK, START, END)

    assert len(fake_finnhub.calls) == 2


async def test_a_day_twice_fails_the_asset(fake_finnhub: FakeFinnhub, finnhub: Finnhub) -> None:
    fake_finnhub.trade("AAPL", list_sessions(Category.STOCK, START, END))

    def twice(document: Document) -> Document:
        document["t"][3] = document["t"][2] + 3600
        return document

    fake_finnhub.change(twice, times=2)

    with pytest.raises(BadInput, match="two candles of 2026-01-07"):
        await finnhub.read_range(STOCK, START, END)


async def test_odd_answers(fake_finnhub: FakeFinnhub, finnhub: Finnhub) -> None:
    fake_finnhub.fail(respond(200, {"error": "internal"}), times=99)
    with pytest.raises(Unavailable, match="internal"):
        await finnhub.read_range(STOCK, START, END)


async def test_a_wrong_base_url_shows_as_not_found(fake_finnhub: FakeFinnhub, pacer: LocalPacer) -> None:
    async with Finnhub(f"{fake_finnhub.url}/v9", SecretStr(fake_finnhub.key), pacer, patience=PATIENCE) as finnhub:
        with pytest.raises(NotFound):
            await finnhub.read_range(STOCK, START, END)

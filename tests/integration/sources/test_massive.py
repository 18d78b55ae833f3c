"""Massive's answers become the right candles, or an error that says why not; never a part of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import SecretStr

from feefifod.errors import BadInput, Unavailable
from feefifod.model import Category
from feefifod.schedule.sessions import list_sessions
from feefifod.sources.candle import DayCandle, Split
from feefifod.sources.failure import CategoryStopped, NoData, NotYet, OutOfReach, SourceStopped
from feefifod.sources.massive import Massive
from feefifod.sources.symbols import Symbol, name_for_massive
from tests.integration.sources.conftest import PATIENCE, LocalPacer
from tests.support.fake_api import Document, redirect, respond
from tests.support.fake_massive import NOT_ENTITLED, FakeMassive, make_bar, make_split

START, END = date(2025, 2, 24), date(2025, 11, 28)
SESSIONS = list_sessions(Category.STOCK, START, END)
"""Both changes of the clocks are inside."""

STOCK = name_for_massive("AAPL", Category.STOCK, "USD")
SYMBOLS = {
    Category.STOCK: STOCK,
    Category.COMMODITY: name_for_massive("GLD", Category.COMMODITY, "USD"),
    Category.CRYPTO: name_for_massive("BTC", Category.CRYPTO, "USD"),
    Category.CURRENCY: name_for_massive("EUR", Category.CURRENCY, "USD"),
}


def _expected(symbol: Symbol, session: date) -> DayCandle:
    bar = make_bar(symbol.text, session)
    return DayCandle(session, bar.o, bar.h, bar.l, bar.c, bar.v, bar.n, symbol.quote_currency)


@pytest.mark.parametrize("category", Category)
async def test_range_and_grouped_give_the_same_rows(category: Category, fake: FakeMassive, massive: Massive) -> None:
    """Although their `t` differ, and New York's midnight moves with daylight saving."""
    symbol = SYMBOLS[category]
    sessions = list_sessions(category, START, END)
    fake.trade(symbol.text, sessions)
    around_clock_changes = [day for day in sessions if (day.month, day.day) in ((3, 7), (3, 10), (10, 31), (11, 3))]

    ranged = await massive.read_range(symbol, sessions[0], sessions[-1])
    grouped = [await massive.read_grouped(day, [symbol]) for day in around_clock_changes]

    assert ranged == tuple(_expected(symbol, day) for day in sessions)
    assert len({day.candles[symbol.text] for day in grouped}) == 4
    assert {day.candles[symbol.text] for day in grouped} <= set(ranged)


async def test_the_request_is_complete(fake: FakeMassive, massive: Massive) -> None:
    fake.trade("X:BTCUSD", [START])

    await massive.read_range(SYMBOLS[Category.CRYPTO], START, END)

    call = fake.calls[0]
    assert call.path == f"/v2/aggs/ticker/X:BTCUSD/range/1/day/{START}/{END}"
    assert call.query == {"adjusted": "true", "sort": "asc", "limit": "50000"}
    assert call.headers["Authorization"] == f"Bearer {fake.key}"
    assert call.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("ticker", ["BRK.B", "KIMpL", "KIMPL", "T", "BF-B"])
async def test_class_shares_and_lower_case_survive(ticker: str, fake: FakeMassive, massive: Massive) -> None:
    symbol = name_for_massive(ticker, Category.STOCK, "USD")
    fake.trade(ticker, SESSIONS[:2])
    fake.trade(ticker.swapcase(), SESSIONS[:2])

    assert await massive.read_range(symbol, SESSIONS[0], SESSIONS[1]) == tuple(
        _expected(symbol, day) for day in SESSIONS[:2]
    )
    assert (await massive.read_grouped(SESSIONS[0], [symbol])).candles == {ticker: _expected(symbol, SESSIONS[0])}


async def test_every_page_is_followed(fake: FakeMassive, massive: Massive, pacer: LocalPacer) -> None:
    fake.trade("AAPL", SESSIONS)
    fake.page_size = 50

    assert len(await massive.read_range(STOCK, START, END)) == len(SESSIONS)
    assert len(fake.calls) == pacer.slots == 4
    # The key that the vendor planted in next_url was dropped: the fixture checks that no call has one in its address.
    assert [call.query.get("cursor") for call in fake.calls] == [None, "50", "100", "150"]


async def test_a_failed_page_fails_the_asset(fake: FakeMassive, massive: Massive) -> None:
    fake.trade("AAPL", SESSIONS)
    fake.page_size = 50
    fake.change(lambda document: document, times=2)
    fake.fail(respond(500), times=99)

    with pytest.raises(Unavailable):
        await massive.read_range(STOCK, START, END)


async def test_a_next_page_elsewhere_is_refused(fake: FakeMassive, massive: Massive) -> None:
    fake.trade("AAPL", SESSIONS)
    fake.page_size = 50
    async with FakeMassive(key=fake.key) as elsewhere:
        fake.next_base = elsewhere.url

        with pytest.raises(BadInput, match="another host"):
            await massive.read_range(STOCK, START, END)

        assert elsewhere.calls == []


@pytest.mark.parametrize(
    "base", ["https://evil.example", "https://api.massive.com.evil.example", "https://api.massive.com@evil.example",
             "http://api.massive.com", "//evil.example", "file:///etc", "https://api.massive.com:8443"],
)  # fmt: skip
async def test_hosts_that_look_right_are_refused(base: str, fake: FakeMassive, massive: Massive) -> None:
    fake.trade("AAPL", SESSIONS)
    fake.page_size = 50
    fake.next_base = base

    with pytest.raises(BadInput):
        await massive.read_range(STOCK, START, END)

    assert len(fake.calls) == 1


async def test_a_gateway_may_hand_on_the_vendors_addresses(fake: FakeMassive, massive: Massive) -> None:
    fake.trade("AAPL", SESSIONS)
    fake.page_size = 100
    fake.next_base = "https://api.massive.com"

    assert len(await massive.read_range(STOCK, START, END)) == len(SESSIONS)


async def test_pages_without_end_end(fake: FakeMassive, massive: Massive) -> None:
    """A server whose next page is the same page again."""
    fake.trade("AAPL", SESSIONS[:3])

    def loop(document: Document) -> Document:
        return {**document, "next_url": f"{fake.url}{fake.calls[0].path}"}

    fake.change(loop, times=9999)

    with pytest.raises(BadInput, match="twice"):
        await massive.read_range(STOCK, START, END)

    assert len(fake.calls) < 10


@pytest.mark.parametrize("results", ["missing", "null", "empty"])
async def test_empty_under_load_is_asked_again(results: str, fake: FakeMassive, massive: Massive) -> None:
    """An OK with nothing in it came for real trading days (a retry worked)."""
    fake.trade("AAPL", SESSIONS)

    def empty(document: Document) -> Document:
        rest = {name: value for name, value in document.items() if name != "results"} | {"resultsCount": 0}
        return rest if results == "missing" else {**rest, "results": None if results == "null" else []}

    fake.change(empty)
    assert len(await massive.read_range(STOCK, START, END)) == len(SESSIONS)

    fake.change(empty)
    assert len((await massive.read_grouped(SESSIONS[0], [STOCK])).candles) == 1


async def test_wholly_empty_is_reported_and_never_done(fake: FakeMassive, massive: Massive) -> None:
    with pytest.raises(NoData, match="AAPL"):
        await massive.read_range(STOCK, START, END)
    with pytest.raises(NoData, match="stocks"):
        await massive.read_grouped(START, [STOCK])

    assert len(fake.calls) == 4


async def test_a_session_without_trades_is_simply_absent(fake: FakeMassive, massive: Massive) -> None:
    other = name_for_massive("THIN", Category.STOCK, "USD")
    fake.trade("AAPL", SESSIONS)
    fake.trade("THIN", SESSIONS[::2])

    assert [candle.session for candle in await massive.read_range(other, START, END)] == list(SESSIONS[::2])
    grouped = await massive.read_grouped(SESSIONS[1], [STOCK, other])
    assert (set(grouped.candles), grouped.refused) == ({"AAPL"}, {})


def _row(**changes: object) -> Callable[[Document], Document]:
    """Change the second row of an answer."""

    def mutation(document: Document) -> Document:
        document["results"][1].update(changes)
        return document

    return mutation


def _without(name: str) -> Callable[[Document], Document]:
    def mutation(document: Document) -> Document:
        del document["results"][1][name]
        return document

    return mutation


def _twice(document: Document) -> Document:
    rows = [*document["results"], document["results"][1]]
    return {**document, "results": rows, "resultsCount": len(rows)}


BAD_ROWS: dict[str, tuple[Callable[[Document], Document], str]] = {
    "no open": (_without("o"), "open is missing"),
    "null close": (_row(c=None), "close is missing"),
    "text": (_row(h="12"), "high is not a number"),
    "bool": (_row(v=True), "volume is not a number"),
    "infinite": (_row(h=10**400), "high is not finite"),
    "negative": (_row(l=-1), "low is negative"),
    "disordered": (_row(l=9e11), "out of order"),
    "no time": (_without("t"), "time is missing"),
    "time far away": (_row(t=10**300), "out of range"),
    "count": (_row(n=1.5), "not a trade count"),
    "huge count": (_row(n=2**31), "not a trade count"),
}
BAD_ANSWERS: dict[str, tuple[Callable[[Document], Document], str]] = {
    **BAD_ROWS,
    "outside": (_row(t=1262304000000), "outside the request"),
    "twice": (_twice, "twice"),
    "other ticker": (lambda document: {**document, "ticker": "AAPLW"}, "AAPLW"),
    "no ticker": (lambda document: {k: v for k, v in document.items() if k != "ticker"}, "about None"),
    "rows missing": (lambda document: {**document, "results": document["results"][1:]}, "announced"),
    "unadjusted": (lambda document: {**document, "adjusted": False}, "adjusted"),
    "not rows": (lambda document: {**document, "results": [1], "resultsCount": 1}, "not a list of rows"),
}


@pytest.mark.parametrize(("mutation", "reason"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
async def test_an_answer_that_cannot_be_right_fails_the_asset(
    mutation: Callable[[Document], Document], reason: str, fake: FakeMassive, massive: Massive
) -> None:
    fake.trade("AAPL", SESSIONS)
    fake.change(mutation, times=2)

    with pytest.raises(BadInput, match=reason):
        await massive.read_range(STOCK, START, END)

    assert len(fake.calls) == 2
    assert len(await massive.read_range(STOCK, START, END)) == len(SESSIONS)  # The server is well again.


@pytest.mark.parametrize(("mutation", "reason"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
async def test_a_bad_row_of_a_grouped_day_fails_only_its_asset(
    mutation: Callable[[Document], Document], reason: str, fake: FakeMassive, massive: Massive
) -> None:
    wanted = [name_for_massive(ticker, Category.STOCK, "USD") for ticker in ("A", "B", "C")]
    for symbol in wanted:
        fake.trade(symbol.text, SESSIONS[:1])
    fake.change(mutation)

    day = await massive.read_grouped(SESSIONS[0], wanted)

    assert set(day.candles) == {"A", "C"}
    assert list(day.refused) == ["B"]
    assert reason in day.refused["B"]


async def test_a_bad_row_that_nobody_wants_does_not_matter(fake: FakeMassive, massive: Massive) -> None:
    for ticker in ("AAPL", "B", "C"):
        fake.trade(ticker, SESSIONS[:1])
    fake.change(_row(o=None, T=["B"]))

    day = await massive.read_grouped(SESSIONS[0], [STOCK])

    assert (set(day.candles), day.refused) == ({"AAPL"}, {})


async def test_a_symbol_twice_in_a_grouped_day_is_refused(fake: FakeMassive, massive: Massive) -> None:
    fake.trade("A", SESSIONS[:1])
    fake.trade("AAPL", SESSIONS[:1])
    fake.change(_twice)

    day = await massive.read_grouped(SESSIONS[0], [STOCK])

    assert (dict(day.candles), set(day.refused)) == ({}, {"AAPL"})


async def test_grouped_keeps_markets_apart(fake: FakeMassive, massive: Massive) -> None:
    """BTC is also a fund on the US market."""
    fund = name_for_massive("BTC", Category.STOCK, "USD")
    fake.trade("BTC", SESSIONS[:1])
    fake.trade("X:BTCUSD", SESSIONS[:1])
    fake.trade("C:EURUSD", SESSIONS[:1])

    for symbol in (fund, SYMBOLS[Category.CRYPTO], SYMBOLS[Category.CURRENCY]):
        day = await massive.read_grouped(SESSIONS[0], [symbol])
        assert day.candles == {symbol.text: _expected(symbol, SESSIONS[0])}

    assert [call.path.rpartition("/")[0] for call in fake.calls] == [
        "/v2/aggs/grouped/locale/us/market/stocks",
        "/v2/aggs/grouped/locale/global/market/crypto",
        "/v2/aggs/grouped/locale/global/market/fx",
    ]


async def test_a_grouped_day_of_real_size(fake: FakeMassive, massive: Massive) -> None:
    for n in range(12_400):
        fake.trade(f"T{n}", SESSIONS[:1])
    wanted = [name_for_massive(f"T{n}", Category.STOCK, "USD") for n in range(0, 12_400, 7)]

    assert len((await massive.read_grouped(SESSIONS[0], wanted)).candles) == len(wanted)


async def test_the_texts_of_403_and_401_are_told_apart() -> None:
    now = datetime(2026, 11, 20, 4, 15, tzinfo=UTC)  # 23:15 in New York on the 19th.
    async with FakeMassive(now=lambda: now) as fake:
        fake.entitled = {"stocks"}
        fake.trade("AAPL", [date(2026, 11, 19), date(2026, 11, 18)])
        async with Massive(fake.url, SecretStr(fake.key), LocalPacer(), patience=PATIENCE) as massive:
            with pytest.raises(NotYet, match="not served yet"):
                await massive.read_grouped(date(2026, 11, 19), [STOCK])
            with pytest.raises(OutOfReach, match="history_days"):
                await massive.read_range(STOCK, date(2020, 1, 1), date(2026, 11, 18))
            with pytest.raises(CategoryStopped, match="entitled"):
                await massive.read_range(SYMBOLS[Category.CRYPTO], START, START)
            assert len(await massive.read_range(STOCK, date(2026, 11, 18), date(2026, 11, 18))) == 1
        async with Massive(fake.url, SecretStr("wrong"), LocalPacer(), patience=PATIENCE) as massive:
            with pytest.raises(SourceStopped, match="MASSIVE_API_KEY") as failure:
                await massive.read_range(STOCK, START, START)
            assert not isinstance(failure.value, CategoryStopped)
        assert len(fake.calls) == 5  # None of these was tried twice.


@pytest.mark.parametrize("name", ["error", "message"])
async def test_the_text_of_a_refusal_is_in_either_field(name: str, fake: FakeMassive, massive: Massive) -> None:
    fake.fail(respond(403, {"status": "NOT_AUTHORIZED", name: NOT_ENTITLED["message"]}))

    with pytest.raises(CategoryStopped, match="entitled"):
        await massive.read_range(STOCK, START, START)


async def test_delayed_is_as_good_as_ok_and_error_is_not(fake: FakeMassive, massive: Massive) -> None:
    fake.trade("AAPL", SESSIONS[:1])
    fake.change(lambda document: {**document, "status": "DELAYED"})
    assert len(await massive.read_range(STOCK, SESSIONS[0], SESSIONS[0])) == 1

    fake.change(lambda document: {"status": "ERROR", "error": "try later"}, times=99)
    with pytest.raises(Unavailable, match="try later"):
        await massive.read_range(STOCK, SESSIONS[0], SESSIONS[0])


async def test_splits(fake: FakeMassive, massive: Massive) -> None:
    days = [START + timedelta(days=n) for n in range(10)]
    fake.splits = [make_split(f"S{n}", day) for n, day in enumerate(days)]
    fake.page_size = 3

    assert await massive.read_splits(days[2], days[8]) == tuple(Split(f"S{n}", days[n]) for n in range(2, 9))
    assert len(fake.calls) == 3

    fake.has_splits = False
    with pytest.raises(CategoryStopped):
        await massive.read_splits(days[2], days[8])


async def test_a_base_url_with_a_path_and_a_closing_slash(fake: FakeMassive) -> None:
    """As a gateway may have; here the fake does not know the path, which shows that it was asked for."""
    async with Massive(f"{fake.url}/gate/", SecretStr(fake.key), LocalPacer(), patience=PATIENCE) as massive:
        with pytest.raises(BadInput):
            await massive.read_range(STOCK, START, START)

    assert fake.calls[0].path.startswith("/gate/v2/aggs/")


async def test_a_redirected_page_stops_the_source(fake: FakeMassive, massive: Massive) -> None:
    fake.trade("AAPL", SESSIONS)
    fake.page_size = 50
    fake.change(lambda document: document)
    fake.fail(redirect("https://evil.example/"))

    with pytest.raises(SourceStopped):
        await massive.read_range(STOCK, START, END)

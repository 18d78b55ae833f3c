"""A backfill from request to rows: what is asked, what is stored, what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from feefifod.backfill import Report, Request, Tools, run_backfill
from feefifod.backfill.fetch import Fetched
from feefifod.backfill.store import Store
from feefifod.errors import ConfigError, Refused
from feefifod.model import Asset, Category, Frame, Source
from feefifod.repartition import SilentListener, copy_table
from feefifod.sink import Lane, Receipt
from tests.integration.backfill.conftest import LAST, Bench, add_asset, paths, sessions
from tests.support.embedded import fetch, query
from tests.support.fake_api import respond

MARCH = date(2025, 3, 3)
EVERY_COLUMN = "asset_id, time, open, high, low, close, volume, trade_count, quote_currency, source, interval_minutes"


def counts(report: Report, asset: Asset) -> tuple[int, int, int, int]:
    result = report.results[asset.id]
    return result.created, result.updated, result.unchanged, result.no_trades


async def test_stores_what_is_missing(bench: Bench, tools: Tools) -> None:
    asset = await add_asset(tools, "BRK.B")
    days = sessions(MARCH)
    bench.massive.trade("BRK.B", days)

    report = await run_backfill(tools, Request(source=Source.MASSIVE, ticker="BRK.B", start=MARCH))

    assert not report.failed
    assert counts(report, asset) == (len(days), 0, 0, 0)
    bars = bench.massive.bars["BRK.B"]
    assert bench.rows(EVERY_COLUMN) == [
        [
            *(asset.id, f"{day}T00:00:00.000000Z", bars[day].o, bars[day].h, bars[day].l, bars[day].c, bars[day].v),
            *(bars[day].n, "USD", "massive", 1440),
        ]
        for day in days
    ]
    assert paths(bench.massive) == [f"/v2/aggs/ticker/BRK.B/range/1/day/2025-03-03/{LAST}"]


async def test_asks_nothing_again(bench: Bench, tools: Tools) -> None:
    asset = await add_asset(tools, "AAPL")
    days = sessions(MARCH)
    quiet = {days[2], days[-1]}
    bench.massive.trade("AAPL", set(days) - quiet)
    request = Request(source=Source.MASSIVE, ticker="AAPL", start=MARCH)
    first = await run_backfill(tools, request)
    asked = len(bench.massive.calls)

    second = await run_backfill(tools, request)

    assert counts(first, asset) == (len(days) - 2, 0, 0, 2)
    assert counts(second, asset) == (0, 0, len(days) - 2, 0)
    assert len(bench.massive.calls) == asked == 1


async def test_goes_on_in_the_copy_of_its_table(bench: Bench, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is copied into another partitioning between two answers; a copy waits for what is being stored."""
    first, second = await add_asset(tools, "AAPL"), await add_asset(tools, "MSFT")
    for asset in (first, second):
        bench.massive.trade(asset.ticker, sessions(MARCH))
    take, copied = Store.take, []

    async def copy_and_take(self: Store, batch: Sequence[Fetched]) -> None:
        await take(self, batch)
        if not copied:
            listener = SilentListener()
            copied.append(
                await copy_table(tools.client, bench.table, tools.copies, "YEAR", listener, patience_seconds=20.0)
            )

    monkeypatch.setattr(Store, "take", copy_and_take)
    report = await run_backfill(tools, Request(source=Source.MASSIVE, start=MARCH))

    assert not report.failed
    assert copied
    days = len(sessions(MARCH))
    assert [counts(report, asset)[0] for asset in (first, second)] == [days, days]
    assert len(bench.rows()) == 2 * days
    [[unit]] = query(bench.pair.questdb_url, f"SELECT partitionBy FROM tables() WHERE table_name = '{bench.table}'")[
        "dataset"
    ]
    assert unit == "YEAR"


async def test_asks_only_for_the_gap(bench: Bench, tools: Tools) -> None:
    asset = await add_asset(tools, "AAPL")
    bench.massive.trade("AAPL", sessions(date(2025, 2, 3)))
    for start, end in ((date(2025, 2, 3), date(2025, 2, 14)), (date(2025, 3, 3), date(2025, 3, 7))):
        await run_backfill(tools, Request(source=Source.MASSIVE, ticker="AAPL", start=start, end=end))

    report = await run_backfill(
        tools, Request(source=Source.MASSIVE, ticker="AAPL", start=date(2025, 2, 3), end=date(2025, 3, 7))
    )

    # The 17th was Presidents' Day.
    assert paths(bench.massive)[-1].endswith("/2025-02-18/2025-02-28")
    assert counts(report, asset) == (9, 0, 15, 0)


async def test_counts_created_updated_and_unchanged(bench: Bench, tools: Tools) -> None:
    asset = await add_asset(tools, "AAPL")
    days = sessions(MARCH)
    bench.massive.trade("AAPL", days[:-1])
    request = Request(source=Source.MASSIVE, ticker="AAPL", start=MARCH, again=True)
    await run_backfill(tools, request)
    bench.massive.trade("AAPL", days[-1:])
    bar = bench.massive.bars["AAPL"][days[3]]
    bench.massive.bars["AAPL"][days[3]] = replace(bar, v=bar.v + 1)

    report = await run_backfill(tools, request)

    assert counts(report, asset) == (1, 1, len(days) - 2, 0)
    stored = {row[0][:10]: row[1] for row in bench.rows("time, volume")}
    assert stored[str(days[3])] == bar.v + 1
    assert len(stored) == len(bench.rows()) == len(days)


async def test_range_and_grouped_give_the_same_rows(bench: Bench, tools: Tools) -> None:
    """The two endpoints time the same bar differently, and the clocks changed on 9 March."""
    days = sessions(date(2025, 3, 6), date(2025, 3, 11))
    stock = await add_asset(tools, "AAPL")
    fund = await add_asset(tools, "GLD", Category.COMMODITY)
    coin = await add_asset(tools, "BTC", Category.CRYPTO)
    await add_asset(tools, "OFF", active=False)
    span = {"start": days[0], "end": days[-1]}
    coin_days = sessions(**span, category=Category.CRYPTO)
    for symbol, its_days in (("AAPL", days), ("GLD", days), ("X:BTCUSD", coin_days), ("OFF", days)):
        bench.massive.trade(symbol, its_days)

    grouped = await run_backfill(tools, Request(source=Source.MASSIVE, grouped=True, **span))
    by_grouped = bench.rows(EVERY_COLUMN)
    ranged = [
        await run_backfill(tools, Request(source=Source.MASSIVE, ticker=asset.ticker, again=True, **span))
        for asset in (stock, fund, coin)
    ]

    assert [counts(grouped, asset) for asset in (stock, fund, coin)] == [(4, 0, 0, 0), (4, 0, 0, 0), (6, 0, 0, 0)]
    assert [counts(report, asset) for report, asset in zip(ranged, (stock, fund, coin), strict=True)] == [
        (0, 0, 4, 0),
        (0, 0, 4, 0),
        (0, 0, 6, 0),
    ]
    assert bench.rows(EVERY_COLUMN) == by_grouped
    asked = paths(bench.massive)[:-3]
    assert asked == [f"/v2/aggs/grouped/locale/us/market/stocks/{day}" for day in reversed(days)] + [
        f"/v2/aggs/grouped/locale/global/market/crypto/{day}" for day in reversed(coin_days)
    ]
    assert all(path.startswith("/v2/aggs/ticker/") for path in paths(bench.massive)[-3:])


async def test_takes_the_cheaper_way(bench: Bench, tools: Tools) -> None:
    """Five assets miss the last session, one of them nine more."""
    days = sessions(MARCH)
    tickers = ["AAPL", "MSFT", "NVDA", "TSLA"]
    for ticker in tickers:
        await add_asset(tools, ticker)
        bench.massive.trade(ticker, days)
    await run_backfill(tools, Request(source=Source.MASSIVE, start=MARCH, end=days[-2]))
    await add_asset(tools, "NEW")
    bench.massive.trade("NEW", days)
    before = len(bench.massive.calls)

    report = await run_backfill(tools, Request(source=Source.MASSIVE, start=MARCH))

    assert [path.split("/")[3] for path in paths(bench.massive)[before:]] == ["grouped", "ticker"]
    assert not report.failed
    assert len(bench.rows()) == 5 * len(days)


async def test_dry_run_shows_candles_and_writes_nothing(bench: Bench, tools: Tools) -> None:
    asset = await add_asset(tools, "AAPL")
    days = sessions(MARCH)
    bench.massive.trade("AAPL", days[:-1])
    request = Request(source=Source.MASSIVE, ticker="AAPL", start=MARCH)

    report = await run_backfill(tools, request, dry_run=True)

    assert [(preview.candle.session, preview.change) for preview in report.previews] == [
        (day, "new") for day in days[:-1]
    ]
    assert counts(report, asset)[0] == len(days) - 1
    tables = query(bench.pair.questdb_url, f"SELECT count() FROM tables() WHERE table_name = '{bench.table}'")
    assert tables["dataset"] == [[0]]
    for name in ("backfill_run", "no_trades", "split_basis"):
        assert await fetch(bench.dsn, f"SELECT count(*) FROM {name}") == 0

    await run_backfill(tools, request)
    bar = bench.massive.bars["AAPL"][days[0]]
    bench.massive.bars["AAPL"][days[0]] = replace(bar, v=7.5)
    again = await run_backfill(tools, replace(request, again=True), dry_run=True)

    assert [(preview.candle.session, preview.change) for preview in again.previews] == [(days[0], "changed")]
    assert 7.5 not in [row[0] for row in bench.rows("volume")]


async def test_a_failed_asset_stops_no_other(bench: Bench, tools: Tools) -> None:
    days = sessions(MARCH)
    good, bad, wrong, unnamed = [await add_asset(tools, ticker) for ticker in ("AAPL", "BAD", "ODD", "NO NAME")]
    for ticker in ("AAPL", "BAD", "ODD"):
        bench.massive.trade(ticker, days)
    bench.massive.fail(respond(500, "<html>sorry</html>"), times=50, path="/BAD/")
    bar = bench.massive.bars["ODD"][days[1]]
    bench.massive.bars["ODD"][days[1]] = replace(bar, h=bar.l - 1)

    report = await run_backfill(tools, Request(source=Source.MASSIVE, start=MARCH))

    assert counts(report, good) == (len(days), 0, 0, 0)
    assert {result.asset.ticker for result in report.failures} == {"BAD", "ODD", "NO NAME"}
    assert "HTTP 500" in report.results[bad.id].reasons[0]
    assert "out of order" in report.results[wrong.id].reasons[0]
    assert "not a stock ticker" in report.results[unnamed.id].reasons[0]
    assert {row[0] for row in bench.rows()} == {good.id}
    outcome = await fetch(bench.dsn, "SELECT outcome || assets_failed FROM backfill_run")
    assert outcome == "failed3"


async def test_one_bad_row_of_a_grouped_day_fails_its_asset_only(bench: Bench, tools: Tools) -> None:
    good, bad = await add_asset(tools, "AAPL"), await add_asset(tools, "BAD")
    for ticker in ("AAPL", "BAD"):
        bench.massive.trade(ticker, [LAST])
    bench.massive.bars["BAD"][LAST] = replace(bench.massive.bars["BAD"][LAST], v=-1.0)
    request = Request(source=Source.MASSIVE, start=LAST, grouped=True)

    report = await run_backfill(tools, request)

    assert counts(report, good) == (1, 0, 0, 0)
    assert report.results[bad.id].reasons == [f"{LAST}: volume is negative"]
    # What was refused is asked for again; it is not taken for a day without trades.
    assert counts(await run_backfill(tools, request), bad) == (0, 0, 0, 0)
    assert len(bench.massive.calls) == 2


async def test_a_wholly_empty_answer_is_never_done(bench: Bench, tools: Tools) -> None:
    asset = await add_asset(tools, "GONE")
    request = Request(source=Source.MASSIVE, ticker="GONE", start=MARCH)

    report = await run_backfill(tools, request)

    assert "no candle at all" in report.results[asset.id].reasons[0]
    assert len(bench.massive.calls) == 2
    bench.massive.trade("GONE", sessions(MARCH))
    assert counts(await run_backfill(tools, request), asset)[0] == len(sessions(MARCH))


async def test_an_unfinished_day_is_not_stored(bench: Bench, tools: Tools) -> None:
    """At 15:00 UTC on Friday, New York trades and coins always do; the API would give both candles."""
    stock, coin = await add_asset(tools, "AAPL"), await add_asset(tools, "BTC", Category.CRYPTO)
    today = bench.now.date()
    for symbol in ("AAPL", "X:BTCUSD"):
        bench.massive.trade(symbol, [LAST, today, today + timedelta(days=1)])

    report = await run_backfill(tools, Request(source=Source.MASSIVE, start=LAST, end=today + timedelta(days=1)))

    assert (counts(report, stock), counts(report, coin)) == ((1, 0, 0, 0), (1, 0, 0, 0))
    assert {row[1][:10] for row in bench.rows()} == {str(LAST)}
    bench.now = datetime(2025, 3, 15, 5, 0, tzinfo=UTC)
    again = await run_backfill(tools, Request(source=Source.MASSIVE, days=2))
    assert (counts(again, stock), counts(again, coin)) == ((1, 0, 1, 0), (1, 0, 1, 0))


async def test_a_plan_without_a_market_stops_that_category_only(bench: Bench, tools: Tools) -> None:
    stocks = [await add_asset(tools, ticker) for ticker in ("AAPL", "MSFT", "NVDA")]
    coin = await add_asset(tools, "BTC", Category.CRYPTO)
    bench.finnhub.premium = {"stock/candle"}
    bench.finnhub.trade("BINANCE:BTCUSDT", sessions(MARCH, category=Category.CRYPTO))

    report = await run_backfill(tools, Request(source=Source.FINNHUB, start=MARCH))

    assert len([path for path in paths(bench.finnhub) if "stock" in path]) == 1
    reasons = {reason for stock in stocks for reason in report.results[stock.id].reasons}
    assert len(reasons) == 1
    assert "You don't have access to this resource" in reasons.pop()
    assert counts(report, coin)[0] == len(sessions(MARCH, category=Category.CRYPTO))
    assert {tuple(row) for row in bench.rows("quote_currency, source")} == {("USDT", "finnhub")}


async def test_a_bad_key_stops_the_source(bench: Bench, tools: Tools) -> None:
    for ticker in ("AAPL", "MSFT", "NVDA"):
        await add_asset(tools, ticker)
    bench.massive.key = "another-key"

    report = await run_backfill(tools, Request(source=Source.MASSIVE, start=MARCH))

    assert len(bench.massive.calls) == 1
    assert "does not accept the API key" in report.stopped
    assert len(report.failures) == 3
    bench.massive.key = bench.environ["MASSIVE_API_KEY"]


async def test_an_api_that_stays_away_is_given_up(bench: Bench, tools: Tools) -> None:
    for n in range(14):
        await add_asset(tools, f"S{n}")
    bench.massive.fail(respond(503, "<html>sorry</html>"), times=1000)

    report = await run_backfill(tools, Request(source=Source.MASSIVE, start=date(2025, 2, 3)))

    assert "stays away" in report.stopped
    assert len(bench.massive.calls) == 10 * tools.api_patience.attempts
    assert len(report.failures) == 14


async def test_finnhub_no_data_is_no_error_and_not_done(bench: Bench, tools: Tools) -> None:
    asset = await add_asset(tools, "DOGE", Category.CRYPTO)
    request = Request(source=Source.FINNHUB, ticker="DOGE", start=MARCH)

    report = await run_backfill(tools, request)

    assert not report.failed
    assert "no data" in report.results[asset.id].remarks[0]
    bench.finnhub.trade("BINANCE:DOGEUSDT", sessions(MARCH, category=Category.CRYPTO))
    assert counts(await run_backfill(tools, request), asset)[0] == 11


async def test_currencies_keep_weekdays_only(bench: Bench, tools: Tools) -> None:
    asset = await add_asset(tools, "EUR", Category.CURRENCY)
    every_day = [MARCH + timedelta(days=n) for n in range(11)]
    bench.finnhub.trade("OANDA:EUR_USD", every_day)

    report = await run_backfill(tools, Request(source=Source.FINNHUB, ticker="EUR", start=MARCH))

    assert counts(report, asset) == (9, 0, 0, 0)
    assert {date.fromisoformat(row[1][:10]).weekday() for row in bench.rows()} == {0, 1, 2, 3, 4}


async def test_the_limit_of_the_plan_is_kept_and_explained(bench: Bench, tools: Tools) -> None:
    bench.massive.now = lambda: bench.now
    asset = await add_asset(tools, "AAPL")
    bench.massive.trade("AAPL", sessions(date(2023, 1, 3)))
    told: list[str] = []

    class Watcher:
        def planned(self, outline: object) -> None:
            assert bench.massive.calls == []
            told.append(outline.explain_limit())  # type: ignore[attr-defined]  # It is an Outline.

        def called(self, done: int, total: int) -> None: ...

        def noted(self, text: str) -> None: ...

    report = await run_backfill(tools, Request(source=Source.MASSIVE, ticker="AAPL", start=date(2023, 1, 1)), Watcher())

    assert counts(report, asset)[0] == len(sessions(date(2023, 3, 15)))
    assert told == [
        "49 sessions before 2023-03-15 are not asked for: the plan goes back 730 days (sources.massive.history_days)"
    ]
    with pytest.raises(Refused, match="goes back 730 days"):
        await run_backfill(
            tools, Request(source=Source.MASSIVE, ticker="AAPL", start=date(2020, 1, 1), end=date(2020, 12, 31))
        )


async def test_what_cannot_start_makes_no_call(bench: Bench, tools: Tools) -> None:
    for category in (Category.STOCK, Category.CRYPTO):
        await add_asset(tools, "T", category)

    with pytest.raises(Refused, match="there is no asset NONE") as missing:
        await run_backfill(tools, Request(source=Source.MASSIVE, ticker="NONE", days=3))
    with pytest.raises(ConfigError, match="T is several assets"):
        await run_backfill(tools, Request(source=Source.MASSIVE, ticker="T", days=3))
    with pytest.raises(ConfigError, match="MASSIVE_API_KEY"):
        await run_backfill(replace(tools, environ={}), Request(source=Source.MASSIVE, ticker="T", days=3))

    assert "create-asset" in missing.value.remedy
    assert bench.massive.calls == []


async def test_a_table_that_is_replaced_meanwhile_is_noticed(bench: Bench, tools: Tools) -> None:
    await add_asset(tools, "AAPL")
    bench.massive.trade("AAPL", sessions(MARCH))

    class Dropper:
        def planned(self, outline: object) -> None:
            query(bench.pair.questdb_url, f'DROP TABLE "{bench.table}"')

        def called(self, done: int, total: int) -> None: ...

        def noted(self, text: str) -> None: ...

    with pytest.raises(Refused):
        await run_backfill(tools, Request(source=Source.MASSIVE, ticker="AAPL", start=MARCH), Dropper())
    assert await fetch(bench.dsn, "SELECT outcome FROM backfill_run") == "failed"


class CarelessLane:
    """Acknowledges everything, but loses candles or writes another close, for so many times."""

    def __init__(self, lane: Lane, times: int, *, lose: bool) -> None:
        self.lane = lane
        self.times = times
        self.lose = lose
        self.name = lane.name

    async def send(self, frame: Frame) -> Receipt:
        if self.times:
            self.times -= 1
            if self.lose:
                return Receipt(len(frame.time_us), self.name, 0.0, 1)
            frame = replace(frame, close=np.nextafter(frame.close, np.inf))
        return await self.lane.send(frame)

    async def close(self) -> None:
        await self.lane.close()


@pytest.mark.parametrize("lose", [True, False])
async def test_candles_are_proven_to_the_last_bit_and_sent_again(bench: Bench, tools: Tools, lose: bool) -> None:
    await add_asset(tools, "AAPL")
    bench.massive.trade("AAPL", sessions(MARCH))
    careless = replace(tools, lane=CarelessLane(tools.lane, 1, lose=lose))

    report = await run_backfill(careless, Request(source=Source.MASSIVE, ticker="AAPL", start=MARCH))

    assert not report.failed
    bars = bench.massive.bars["AAPL"]
    assert [close for _, _, close in bench.rows()] == [bars[day].c for day in sessions(MARCH)]


async def test_a_table_that_never_holds_what_it_acknowledges_fails_the_run(bench: Bench, tools: Tools) -> None:
    await add_asset(tools, "AAPL")
    bench.massive.trade("AAPL", sessions(MARCH))
    careless = replace(tools, lane=CarelessLane(tools.lane, 99, lose=True))

    with pytest.raises(Refused, match="does not hold 9 of 9 candles"):
        await run_backfill(careless, Request(source=Source.MASSIVE, ticker="AAPL", start=MARCH))
    assert await fetch(bench.dsn, "SELECT outcome FROM backfill_run") == "failed"

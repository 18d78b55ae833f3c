"""A new split makes stored candles old: they are pulled again, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from feefifod.backfill import Request, Tools, run_backfill
from feefifod.model import Source
from tests.integration.backfill.conftest import LAST, Bench, add_asset, paths, sessions
from tests.support.fake_massive import make_split

MARCH = date(2025, 3, 3)


async def test_a_later_split_pulls_the_history_again(bench: Bench, tools: Tools) -> None:
    split, other = await add_asset(tools, "NVDA"), await add_asset(tools, "AAPL")
    days = sessions(MARCH, LAST + timedelta(days=7))
    for ticker in ("NVDA", "AAPL"):
        bench.massive.trade(ticker, days)
    bench.massive.splits = [make_split("NVDA", MARCH - timedelta(days=3))]
    request = Request(source=Source.MASSIVE, start=MARCH)
    await run_backfill(tools, request)
    # Everything was pulled now: there is nothing that a split could have made old.
    assert "/stocks/v1/splits" not in paths(bench.massive)

    bench.now += timedelta(days=4)
    bars = bench.massive.bars["NVDA"]
    for day, bar in bars.items():
        bars[day] = replace(bar, o=bar.o / 10, h=bar.h / 10, l=bar.l / 10, c=bar.c / 10, v=bar.v * 10)
    bench.massive.splits.append(make_split("NVDA", date(2025, 3, 14)))
    report = await run_backfill(tools, request)

    old = len(sessions(MARCH))
    result, untouched = report.results[split.id], report.results[other.id]
    assert (result.created, result.updated, result.unchanged) == (2, old, 0)
    assert (untouched.created, untouched.updated, untouched.unchanged) == (2, 0, old)
    assert report.notes == ["NVDA was split on 2025-03-14: its candles are pulled again"]
    assert [row[2] for row in bench.rows(where=f"asset_id = {split.id}")] == [bars[day].c for day in days[: old + 2]]

    asked = len(bench.massive.calls)
    bench.now += timedelta(days=1)
    third = await run_backfill(tools, request)
    assert third.notes == []
    assert (third.results[split.id].created, third.results[split.id].updated) == (1, 0)
    assert paths(bench.massive)[asked + 1 :] == ["/stocks/v1/splits"]


async def test_a_key_without_splits_is_told_once(bench: Bench, tools: Tools) -> None:
    await add_asset(tools, "NVDA")
    await add_asset(tools, "AAPL")
    for ticker in ("NVDA", "AAPL"):
        bench.massive.trade(ticker, sessions(MARCH, LAST + timedelta(days=7)))
    bench.massive.has_splits = False
    await run_backfill(tools, Request(source=Source.MASSIVE, start=MARCH))
    bench.now += timedelta(days=4)

    report = await run_backfill(tools, Request(source=Source.MASSIVE, start=MARCH))

    assert not report.failed
    assert len(report.notes) == 1
    assert "splits are not looked for" in report.notes[0]

    # When the plan has them later, none that was missed stays unseen.
    bench.massive.has_splits = True
    bench.massive.splits = [make_split("AAPL", date(2025, 3, 14))]
    bench.now += timedelta(days=1)
    report = await run_backfill(tools, Request(source=Source.MASSIVE, start=MARCH))
    assert report.notes == ["AAPL was split on 2025-03-14: its candles are pulled again"]

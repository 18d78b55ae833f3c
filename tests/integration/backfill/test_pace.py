"""One pace for all processes on one PostgreSQL, measured where it counts: at the API."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import anyio

from feefifod.backfill import Request, Tools, run_backfill
from feefifod.catalog import SharedPacer, open_database
from feefifod.model import Category, Source
from tests.integration.backfill.conftest import LAST, Bench, add_asset, sessions
from tests.support.embedded import fetch
from tests.support.fake_api import Limit, respond
from tests.support.fake_massive import TOO_MANY

ROOT = Path(__file__).resolve().parents[3]
MARCH = date(2025, 3, 3)


async def test_several_processes_share_the_pace(bench: Bench, tools: Tools) -> None:
    bench.massive.trade("AAPL", [LAST])
    script = Path(__file__).with_name("caller.py")
    command = [sys.executable, str(script), bench.dsn, bench.massive.url, bench.massive.key, "0.1", "10"]

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(lambda: anyio.run_process(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}))

    assert len(bench.massive.calls) == 30
    # Ten a second, and one for the unevenness of a busy machine; alone, each process would send ten.
    assert bench.massive.most_calls(1.0) <= 11
    at = [call.at for call in bench.massive.calls]
    assert at[-1] - at[0] < 29 * 0.1 * 2


async def test_idleness_saves_up_no_burst(postgres_dsn: str) -> None:
    async with open_database(postgres_dsn) as database:
        pacer = SharedPacer(database, "massive", 0.1)
        await pacer.wait()
        await anyio.sleep(0.5)
        started = time.monotonic()
        for _ in range(4):
            await pacer.wait()
        assert 0.29 < time.monotonic() - started < 1.0


async def test_a_pause_holds_for_everybody(postgres_dsn: str) -> None:
    async with open_database(postgres_dsn) as one, open_database(postgres_dsn) as other:
        waiting, throttled = SharedPacer(one, "massive", 0.2), SharedPacer(other, "massive", 0.2)
        unrelated = SharedPacer(one, "finnhub", 0.2)
        await waiting.wait()
        started = time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiting.wait)
            await anyio.sleep(0.05)
            await throttled.hold_off(0.6)
            await unrelated.wait()
            assert time.monotonic() - started < 0.5
        assert time.monotonic() - started > 0.6
        await throttled.hold_off(-5.0)
        # A shorter pause does not end a longer one.
        await throttled.hold_off(0.4)
        await throttled.hold_off(0.1)
        started = time.monotonic()
        await waiting.wait()
        assert time.monotonic() - started > 0.3


async def test_a_clock_that_was_set_back_silences_nobody(postgres_dsn: str) -> None:
    async with open_database(postgres_dsn) as database:
        await database.execute("INSERT INTO pacer VALUES ('massive', now() + interval '2 hours')")
        with anyio.fail_after(5):
            await SharedPacer(database, "massive", 0.1).wait()


async def test_a_storm_of_429_ends_with_the_right_rows(bench: Bench) -> None:
    """A daemon and a command at once, an API that keeps its limit strictly and throws 429 about besides."""
    bench.calls_per_minute = 240.0
    bench.massive.limits = (Limit(5, 1.0),)
    bench.massive.retry_after = "1"
    days = sessions(MARCH)
    coin_days = sessions(MARCH, category=Category.CRYPTO)
    async with bench.open() as daemon, bench.open() as command:
        for n in range(5):
            await add_asset(daemon, f"S{n}")
            await add_asset(daemon, f"C{n}", Category.CRYPTO)
            bench.massive.trade(f"S{n}", days)
            bench.massive.trade(f"X:C{n}USD", coin_days)
        for times in (2, 1, 3):
            bench.massive.fail(respond(429, TOO_MANY, headers={"Retry-After": "1"}), times=times)
        async with anyio.create_task_group() as tasks:
            for tools, category in ((daemon, Category.STOCK), (command, Category.CRYPTO)):
                request = Request(source=Source.MASSIVE, category=category, start=MARCH)
                tasks.start_soon(run_backfill, tools, request)

    assert bench.massive.is_over_its_faults
    assert bench.massive.rejected == 0
    assert bench.massive.most_calls(1.0) <= 5
    assert len(bench.massive.calls) == 10 + 6
    assert len(bench.rows()) == 5 * (len(days) + len(coin_days))
    expected = sorted(bar.c for bars in bench.massive.bars.values() for bar in bars.values())
    assert sorted(row[2] for row in bench.rows()) == expected
    assert await fetch(bench.dsn, "SELECT string_agg(outcome, ' ') FROM backfill_run") == "done done"


async def test_patience_with_the_api_ends(bench: Bench, tools: Tools) -> None:
    """An API that always throttles fails its asset with a remedy, and not for ever later."""
    asset = await add_asset(tools, "AAPL")
    bench.massive.fail(respond(429, TOO_MANY), times=100)
    tools = replace(tools, api_patience=replace(tools.api_patience, window_seconds=0.1, throttled_seconds=1.0))

    report = await run_backfill(tools, Request(source=Source.MASSIVE, ticker="AAPL", start=MARCH))

    assert "calls_per_minute" in report.results[asset.id].reasons[0]

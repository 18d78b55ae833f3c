"""`load-prices` and `backfill-prices` as processes: exit codes, what they print, and what a kill leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import anyio
import pytest

from feefifod.backfill import Tools
from feefifod.model import Category
from tests.integration.backfill.conftest import Bench, add_asset, paths, sessions
from tests.support.embedded import fetch, query

START, END = date(2025, 3, 3), date(2025, 3, 13)
SPAN = ("--start", str(START), "--end", str(END))


class Commands:
    """Runs feefifod with a configuration of its own; no output may ever show a key."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.config = folder / "config.toml"
        self.calls_per_minute = 60_000

    def write(self) -> None:
        self.config.write_text(
            f"""
[databases.questdb]
url = "{self.bench.pair.questdb_url}"
table = "{self.bench.table}"
[postgres]
url = "{self.bench.dsn}"
[sources.massive]
base_url = "{self.bench.massive.url}"
calls_per_minute = {self.calls_per_minute}
history_days = 36500
[sources.finnhub]
base_url = "{self.bench.finnhub.url}/api/v1"
calls_per_minute = {self.calls_per_minute}
history_days = 36500
"""
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        self.write()
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        return subprocess.Popen(
            [sys.executable, "-m", "feefifod", arguments[0], "--config", str(self.config), *arguments[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**kept, **self.bench.environ},
        )

    async def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        out, err = await anyio.to_thread.run_sync(process.communicate)
        for key in (self.bench.massive.key, self.bench.finnhub.key):
            assert key not in out + err
        return process.returncode, out + err


@pytest.fixture
def commands(bench: Bench, tmp_path: Path) -> Commands:
    return Commands(bench, tmp_path)


async def test_a_killed_run_goes_on_where_it_was(bench: Bench, tools: Tools, commands: Commands) -> None:
    commands.calls_per_minute = 60
    tickers = {f"S{n}" for n in range(7)}
    assets = {ticker: (await add_asset(tools, ticker)).id for ticker in tickers}
    days = sessions(START, END)
    for ticker in tickers:
        bench.massive.trade(ticker, set(days) - {days[4]})
    arguments = ("backfill-prices", "--source", "massive", "--all", *SPAN)

    process = commands.start(*arguments)
    recorded = "SELECT array_agg(asset_id) FROM no_trades"
    with anyio.fail_after(60):
        while len(await fetch(bench.dsn, recorded) or ()) < 2:
            await anyio.sleep(0.02)
    process.kill()
    await anyio.to_thread.run_sync(process.communicate)
    before = len(bench.massive.calls)
    assert before < len(tickers)
    # What was sent a moment before the kill may become visible a moment after it.
    await anyio.sleep(0.5)
    stored = {row[0] for row in bench.rows()} & set(await fetch(bench.dsn, recorded))

    commands.calls_per_minute = 60_000
    code, output = await commands.run(*arguments)

    assert code == 0, output
    assert len(bench.rows()) == len(tickers) * (len(days) - 1)
    asked = {path.split("/")[4] for path in paths(bench.massive)[before:]}
    assert asked == {ticker for ticker, asset_id in assets.items() if asset_id not in stored}
    assert len(stored) >= 2
    states = await fetch(bench.dsn, "SELECT array_agg(outcome ORDER BY id) FROM backfill_run")
    assert states == ["interrupted", "done"]


async def test_a_stopped_command_says_so(bench: Bench, tools: Tools, commands: Commands) -> None:
    commands.calls_per_minute = 6
    for ticker in ("AAPL", "MSFT"):
        await add_asset(tools, ticker)
        bench.massive.trade(ticker, sessions(START, END))
    process = commands.start("backfill-prices", "--source", "massive", "--all", *SPAN)
    with anyio.fail_after(60):
        while not (await fetch(bench.dsn, "SELECT created FROM backfill_run") or 0):
            await anyio.sleep(0.02)

    process.terminate()
    await anyio.to_thread.run_sync(process.communicate)

    assert process.returncode == 130
    assert await fetch(bench.dsn, "SELECT outcome FROM backfill_run") == "stopped"
    assert len(bench.rows()) == 9


async def test_backfill_shows_plan_progress_counts_and_failures(bench: Bench, tools: Tools, commands: Commands) -> None:
    commands.calls_per_minute = 1200
    days = sessions(START, END)
    for ticker in ("AAPL", "MSFT", "GONE"):
        await add_asset(tools, ticker)
    for ticker in ("AAPL", "MSFT"):
        bench.massive.trade(ticker, days)

    code, output = await commands.run("backfill_prices", "--source", "massive", "--all", "--category", "STOCK", *SPAN)

    assert code == 1
    lines = output.splitlines()
    assert any(line.startswith(f"Plan: 3 calls to massive for {3 * len(days)} candles of 3 assets") for line in lines)
    assert "3 of 3 calls (100%), 0 s left" in lines
    rows = {tuple(line.split()) for line in lines}
    assert ("AAPL", "STOCK", "AAPL", "9", "0", "0", "0", "ok") in rows
    assert ("GONE", "STOCK", "GONE", "0", "0", "0", "0", "failed") in rows
    failures = lines[lines.index("1 of 3 assets failed:") :]
    assert failures[1].startswith("  GONE (STOCK): no candle at all from 2025-03-03 to 2025-03-13")


async def test_dry_run_prints_candles_and_writes_nothing(bench: Bench, tools: Tools, commands: Commands) -> None:
    await add_asset(tools, "AAPL")
    bench.massive.trade("AAPL", sessions(START, END))

    code, output = await commands.run("backfill-prices", "--source", "massive", "--ticker", "AAPL", *SPAN, "--dry-run")

    assert code == 0, output
    bar = bench.massive.bars["AAPL"][END]
    wanted = ["AAPL", str(END), *map(repr, (bar.o, bar.h, bar.l, bar.c, bar.v))]
    assert any(line.split()[:7] == wanted for line in output.splitlines()), output
    assert "9 candles would be written" in output
    tables = query(bench.pair.questdb_url, f"SELECT count() FROM tables() WHERE table_name = '{bench.table}'")
    assert tables["dataset"] == [[0]]
    assert await fetch(bench.dsn, "SELECT count(*) FROM backfill_run") == 0


async def test_load_prices_updates_what_changed(bench: Bench, tools: Tools, commands: Commands) -> None:
    asset = await add_asset(tools, "BTC", Category.CRYPTO)
    await add_asset(tools, "BTC", Category.STOCK)
    today = date.today()
    bench.finnhub.trade("BINANCE:BTCUSDT", sessions(date(today.year - 1, 1, 1), today, Category.CRYPTO))
    arguments = ("load-prices", "--ticker", "BTC", "--source", "finnhub", "--days", "5")

    first, one = await commands.run(*arguments, "--category", "crypto")
    second, two = await commands.run(*arguments, "--category", "CRYPTO")

    assert (first, second) == (0, 0)
    symbol = ("BTC", "CRYPTO", "BINANCE:BTCUSDT")
    assert (*symbol, "5", "0", "0", "0", "ok") in {tuple(line.split()) for line in one.splitlines()}
    assert (*symbol, "0", "0", "5", "0", "ok") in {tuple(line.split()) for line in two.splitlines()}
    assert {row[0] for row in bench.rows()} == {asset.id}


async def test_wrong_use_exits_2_and_missing_assets_exit_1(bench: Bench, tools: Tools, commands: Commands) -> None:
    code, output = await commands.run("load-prices", "--ticker", "NONE", "--source", "massive")
    assert code == 1
    assert "feefifod create-asset --ticker NONE" in output
    del bench.environ["FINNHUB_API_KEY"]
    code, output = await commands.run("load-prices", "--ticker", "NONE", "--source", "finnhub")
    assert code == 2
    assert "FINNHUB_API_KEY" in output
    assert bench.massive.calls == bench.finnhub.calls == []

"""Schedules: at their time, one process at a time, caught up once, stopped cleanly, never raising."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from feefifod.backfill import Tools, list_results, run_due, run_named, run_schedules
from feefifod.catalog import RunOutcome
from feefifod.config import ScheduleSettings
from feefifod.errors import ConfigError
from feefifod.model import Category
from feefifod.schedule.sessions import list_sessions
from tests.integration.backfill.conftest import Bench, add_asset
from tests.support.embedded import fetch

ROOT = Path(__file__).resolve().parents[3]
YEARLY = "0 0 1 1 *"


def schedule(name: str = "daily", **changes: Any) -> ScheduleSettings:
    given = {"name": name, "cron": YEARLY, "source": "massive", "all": True, "days": 10} | changes
    return ScheduleSettings.model_validate(given)


@pytest.fixture
def real(bench: Bench) -> Bench:
    """Leases and what is worked off stand on PostgreSQL's clock: the time is the real one here."""
    bench.now = datetime.now(UTC)
    return bench


async def trade(bench: Bench, tools: Tools, *tickers: str) -> None:
    today = bench.now.date()
    for ticker in tickers:
        await add_asset(tools, ticker)
        bench.massive.trade(ticker, list_sessions(Category.STOCK, today - timedelta(days=20), today))


async def make_overdue(tools: Tools, name: str = "daily") -> None:
    """As if it had been paused for years: many instants were missed."""
    await tools.claims.know(name)
    await tools.postgres.execute("UPDATE schedule SET done_until = '2020-01-01' WHERE name = $1", name)


async def wait_for(check: Callable[[], bool], seconds: float = 15.0) -> None:
    with anyio.fail_after(seconds):
        while not check():
            await anyio.sleep(0.02)


async def wait_for_runs(bench: Bench, outcome: str, runs: int = 1, seconds: float = 15.0) -> None:
    with anyio.fail_after(seconds):
        while await fetch(bench.dsn, f"SELECT count(*) FROM backfill_run WHERE outcome = '{outcome}'") < runs:
            await anyio.sleep(0.05)


async def test_two_daemons_run_a_missed_schedule_once(real: Bench) -> None:
    real.calls_per_minute = 240.0
    async with real.open() as one, real.open() as other:
        await trade(real, one, "AAPL", "MSFT", "NVDA")
        await make_overdue(one)
        async with anyio.create_task_group() as tasks:
            for tools in (one, other):
                tasks.start_soon(run_schedules, tools, [schedule()])
            await wait_for_runs(real, "done")
            await anyio.sleep(1.0)
            tasks.cancel_scope.cancel()

    assert await fetch(real.dsn, "SELECT count(*) FROM backfill_run") == 1
    paths = [call.path for call in real.massive.calls]
    assert len(paths) == len(set(paths)) == 3
    assert len(real.rows()) > 0


async def test_both_daemons_ask_for_it_and_one_gets_it(real: Bench) -> None:
    async with real.open() as one, real.open() as other:
        due = datetime(2025, 1, 1, tzinfo=UTC)
        await make_overdue(one)
        claims = [await one.claims.claim("daily", due), await other.claims.claim("daily", due)]
        assert claims[0] is not None
        assert claims[1] is None
        await one.claims.release(claims[0], due)
        assert await other.claims.claim("daily", due) is None
        later = await other.claims.claim("daily", due + timedelta(days=1))
        assert later is not None


async def test_the_turn_of_a_dead_process_is_free_at_once(real: Bench, tools: Tools) -> None:
    code = "from feefifod.catalog.owner import this_owner; print(this_owner())"
    dead = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    await make_overdue(tools)
    await tools.postgres.execute(
        "UPDATE schedule SET owner = $1, lease_until = now() + interval '1 hour'", dead.strip()
    )

    assert not (await tools.claims.know("daily")).held
    assert await tools.claims.claim("daily", datetime(2025, 1, 1, tzinfo=UTC)) is not None


async def test_a_stopped_run_stays_due_and_goes_on(real: Bench) -> None:
    real.calls_per_minute = 120.0
    tickers = ["S0", "S1", "S2", "S3", "S4"]
    async with real.open() as tools:
        await trade(real, tools, *tickers)
        await make_overdue(tools)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_schedules, tools, [schedule()])
            await wait_for(lambda: len(real.massive.calls) == 3)
            await anyio.sleep(0.3)
            tasks.cancel_scope.cancel()
    [status] = await statuses(real, [schedule()])
    assert (status.running, status.last.outcome) == (False, RunOutcome.STOPPED)
    assert status.next_at < real.now
    asked = len(real.massive.calls)
    assert asked == 3

    async with real.open() as tools, anyio.create_task_group() as tasks:
        tasks.start_soon(run_schedules, tools, [schedule()])
        await wait_for_runs(real, "done")
        tasks.cancel_scope.cancel()

    assert {call.path.split("/")[4] for call in real.massive.calls[asked:]} == {"S3", "S4"}
    [status] = await statuses(real, [schedule()])
    assert status.last.outcome is RunOutcome.DONE
    assert status.last.counts.created + status.last.counts.unchanged == len(real.rows())


async def statuses(bench: Bench, schedules: list[ScheduleSettings]) -> list[Any]:
    async with bench.open() as tools:
        return await list_results(tools.postgres, schedules, bench.now)


async def test_a_broken_source_is_recorded_and_disturbs_nobody(real: Bench, tools: Tools) -> None:
    await trade(real, tools, "AAPL")
    schedules = [
        schedule("no-key", source="finnhub"),
        schedule("no-asset", all=False, ticker="NONE"),
        schedule("good"),
    ]
    del real.environ["FINNHUB_API_KEY"]
    for each in schedules:
        await make_overdue(tools, each.name)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_schedules, tools, schedules)
        await wait_for_runs(real, "done")
        await wait_for_runs(real, "failed", 2)
        tasks.cancel_scope.cancel()

    no_key, no_asset, good = await statuses(real, schedules)
    assert no_key.last.outcome is no_asset.last.outcome is RunOutcome.FAILED
    assert "FINNHUB_API_KEY" in no_key.last.reason
    assert "create-asset" in no_asset.last.reason
    assert (good.last.outcome, good.last.reason) == (RunOutcome.DONE, "")
    assert all(status.next_at > real.now for status in (no_key, no_asset, good))


async def test_one_shot_runs_what_is_due(real: Bench, tools: Tools) -> None:
    await trade(real, tools, "AAPL")
    schedules = [schedule("yearly"), schedule("minutely", cron="* * * * *"), schedule("missed")]
    await make_overdue(tools, "missed")

    first = await run_due(tools, schedules)
    second = await run_due(tools, [schedules[0], schedules[2]])

    # A new schedule was not missed before it was known; the minute that runs counts.
    assert [run.name for run in first] == ["minutely", "missed"]
    assert not any(run.failed for run in first)
    assert second == []
    yearly, minutely, missed = await statuses(real, schedules)
    assert yearly.last is None
    assert (yearly.next_at.month, yearly.next_at.day, yearly.next_at.year) == (1, 1, real.now.year + 1)
    assert minutely.last.counts.created == len(real.rows())
    assert missed.last.counts.unchanged == len(real.rows())


async def test_named_schedules_run_now(real: Bench, tools: Tools) -> None:
    await trade(real, tools, "AAPL")
    schedules = [schedule("a"), schedule("b")]

    with pytest.raises(ConfigError, match="no schedule 'c'"):
        await run_named(tools, schedules, ["a", "c"])
    assert real.massive.calls == []

    [run] = await run_named(tools, schedules, ["b"])
    assert (run.name, run.failed, run.report is not None) == ("b", False, True)
    # It may run again at once: it was asked for by name.
    assert not (await run_named(tools, schedules, ["b"]))[0].failed

    async with real.open() as other:
        assert await other.claims.claim("b", None) is not None
        [busy] = await run_named(tools, schedules, ["b"])
    assert (busy.busy, busy.failed) == (True, True)


async def test_a_run_that_lost_its_turn_ends(real: Bench, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that slept through its lease must not work beside the one that has it now."""
    monkeypatch.setattr("feefifod.backfill.schedules.SCHEDULE_LEASE_SECONDS", 0.6)
    real.calls_per_minute = 60.0
    async with real.open() as slow:
        await trade(real, slow, "S0", "S1", "S2", "S3")
        await make_overdue(slow)
        runs: list[Any] = []

        async def run() -> None:
            runs.extend(await run_named(slow, [schedule()], ["daily"]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await wait_for(lambda: len(real.massive.calls) == 1)
            await slow.postgres.execute("UPDATE schedule SET fence = fence + 1")
    assert [run.busy for run in runs] == [True]
    assert len(real.massive.calls) < 4


async def test_dates_of_a_schedule_reach_the_api(real: Bench, tools: Tools) -> None:
    await trade(real, tools, "AAPL")
    await run_named(tools, [schedule("short", days=5)], ["short"])

    start, end = (date.fromisoformat(text) for text in real.massive.calls[0].path.split("/")[-2:])
    assert real.now.date() - timedelta(days=7) <= start <= end < real.now.date()

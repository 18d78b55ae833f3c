"""`verify_recent`: what the daemon does when QuestDB has restarted or fallen back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import anyio

from feefifod.config import load
from feefifod.daemon.services import open_services, open_verification
from feefifod.verify import Kit, Report, verify, verify_recent
from tests.integration.verify.conftest import Bench
from tests.support import samples

DAY = 86_400
OTHER_MONTH = samples.START + 30 * DAY


def with_kit(bench: Bench, work: Callable[[Kit], Any]) -> Any:
    """Run something with a kit, as the daemon would."""

    async def run() -> Any:
        settings = load(bench.world.config, {}, bench.world.root).settings
        async with (
            open_services(settings) as services,
            open_verification(services, patience_seconds=10.0) as kit,
        ):
            return await work(kit)

    return anyio.run(run)


def now(bench: Bench) -> datetime:
    """Ask PostgreSQL's clock."""
    [row] = bench.world.ask("SELECT now() AS now")
    moment: datetime = row["now"]
    return moment


def test_only_what_came_in_lately_is_compared_and_mended(bench: Bench) -> None:
    bench.load({"XBTUSD_60.csv": samples.file(50, interval=60), "ADAUSD_60.csv": samples.file(50, interval=60, seed=2)})
    since = now(bench)
    bench.load({"sub/XBTUSD_60.csv": samples.file(60, interval=60, start=OTHER_MONTH, seed=3)})
    before = bench.stored()
    bench.tamper("ALTER TABLE TABLE_NAME DROP PARTITION LIST '2023-11', '2023-12'")

    report: Report = with_kit(bench, partial(verify_recent, since=since))

    assert [(d.series.ticker, d.month, d.rows and d.rows.missing) for d in report.repaired] == [("BTC", "2023-12", 60)]
    assert report.differences == []
    assert bench.stored() == before[100:]
    # The rest is for the command.
    assert len(with_kit(bench, verify).differences) == 2


def test_older_file_that_reaches_beyond_the_months_of_the_recent_one(bench: Bench) -> None:
    """It takes part with its rows of these months, and only with them."""
    bench.load({"XBTUSD_60.csv": samples.file(2_000, interval=60, trades=5)})
    since = now(bench)
    bench.load({"sub/XBTUSD_60.csv": samples.file(60, interval=60, start=OTHER_MONTH, seed=3, trades=9)})
    before = bench.stored()
    bench.tamper(f"UPDATE TABLE_NAME SET close = 1 WHERE time >= {(OTHER_MONTH - 3 * 3600) * 1_000_000}")

    report: Report = with_kit(bench, partial(verify_recent, since=since))

    assert [(d.month, d.rows and d.rows.missing) for d in report.repaired] == [("2023-12", 0)]
    assert report.differences == []
    assert [d.month for d in with_kit(bench, partial(verify, repair=True)).repaired] == ["2024-01", "2024-02"]
    assert bench.stored() == before


def test_without_recent_files_there_is_nothing_to_do(bench: Bench) -> None:
    bench.load({"XBTUSD_60.csv": samples.file(50, interval=60)})

    report: Report = with_kit(bench, partial(verify_recent, since=now(bench) + timedelta(seconds=1)))

    assert (report.files, report.differences) == (0, [])


def test_without_repair_it_only_looks(bench: Bench) -> None:
    since = now(bench)
    bench.load({"XBTUSD_60.csv": samples.file(50, interval=60)})
    bench.tamper("TRUNCATE TABLE TABLE_NAME")

    report: Report = with_kit(bench, partial(verify_recent, since=since, repair=False))

    assert [d.month for d in report.differences] == ["2023-11"]
    assert bench.stored() == []

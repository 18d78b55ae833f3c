"""Counting rows series by series."""

from __future__ import annotations

from feefifod.config.settings import QuestDBSettings
from feefifod.model import Source
from feefifod.sink import IlpLane, QuestDBClient, SeriesCount, count_one, count_series, wait_applied
from tests.integration.sink.conftest import START_US, make_frame

MINUTE = 60_000_000


async def test_every_series_is_counted_within_the_range(
    client: QuestDBClient, settings: QuestDBSettings, table: str
) -> None:
    lane = IlpLane(settings.url, settings)
    await lane.send(make_frame(60))  # 3 assets x 2 quotes x 10 minutes
    await lane.close()
    await wait_applied(client, table)

    counts = await count_series(client, table, Source.KRAKEN, START_US + MINUTE, START_US + 4 * MINUTE)

    expected = SeriesCount(4, START_US + MINUTE, START_US + 4 * MINUTE)
    assert counts == {(asset, 1, quote): expected for asset in (1, 2, 3) for quote in ("USD", "EUR")}


async def test_other_sources_do_not_count(client: QuestDBClient, settings: QuestDBSettings, table: str) -> None:
    lane = IlpLane(settings.url, settings)
    await lane.send(make_frame(60))
    await lane.close()
    await wait_applied(client, table)

    assert await count_series(client, table, Source.MASSIVE, START_US, START_US + 60 * MINUTE) == {}


async def test_one_series_is_counted_exactly(client: QuestDBClient, settings: QuestDBSettings, table: str) -> None:
    lane = IlpLane(settings.url, settings)
    await lane.send(make_frame(60))
    await lane.close()
    await wait_applied(client, table)

    async def count(interval_minutes: int, first_us: int, last_us: int) -> SeriesCount:
        return await count_one(
            client,
            table,
            source=Source.KRAKEN,
            asset_id=2,
            interval_minutes=interval_minutes,
            quote="EUR",
            first_us=first_us,
            last_us=last_us,
        )

    assert await count(1, START_US, START_US + 2 * MINUTE) == SeriesCount(3, START_US, START_US + 2 * MINUTE)
    assert await count(5, START_US, START_US + 2 * MINUTE) == SeriesCount(0, None, None)
    assert await count(1, 0, START_US - 1) == SeriesCount(0, None, None)

"""The pure parts of backfills: which options go together, which days are meant, what rows are made of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from feefifod.backfill import Request
from feefifod.backfill.schedules import _start_of
from feefifod.backfill.store import make_frame
from feefifod.backfill.stored import key_of
from feefifod.cli.backfill_prices_command import check_mix
from feefifod.cli.backfill_progress import format_seconds
from feefifod.config import ScheduleSettings
from feefifod.errors import ConfigError
from feefifod.model import INT_NULL, Category, Source
from feefifod.schedule.cron import parse_cron
from feefifod.sources.candle import DayCandle

NOON = datetime(2025, 3, 14, 12, 0, tzinfo=UTC)
NONE: dict[str, Any] = {
    "source": "massive",
    "ticker": None,
    "everything": False,
    "days": None,
    "start": None,
    "end": None,
    "grouped": False,
}


@pytest.mark.parametrize(
    "options",
    [
        {"ticker": "AAPL", "days": 7},
        {"everything": True, "days": 7},
        {"everything": True, "days": 7, "grouped": True},
        {"everything": True, "start": NOON},
        {"ticker": "AAPL", "start": NOON, "end": NOON},
        {"source": "finnhub", "everything": True, "days": 1},
    ],
)
def test_options_that_go_together(options: dict[str, Any]) -> None:
    check_mix(**(NONE | options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"days": 7},
        {"ticker": "AAPL"},
        {"everything": True},
        {"ticker": "AAPL", "everything": True, "days": 7},
        {"ticker": "", "days": 7},
        {"ticker": "AAPL", "days": 7, "start": NOON},
        {"ticker": "AAPL", "days": 7, "end": NOON},
        {"ticker": "AAPL", "end": NOON},
        {"ticker": "AAPL", "start": NOON, "end": NOON - timedelta(days=1)},
        {"ticker": "AAPL", "days": 7, "grouped": True},
        {"source": "finnhub", "everything": True, "days": 7, "grouped": True},
    ],
)
def test_every_other_mix_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        check_mix(**(NONE | options))


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ({"days": 1}, (date(2025, 3, 13), date(2025, 3, 13))),
        ({"days": 7}, (date(2025, 3, 7), date(2025, 3, 13))),
        ({"start": date(2025, 1, 2)}, (date(2025, 1, 2), date(2025, 3, 13))),
        ({"start": date(2025, 1, 2), "end": date(2025, 1, 3)}, (date(2025, 1, 2), date(2025, 1, 3))),
        # A day that is not over is never asked for.
        ({"start": date(2025, 3, 1), "end": date(2025, 4, 1)}, (date(2025, 3, 1), date(2025, 3, 13))),
    ],
)
def test_days_that_are_meant(asked: dict[str, Any], span: tuple[date, date]) -> None:
    assert Request(source=Source.MASSIVE, **asked).span(Category.STOCK, NOON) == span


def test_rows_are_sorted_and_keep_their_values() -> None:
    def candle(day: int, quote: str, count: int | None) -> DayCandle:
        return DayCandle(date(2025, 3, day), 2.0, 4.0, 1.0, 3.0, 0.618093, count, quote)

    made = [(7, candle(5, "USD", 3)), (7, candle(4, "USDT", None)), (2, candle(5, "USD", 0))]
    frame = make_frame({key_of(asset_id, item): item for asset_id, item in made}, Source.FINNHUB)

    midnight = 1_741_046_400_000_000
    assert frame.time_us.tolist() == [midnight, midnight + 86_400_000_000, midnight + 86_400_000_000]
    assert frame.asset_id.tolist() == [7, 2, 7]
    assert [frame.quotes[code] for code in frame.quote_code] == ["USDT", "USD", "USD"]
    assert frame.trade_count.tolist() == [INT_NULL, 0, 3]
    assert set(frame.interval_minutes.tolist()) == {1440}
    assert [column[0] for column in (frame.open, frame.high, frame.low, frame.close, frame.volume)] == [
        2.0,
        4.0,
        1.0,
        3.0,
        0.618093,
    ]


@pytest.mark.parametrize("jitter", [0, 20, 86_400])
def test_jitter_never_reaches_the_next_instant(jitter: float) -> None:
    schedule = ScheduleSettings(name="x", cron="* * * * *", source="massive", all=True, jitter_seconds=jitter)
    cron = parse_cron("* * * * *", "UTC")
    delays = [
        (_start_of(schedule, cron, NOON + timedelta(minutes=n)) - NOON - timedelta(minutes=n)).total_seconds()
        for n in range(50)
    ]
    assert all(0 <= delay <= min(jitter, 30) for delay in delays)
    assert (max(delays) > 0) == (jitter > 0)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (36.6, "37 s"), (600, "10 min"), (6100, "1 h 41 min")])
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text

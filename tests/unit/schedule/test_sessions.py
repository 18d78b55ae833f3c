"""Only real and finished sessions are asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feefifod.model import Category, Source
from feefifod.schedule.sessions import day_microseconds, last_finished_day, list_finished_sessions, list_sessions

STOCK, CRYPTO, CURRENCY = Category.STOCK, Category.CRYPTO, Category.CURRENCY


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("category", [Category.STOCK, Category.COMMODITY])
def test_new_york_has_no_session_on_weekends_and_holidays(category: Category) -> None:
    sessions = list_sessions(category, date(2025, 1, 1), date(2025, 1, 21))

    assert [day.day for day in sessions] == [2, 3, 6, 7, 8, 10, 13, 14, 15, 16, 17, 21]  # 9: mourning, 20: Dr King.
    assert all(type(day) is date for day in sessions)


def test_new_york_far_back_across_years_and_on_its_own() -> None:
    assert len(list_sessions(STOCK, date(1999, 1, 1), date(1999, 12, 31))) == 252
    assert list_sessions(STOCK, date(2026, 12, 31), date(2027, 1, 4)) == (date(2026, 12, 31), date(2027, 1, 4))
    assert list_sessions(STOCK, date(2026, 1, 1), date(2026, 1, 1)) == ()
    assert list_sessions(STOCK, date(2026, 1, 2), date(2026, 1, 1)) == ()


def test_coins_trade_every_day_and_currencies_on_weekdays() -> None:
    start, end = date(2026, 11, 16), date(2026, 11, 22)

    assert len(list_sessions(CRYPTO, start, end)) == 7
    assert [day.weekday() for day in list_sessions(CURRENCY, start, end)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("category", "source", "now", "expected"),
    [
        (STOCK, Source.MASSIVE, "2026-11-20T05:09", date(2026, 11, 18)),  # 00:09 in New York: not yet.
        (STOCK, Source.MASSIVE, "2026-11-20T05:10", date(2026, 11, 19)),
        (STOCK, Source.MASSIVE, "2026-07-10T04:10", date(2026, 7, 9)),  # Daylight saving: an hour earlier in UTC.
        (CRYPTO, Source.FINNHUB, "2026-11-20T00:10", date(2026, 11, 19)),
        (CRYPTO, Source.FINNHUB, "2026-11-20T00:09", date(2026, 11, 18)),
        (CRYPTO, Source.MASSIVE, "2026-11-20T00:10", date(2026, 11, 18)),  # Massive's "today" is New York's.
        (CRYPTO, Source.MASSIVE, "2026-11-20T05:10", date(2026, 11, 19)),
        (CURRENCY, Source.FINNHUB, "2026-11-20T00:10", date(2026, 11, 18)),
    ],
)
def test_when_a_day_is_over(category: Category, source: Source, now: str, expected: date) -> None:
    assert last_finished_day(category, _at(now), source) == expected


def test_an_unfinished_session_is_not_listed() -> None:
    sessions = list_finished_sessions(
        STOCK, date(2026, 11, 16), date(2026, 12, 1), _at("2026-11-20T20:00"), Source.MASSIVE
    )

    assert sessions[-1] == date(2026, 11, 19)


@given(st.dates(date(1971, 1, 1), date(2100, 1, 1)))
def test_a_candle_is_keyed_by_midnight_utc(session: date) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=day_microseconds(session))

    assert moment == datetime(session.year, session.month, session.day, tzinfo=UTC)

"""The days on which a market has a candle, and when such a day is over.

Only finished days are ever asked for: an unfinished candle would be stored and never looked at again.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from feefifod.model import Category, Source

FINISHED_MARGIN: Final = timedelta(minutes=10)
"""A day counts as finished this long after midnight (facts: Massive's free plan serves a day from 00:05 ET on)."""

_NEW_YORK: Final = ZoneInfo("America/New_York")
_UTC: Final = ZoneInfo("UTC")

_ZONES: Final = {
    Category.STOCK: _NEW_YORK,
    Category.COMMODITY: _NEW_YORK,
    Category.CRYPTO: _UTC,
    Category.CURRENCY: _NEW_YORK,
}
"""Whose midnight ends a day. For forex, Massive documents Eastern Time but samples show UTC: the later one is safe."""


def last_finished_day(category: Category, now: datetime, source: Source) -> date:
    """Return the last calendar day that is over for this category at this source; `now` is an aware instant."""
    zones = {_ZONES[category]}
    if source is Source.MASSIVE:
        zones.add(_NEW_YORK)  # Its free plan refuses "today" by New York's clock, whatever the market.
    return min((now - FINISHED_MARGIN).astimezone(zone).date() for zone in zones) - timedelta(days=1)


def list_sessions(category: Category, start: date, end: date) -> tuple[date, ...]:
    """List the days from `start` to `end`, both included, on which the category trades.

    STOCK and COMMODITY (which means funds such as GLD): New York's exchange. CRYPTO: every day. CURRENCY: weekdays.
    """
    if start > end:
        return ()
    if category in (Category.STOCK, Category.COMMODITY):
        sessions = _list_new_york(start.year, end.year)
        return sessions[bisect_left(sessions, start) : bisect_right(sessions, end)]
    days = (start + timedelta(days=n) for n in range((end - start).days + 1))
    if category is Category.CRYPTO:
        return tuple(days)
    return tuple(day for day in days if day.weekday() < 5)


def list_finished_sessions(
    category: Category, start: date, end: date, now: datetime, source: Source
) -> tuple[date, ...]:
    """List the sessions from `start` to `end`, both included, that are over at `now`."""
    return list_sessions(category, start, min(end, last_finished_day(category, now, source)))


def day_microseconds(session: date) -> int:
    """Return the `time` of a session's candle: 00:00 UTC of its date, in microseconds since 1970."""
    return int(datetime.combine(session, time(), _UTC).timestamp()) * 1_000_000


@lru_cache(maxsize=8)
def _list_new_york(first_year: int, last_year: int) -> tuple[date, ...]:
    """List XNYS sessions. Loading the calendar takes about a second and pandas, hence so late and once."""
    with warnings.catch_warnings():
        # exchange_calendars 4.13 uses what pandas 3.1 deprecates; its answers are checked by our tests.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        import exchange_calendars  # noqa: PLC0415  (costs 0.8 s and 76 MB, and most runs never need it)

        # Whole years, and one spare on both sides: a calendar must hold at least one session.
        calendar = exchange_calendars.get_calendar(
            "XNYS", start=f"{first_year - 1}-01-01", end=f"{last_year + 1}-12-31"
        )
        return tuple(calendar.sessions.date.tolist())

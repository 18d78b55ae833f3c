"""What is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from feefifod.model import Source
from feefifod.schedule.sessions import last_finished_day

if TYPE_CHECKING:
    from datetime import date, datetime

    from feefifod.config import ScheduleSettings
    from feefifod.model import Category


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Day candles of one asset, or of all active ones.

    Attributes:
        ticker: of the one asset; empty for all that are active.
        category: only assets of it.
        days: the last so many calendar days that are over; or
        start, end: both included; without `end`, to the last day that is over.
        grouped: one call per session and market, whatever it costs.
        again: ask also for what is stored, to see whether it has changed.
    """

    source: Source
    ticker: str = ""
    category: Category | None = None
    days: int | None = None
    start: date | None = None
    end: date | None = None
    grouped: bool = False
    again: bool = False

    def span(self, category: Category, now: datetime) -> tuple[date, date]:
        """Return the first and the last day that is asked for; days that are not over are left out."""
        over = last_finished_day(category, now, self.source)
        end = over if self.end is None else min(self.end, over)
        if self.start is not None:
            return self.start, end
        return end - timedelta(days=(self.days or 1) - 1), end

    def describe(self) -> dict[str, object]:
        """Return it as JSON has it, without what was left out."""
        asked = {
            "ticker": self.ticker,
            "all": not self.ticker,
            "category": self.category and str(self.category),
            "days": self.days,
            "start": self.start and str(self.start),
            "end": self.end and str(self.end),
            "grouped": self.grouped,
            "again": self.again,
        }
        return {name: value for name, value in asked.items() if value}


def request_of(schedule: ScheduleSettings) -> Request:
    """Return what a schedule asks for."""
    return Request(
        source=Source(schedule.source),
        ticker=schedule.ticker,
        category=schedule.category,
        days=schedule.days,
        grouped=schedule.grouped,
    )

"""A fake Massive.com, as its documents, its client's tests and its users describe it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from tests.support.fake_api import Document, FakeApi, Limit

NEW_YORK = ZoneInfo("America/New_York")
UNKNOWN_KEY: Document = {"status": "ERROR", "request_id": "r1", "error": "Unknown API Key"}
NOT_ENTITLED: Document = {
    "status": "NOT_AUTHORIZED",
    "request_id": "r2",
    "message": "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing",
}
TIMEFRAME: Document = {
    "status": "NOT_AUTHORIZED",
    "request_id": "r3",
    "message": "Your plan doesn't include this data timeframe. Please upgrade your plan at https://massive.com/pricing",
}
TODAY: Document = {
    "status": "NOT_AUTHORIZED",
    "request_id": "r4",
    "message": "Attempted to request today's data before end of day. Please upgrade your plan.",
}
NOT_FOUND: Document = {"status": "NOT_FOUND", "request_id": "r5", "message": "Ticker not found."}
BAD_TIME: Document = {"status": "ERROR", "request_id": "r6", "error": "Could not parse the time parameter: 'from'."}
TOO_MANY: Document = {
    "status": "ERROR",
    "request_id": "r7",
    "error": "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue.",
}


@dataclass(frozen=True)
class Bar:
    """A day of one symbol; `n` is absent on some days, as it was for users."""

    o: float
    h: float
    l: float  # noqa: E741  (the vendor's own name)
    c: float
    v: float
    n: int | None

    def row(self) -> dict[str, Any]:
        row = {"v": self.v, "vw": round((self.h + self.l) / 2, 4), "o": self.o, "c": self.c, "h": self.h, "l": self.l}
        return row if self.n is None else {**row, "n": self.n}


def make_bar(symbol: str, session: date) -> Bar:
    """Make a plausible bar that is a function of its arguments, with fractional volume."""
    seed = zlib.crc32(f"{symbol} {session}".encode())
    low = 10 + seed % 9000 / 100
    high = low + seed % 700 / 100
    volume = 1000 + seed % 100_000 + 0.618093
    return Bar(
        round(low + 0.2 * (high - low), 4), high, low, round(low + 0.7 * (high - low), 4), volume, seed % 5000 or None
    )


class FakeMassive(FakeApi):
    """The server.

    Attributes:
        bars: by symbol and session.
        splits: rows of the splits endpoint.
        entitled: the markets that the plan has.
        has_splits: whether the plan has the splits endpoint.
        page_size: rows of a page, to force `next_url`.
        next_base: where `next_url` points, when not here.
        now: when set, the plan is the free one: two years back, and no day before New York's midnight.
    """

    def __init__(
        self,
        *,
        key: str = "massive-key-0123456789",
        limits: tuple[Limit, ...] = (),
        now: Callable[[], datetime] | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(key, limits)
        self.bars: dict[str, dict[date, Bar]] = {}
        self.splits: list[Document] = []
        self.entitled = {"stocks", "crypto", "fx"}
        self.has_splits = True
        self.page_size = 50_000
        self.next_base: str | None = None
        self.now = now
        self.retry_after = retry_after
        self._empty_days = 0

    def trade(self, symbol: str, sessions: Iterable[date]) -> None:
        """Let a symbol have a bar on each of these sessions."""
        self.bars.setdefault(symbol, {}).update((session, make_bar(symbol, session)) for session in sessions)

    def throttled(self) -> web.Response:
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return web.json_response(TOO_MANY, status=429, headers=headers)

    async def answer(self, request: web.Request) -> Document | web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.query.get("apiKey", "")
        if given != self.key:
            return web.json_response(UNKNOWN_KEY, status=401)
        parts = request.path.strip("/").split("/")
        if parts[:3] == ["v2", "aggs", "ticker"] and parts[4:7] == ["range", "1", "day"] and len(parts) == 9:
            return self._range(request, parts[3], parts[7], parts[8])
        if parts[:4] == ["v2", "aggs", "grouped", "locale"] and len(parts) == 8:
            return self._grouped(parts[4], parts[6], parts[7])
        if parts == ["stocks", "v1", "splits"]:
            return self._splits(request)
        return web.json_response(NOT_FOUND, status=404)

    def _range(self, request: web.Request, symbol: str, first: str, last: str) -> Document | web.Response:
        try:
            start, end = date.fromisoformat(first), date.fromisoformat(last)
            offset, limit = int(request.query.get("cursor", "0")), int(request.query.get("limit", "5000"))
        except ValueError:
            return web.json_response(BAD_TIME, status=400)
        refusal = self._refuse(_market(symbol), start, end)
        if refusal is not None:
            return refusal
        days = sorted(day for day in self.bars.get(symbol, {}) if start <= day <= end)
        page = days[offset : offset + min(limit, 50_000, self.page_size)]
        rows = [{**self.bars[symbol][day].row(), "t": _milliseconds(_start_of_day(symbol, day))} for day in page]
        document: Document = {
            "ticker": symbol,
            "queryCount": len(days),
            "resultsCount": len(rows),
            "adjusted": request.query.get("adjusted", "true") == "true",
            "status": "OK",
            "request_id": "f00d",
            "count": len(rows),
        }
        if rows:
            document["results"] = rows
        if offset + len(page) < len(days):
            query = f"cursor={offset + len(page)}&limit={limit}&sort=asc&adjusted=true&apiKey=LEAKED_KEY"
            document["next_url"] = f"{self.next_base or self.url}{request.rel_url.raw_path}?{query}"
        return document

    def _grouped(self, locale: str, market: str, text: str) -> Document | web.Response:
        if (locale, market) not in (("us", "stocks"), ("global", "crypto"), ("global", "fx")):
            return web.json_response(NOT_FOUND, status=404)
        try:
            session = date.fromisoformat(text)
        except ValueError:
            return web.json_response(BAD_TIME, status=400)
        refusal = self._refuse(market, session, session)
        if refusal is not None:
            return refusal
        rows = [
            {"T": symbol, **days[session].row(), "t": _milliseconds(_end_of_day(symbol, session))}
            for symbol, days in self.bars.items()
            if _market(symbol) == market and session in days
        ]
        document: Document = {
            "queryCount": len(rows),
            "resultsCount": len(rows),
            "adjusted": True,
            "status": "OK",
            "request_id": "beef",
            "count": len(rows),
        }
        if rows:
            document["results"] = rows
        else:
            self._empty_days += 1
            if self._empty_days % 2:
                document["results"] = None
        return document

    def _splits(self, request: web.Request) -> Document | web.Response:
        if not self.has_splits:
            return web.json_response(NOT_ENTITLED, status=403)
        since, until = request.query.get("execution_date.gte", ""), request.query.get("execution_date.lte", "9999")
        rows = sorted(
            (row for row in self.splits if since <= row["execution_date"] <= until),
            key=lambda row: row["execution_date"],
        )
        offset = int(request.query.get("cursor", "0"))
        page = rows[offset : offset + min(self.page_size, int(request.query.get("limit", "100")))]
        document: Document = {"status": "OK", "request_id": "cafe", "results": page}
        if offset + len(page) < len(rows):
            limits = f"execution_date.gte={since}&execution_date.lte={until}"
            document["next_url"] = f"{self.next_base or self.url}/stocks/v1/splits?cursor={offset + len(page)}&{limits}"
        return document

    def _refuse(self, market: str, start: date, end: date) -> web.Response | None:
        if market not in self.entitled:
            return web.json_response(NOT_ENTITLED, status=403)
        if self.now is None:
            return None
        today = self.now().astimezone(NEW_YORK).date()
        if start < today - timedelta(days=730) or end > today:
            return web.json_response(TIMEFRAME, status=403)
        return web.json_response(TODAY, status=403) if end == today else None


def make_split(ticker: str, day: date) -> Document:
    """Make a row of the splits endpoint."""
    return {
        "adjustment_type": "forward_split",
        "execution_date": str(day),
        "historical_adjustment_factor": 0.1,
        "id": f"E{zlib.crc32(ticker.encode()):x}",
        "split_from": 1,
        "split_to": 10,
        "ticker": ticker,
    }


def _market(symbol: str) -> str:
    return {"X:": "crypto", "C:": "fx"}.get(symbol[:2], "stocks")


def _start_of_day(symbol: str, day: date) -> datetime:
    """Ranges: midnight in New York for stocks, which moves with daylight saving; 00:00 UTC for the others."""
    return datetime(day.year, day.month, day.day, tzinfo=NEW_YORK if _market(symbol) == "stocks" else UTC)


def _end_of_day(symbol: str, day: date) -> datetime:
    """Grouped: 16:00 in New York for stocks; a millisecond before midnight UTC for the others."""
    if _market(symbol) == "stocks":
        return datetime(day.year, day.month, day.day, 16, tzinfo=NEW_YORK)
    return datetime(day.year, day.month, day.day, 23, 59, 59, 999_000, tzinfo=UTC)


def _milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)

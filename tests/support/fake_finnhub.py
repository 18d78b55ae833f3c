"""A fake Finnhub, as its documents and its users describe it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime

from aiohttp import web

from tests.support.fake_api import Document, FakeApi, Limit
from tests.support.fake_massive import Bar, make_bar

BAD_KEY: Document = {"error": "Invalid API key"}
NO_KEY: Document = {"error": "Please use an API key. You can sign up for a free account at https://finnhub.io/register"}
NO_ACCESS: Document = {"error": "You don't have access to this resource."}
TOO_MANY: Document = {"error": "API limit reached. Please try again later. Remaining Limit: 0"}


class FakeFinnhub(FakeApi):
    """The server.

    Attributes:
        bars: by symbol and session.
        premium: path parts that this key's plan lacks, `stock/candle` for the free one.
        premium_status: 403 today, 401 in 2021, with the same text.
        most_candles: the longest answer; the newest part is kept, silently.
        odd_last: let the newest candle carry another time of day.
        opening_times: give the market's opening as `t`, as before mid-2021.
    """

    def __init__(self, *, key: str = "finnhub-key-0123456789", limits: tuple[Limit, ...] = ()) -> None:
        super().__init__(key, limits)
        self.bars: dict[str, dict[date, Bar]] = {}
        self.premium: set[str] = set()
        self.premium_status = 403
        self.most_candles = 100_000
        self.odd_last = False
        self.opening_times = False

    def trade(self, symbol: str, sessions: Iterable[date]) -> None:
        """Let a symbol have a candle on each of these sessions."""
        self.bars.setdefault(symbol, {}).update((session, make_bar(symbol, session)) for session in sessions)

    def throttled(self) -> web.Response:
        return web.json_response(TOO_MANY, status=429)

    async def answer(self, request: web.Request) -> Document | web.StreamResponse:
        given = request.headers.get("X-Finnhub-Token", "") or request.query.get("token", "")
        if not given:
            return web.json_response(NO_KEY, status=429)
        if given != self.key:
            return web.json_response(BAD_KEY, status=401)
        path = request.path.removeprefix("/api/v1")
        if path not in ("/stock/candle", "/crypto/candle", "/forex/candle"):
            return web.Response(status=404, text="<html>404 page not found</html>", content_type="text/html")
        if path.strip("/") in self.premium:
            return web.json_response(NO_ACCESS, status=self.premium_status)
        try:
            symbol, resolution = request.query["symbol"], request.query["resolution"]
            start, end = int(request.query["from"]), int(request.query["to"])
        except (KeyError, ValueError):
            return web.json_response({"error": "Wrong arguments"}, status=422)
        days = [day for day in sorted(self.bars.get(symbol, {})) if start <= _midnight(day) <= end]
        days = days[-self.most_candles :]
        if resolution != "D" or not days:
            return {"s": "no_data"}
        bars = [self.bars[symbol][day] for day in days]
        times = [_midnight(day) + (48_600 if self.opening_times else 0) for day in days]
        if self.odd_last:
            times[-1] = _midnight(days[-1]) + 72_345
        return {
            "c": [bar.c for bar in bars],
            "h": [bar.h for bar in bars],
            "l": [bar.l for bar in bars],
            "o": [bar.o for bar in bars],
            "s": "ok",
            "t": times,
            "v": [bar.v for bar in bars],
        }


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())

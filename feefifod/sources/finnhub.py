"""Finnhub: day candles of one asset over a range.

Stock and forex candles need a paid plan; the API says so with a fixed text, under 403 or 401. An answer may silently
hold only the newest part of what was asked for.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, Self

from feefifod.errors import BadInput, FeefifodError, Unavailable
from feefifod.model import Category, Source
from feefifod.sources.candle import BadValue, DayCandle, check_inside, make_candle, read_instant
from feefifod.sources.failure import CategoryStopped, SourceStopped
from feefifod.sources.http import Again, Dialect, Document, HttpClient, Patience

if TYPE_CHECKING:
    from types import TracebackType

    from pydantic import SecretStr

    from feefifod.sources.pacing import Pacer
    from feefifod.sources.symbols import Symbol

MOST_PAGES: Final = 200

_PATHS: Final = {
    Category.STOCK: "/stock/candle",
    Category.COMMODITY: "/stock/candle",
    Category.CRYPTO: "/crypto/candle",
    Category.CURRENCY: "/forex/candle",
}
_DAY: Final = timedelta(days=1)


class Finnhub:
    """The API of Finnhub. An async context manager."""

    def __init__(self, base_url: str, key: SecretStr, pacer: Pacer, *, patience: Patience | None = None) -> None:
        self._http = HttpClient(_DIALECT, base_url, key, pacer, patience=patience)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def read_range(self, symbol: Symbol, start: date, end: date) -> tuple[DayCandle, ...]:
        """Return the split-adjusted day candles of one asset from `start` to `end`, both included, by date.

        Empty when the API says that it has none. When the answer begins later than `start`, which should be a day on
        which the market was open, the part before is asked for too, until nothing is left or the API has no more.

        Raises:
            BadInput, Unavailable, SourceStopped: see `failure`.
        """
        candles: dict[date, DayCandle] = {}
        last = end
        for _ in range(MOST_PAGES):
            page = await self._read_page(symbol, start, last)
            candles.update((candle.session, candle) for candle in page)
            if not page or page[0].session == start:
                return tuple(candles[session] for session in sorted(candles))
            last = page[0].session - _DAY
        raise BadInput(f"the answer comes in more than {MOST_PAGES} parts", where=symbol.text)

    async def _read_page(self, symbol: Symbol, start: date, end: date) -> list[DayCandle]:
        query = {
            "symbol": symbol.text,
            "resolution": "D",
            "from": str(_seconds(start)),
            "to": str(_seconds(end + _DAY) - 1),
        }
        url = self._http.url(_PATHS[symbol.category], query)
        return await self._http.get(url, lambda document: _read_candles(document, symbol, start, end))


def _refuse(status: int, text: str) -> FeefifodError | None:
    lower = text.lower()
    if "access to this resource" in lower:  # Came with 401, comes with 403.
        remedy = "Finnhub sells candles with its paid plans; use another plan, source or category"
        return CategoryStopped(f"the plan lacks this data: {text}", remedy=remedy)
    if status == 401 or "sign up for a free account" in lower:  # The latter is a 429: no key, or not a real one.
        return SourceStopped(f"Finnhub does not accept the API key: {text}", remedy="Check FINNHUB_API_KEY")
    if status == 403:
        return CategoryStopped(f"Finnhub refuses this data: {text}", remedy="Use another plan, source or category")
    return None


_DIALECT: Final = Dialect(Source.FINNHUB, lambda key: {"X-Finnhub-Token": key}, _refuse)


def _read_candles(document: Document, symbol: Symbol, start: date, end: date) -> list[DayCandle]:
    """Check an answer and return its candles by date."""

    def again(why: str) -> Again:
        return Again(BadInput(why, where=symbol.text), attempts=2)

    status = document.get("s")
    if status == "no_data":
        return []
    if status != "ok":
        raise Again(Unavailable(f"the answer says {document.get('error', status)!r}", where=symbol.text))
    columns = [document.get(name) for name in "tohlcv"]
    if not all(isinstance(column, list) for column in columns) or len({len(column or ()) for column in columns}) != 1:
        raise again("the columns differ in length or are missing")
    candles: dict[date, DayCandle] = {}
    try:
        for values in zip(*(column or () for column in columns), strict=True):
            row = dict(zip("tohlcv", values, strict=True))
            # 00:00 UTC today, the market's opening before mid-2021, odd for the newest candle: the date is what counts.
            session = read_instant(row["t"], per_second=1).date()
            check_inside(session, start, end)
            if session in candles:
                raise again(f"two candles of {session}")
            candles[session] = make_candle(session, row, symbol.quote_currency)
    except BadValue as error:
        raise again(str(error)) from None
    return [candles[session] for session in sorted(candles)]


def _seconds(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())

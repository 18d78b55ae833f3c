"""Massive.com (once Polygon.io): candles of one asset over a range, of a whole market on one day, and splits.

A day's candle has another `t` from each endpoint (a range gives the start of the day, grouped the end), and New York's
midnight moves with daylight saving: rows are keyed by the session's date, never by `t`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote
from zoneinfo import ZoneInfo

from yarl import URL

from feefifod.errors import BadInput, FeefifodError, Unavailable
from feefifod.model import Source
from feefifod.sources.candle import BadValue, DayCandle, GroupedDay, Split, check_inside, make_candle, read_instant
from feefifod.sources.failure import CategoryStopped, NoData, NotYet, OutOfReach, SourceStopped
from feefifod.sources.http import Again, Dialect, Document, HttpClient, MiB, Patience
from feefifod.sources.symbols import Market, market_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

    from pydantic import SecretStr

    from feefifod.sources.pacing import Pacer
    from feefifod.sources.symbols import Symbol

GROUPED_BYTES: Final = 32 * MiB
MOST_PAGES: Final = 200

_NEW_YORK: Final = ZoneInfo("America/New_York")
_GROUPED: Final = {
    Market.STOCKS: "/v2/aggs/grouped/locale/us/market/stocks/",
    Market.CRYPTO: "/v2/aggs/grouped/locale/global/market/crypto/",
    Market.FX: "/v2/aggs/grouped/locale/global/market/fx/",
}
_VENDOR_HOSTS: Final = ("api.massive.com", "api.polygon.io")
_DOUBTFUL_ATTEMPTS: Final = 2
"""How often an answer that is empty or cannot be right is asked for: known to happen and to pass under load."""


class Massive:
    """The API of Massive.com. An async context manager."""

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

        All pages or none: a page that fails, fails the call.

        Raises:
            NoData: the answer is wholly empty, asked twice.
            BadInput, Unavailable, SourceStopped: see `failure`.
        """
        path = f"/v2/aggs/ticker/{quote(symbol.text, safe=':')}/range/1/day/{start}/{end}"
        url: URL | None = self._http.url(path, {"adjusted": "true", "sort": "asc", "limit": "50000"})
        candles: dict[date, DayCandle] = {}

        def read(document: Document) -> tuple[list[DayCandle], URL | None]:
            rows = _read_rows(document)
            if document.get("ticker") != symbol.text and (rows or "ticker" in document):
                raise _doubtful(f"asked for {symbol.text}, the answer is about {document.get('ticker')!r}", symbol.text)
            found = [_read_bar(row, symbol, start, end) for row in rows]
            following = self._read_next_url(document)
            if not found and not candles and following is None:
                why = f"no candle at all from {start} to {end}, although the market was open"
                remedy = "Check the ticker and its category; the next run asks again"
                raise Again(NoData(why, where=symbol.text, remedy=remedy), attempts=_DOUBTFUL_ATTEMPTS)
            sessions = {candle.session for candle in found}
            if len(sessions) < len(found) or not sessions.isdisjoint(candles):
                raise _doubtful("a day comes twice", symbol.text)
            return found, following

        for _ in range(MOST_PAGES):
            if url is None:
                return tuple(candles[session] for session in sorted(candles))
            page, url = await self._http.get(url, read)
            candles.update((candle.session, candle) for candle in page)
        raise BadInput(f"the answer has more than {MOST_PAGES} pages", where=symbol.text)

    async def read_grouped(self, session: date, wanted: Collection[Symbol]) -> GroupedDay:
        """Return the split-adjusted candles of one session for the wanted symbols, which share a market.

        Raises:
            NoData: the answer is wholly empty, asked twice.
            BadInput, Unavailable, SourceStopped: see `failure`.
        """
        markets = {market_of(symbol.category) for symbol in wanted}
        if len(markets) != 1:
            raise BadInput("a grouped call is for the assets of one market")
        market = markets.pop()
        symbols = {symbol.text: symbol for symbol in wanted}

        def read(document: Document) -> GroupedDay:
            rows = _read_rows(document)
            if not rows:
                why = f"no candle at all on {session}, although the market was open"
                raise Again(NoData(why, where=f"massive {market}"), attempts=_DOUBTFUL_ATTEMPTS)
            candles: dict[str, DayCandle] = {}
            refused: dict[str, str] = {}
            for row in rows:
                text = row.get("T")
                symbol = symbols.get(text) if isinstance(text, str) else None
                if symbol is None:
                    continue
                if symbol.text in candles or symbol.text in refused:
                    refused[symbol.text] = "the symbol comes twice"
                    continue
                try:
                    candles[symbol.text] = _read_grouped_bar(row, symbol, market, session)
                except BadValue as error:
                    refused[symbol.text] = str(error)
            for text in refused:
                candles.pop(text, None)
            return GroupedDay(session, candles, refused)

        url = self._http.url(f"{_GROUPED[market]}{session}", {"adjusted": "true"})
        return await self._http.get(url, read, max_bytes=GROUPED_BYTES)

    async def read_splits(self, since: date, until: date) -> tuple[Split, ...]:
        """Return all splits of US stocks and funds executed from `since` to `until`, both included.

        Raises:
            CategoryStopped, NotFound: the endpoint is not available to this key.
            BadInput, Unavailable, SourceStopped: see `failure`.
        """
        query = {
            "execution_date.gte": str(since),
            "execution_date.lte": str(until),
            "limit": "5000",
            "sort": "execution_date.asc",
        }
        url: URL | None = self._http.url("/stocks/v1/splits", query)
        splits: list[Split] = []

        def read(document: Document) -> tuple[list[Split], URL | None]:
            return [_read_split(row) for row in _read_rows(document)], self._read_next_url(document)

        for _ in range(MOST_PAGES):
            if url is None:
                return tuple(splits)
            page, url = await self._http.get(url, read)
            splits += page
        raise BadInput(f"the list of splits has more than {MOST_PAGES} pages")

    def _read_next_url(self, document: Document) -> URL | None:
        """Return the next page's address at the configured host, without a key, or None.

        A gateway hands on the vendor's own addresses: their path and query are used, their host is not.
        """
        text = document.get("next_url")
        if not text:
            return None
        try:
            url = URL(str(text), encoded=True)
            base = self._http.base
            if url.is_absolute() and url.origin() == base.origin():
                path = url.raw_path
            elif url.scheme == "https" and url.host in _VENDOR_HOSTS and url.port == 443:
                path = base.raw_path.rstrip("/") + url.raw_path
            else:
                raise BadInput(f"the next page is at another host, {url.host!r}, and the key does not go there")
            query = [(name, value) for name, value in url.query.items() if name.lower() != "apikey"]
        except ValueError:
            raise BadInput("the next page's address is not one", where="massive") from None
        return base.with_path(path, encoded=True).with_query(query)


def _refuse(status: int, text: str) -> FeefifodError | None:
    """Tell the refusals apart (facts: three texts of 403 with three meanings)."""
    lower = text.lower()
    if status == 401:
        remedy = "Check MASSIVE_API_KEY"
        return SourceStopped(f"Massive does not accept the API key: {text}", remedy=remedy)
    if status != 403:
        return None
    if "before end of day" in lower:
        return NotYet(f"the day is not served yet: {text}", remedy="The next run gets it")
    if "timeframe" in lower:
        remedy = "Set sources.massive.history_days to what the plan has"
        return OutOfReach(f"too far back for the plan, or in the future: {text}", remedy=remedy)
    return CategoryStopped(f"the plan lacks this data: {text}", remedy="Use another plan, source or category")


_DIALECT: Final = Dialect(Source.MASSIVE, lambda key: {"Authorization": f"Bearer {key}"}, _refuse)


def _doubtful(why: str, where: str) -> Again:
    return Again(BadInput(why, where=where), attempts=_DOUBTFUL_ATTEMPTS)


def _read_rows(document: Document) -> list[dict[str, Any]]:
    """Return `results` after checking the envelope; missing or null means none."""
    status = document.get("status", "OK")
    if status not in ("OK", "DELAYED"):
        text = document.get("error") or document.get("message") or ""
        raise Again(Unavailable(f"the answer says {status!r} {text!r}", where="massive"))
    rows = document.get("results")
    if rows is None:
        rows = []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _doubtful("`results` is not a list of rows", "massive")
    if document.get("resultsCount", len(rows)) != len(rows):
        raise _doubtful(f"{document.get('resultsCount')} rows announced, {len(rows)} sent", "massive")
    if document.get("adjusted", True) is not True:
        raise _doubtful("asked for adjusted prices, the answer has others", "massive")
    return rows


def _read_bar(row: dict[str, Any], symbol: Symbol, start: date, end: date) -> DayCandle:
    try:
        instant = read_instant(row.get("t"), per_second=1000)
        zone = _NEW_YORK if market_of(symbol.category) is Market.STOCKS else UTC
        session = instant.astimezone(zone).date()
        check_inside(session, start, end)
        return make_candle(session, row, symbol.quote_currency)
    except BadValue as error:
        raise _doubtful(str(error), symbol.text) from None


def _read_grouped_bar(row: dict[str, Any], symbol: Symbol, market: Market, session: date) -> DayCandle:
    instant = read_instant(row.get("t"), per_second=1000)
    if market is Market.STOCKS:
        fits = instant.astimezone(_NEW_YORK).date() == session
    else:
        # The end of the window, in UTC or, as the documents have it, in Eastern Time.
        midnight = datetime(session.year, session.month, session.day, tzinfo=UTC)
        fits = midnight <= instant <= midnight + timedelta(days=1, hours=5)
    if not fits:
        raise BadValue(f"a candle of {instant:%Y-%m-%d %H:%M} UTC, outside the request")
    return make_candle(session, row, symbol.quote_currency)


def _read_split(row: dict[str, Any]) -> Split:
    try:
        return Split(str(row["ticker"]), date.fromisoformat(str(row["execution_date"])))
    except (KeyError, ValueError):
        raise _doubtful("a split without ticker or date", "massive") from None

"""Splits: prices are adjusted for them, so a new one makes all stored candles of its asset old; they are pulled again.

Facts: Massive's history restates on splits; its splits endpoint is on all plans since 2026, but not with every key.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from feefifod.backfill.outline import last_session
from feefifod.errors import BadInput, Unavailable
from feefifod.model import Category, Source
from feefifod.schedule.plan import RangeCall
from feefifod.schedule.sessions import list_sessions
from feefifod.sink import SeriesCount, count_one, read_ends
from feefifod.sources.failure import NotFound, SourceStopped
from feefifod.sources.symbols import Market, market_of

if TYPE_CHECKING:
    from feefifod.backfill.outline import Outline, Target
    from feefifod.backfill.report import Listener, Report
    from feefifod.backfill.tools import Tools
    from feefifod.sources.massive import Massive

_EPOCH: Final = date(1970, 1, 1)
_LAST_US: Final = 4_000_000_000_000_000
"""Later than any candle."""


class Splits:
    """Finds the assets of a run whose history has to be pulled again."""

    def __init__(self, tools: Tools, outline: Outline, report: Report, listener: Listener) -> None:
        self._tools = tools
        self._outline = outline
        self._report = report
        self._listener = listener
        self._session = last_session(Category.STOCK, Source.MASSIVE, tools.now())

    async def find(self, api: Massive) -> list[RangeCall]:
        """Look for splits since the candles of each asset were pulled; returns the calls that pull them again.

        One look a session is enough. An API that does not tell fails nothing: the next run looks again.
        """
        targets = {
            asset_id: target
            for asset_id, target in self._outline.targets.items()
            if market_of(target.asset.category) is Market.STOCKS and not self._report.results[asset_id].reasons
        }
        bases = await self._tools.patiently(partial(self._tools.runs.read_bases, Source.MASSIVE, targets))
        bases = {asset_id: basis for asset_id, basis in bases.items() if basis.checked_on < self._session}
        if not bases:
            return []
        since = min(basis.pulled_on for basis in bases.values()) + timedelta(days=1)
        try:
            splits = await api.read_splits(since, self._session)
        except (NotFound, SourceStopped) as error:
            self._note(f"splits are not looked for, this key cannot see them: {error.why}")
            return []
        except (BadInput, Unavailable) as error:
            self._note(f"splits could not be looked for, the next run does it: {error.why}")
            return []
        executed: dict[str, date] = {}
        for split in splits:
            executed[split.ticker] = max(split.execution_date, executed.get(split.ticker, split.execution_date))
        hit = {
            asset_id: executed[targets[asset_id].symbol.text]
            for asset_id, basis in bases.items()
            if executed.get(targets[asset_id].symbol.text, basis.pulled_on) > basis.pulled_on
        }
        quiet = bases.keys() - hit.keys()
        await self._tools.patiently(partial(self._tools.runs.check_basis, Source.MASSIVE, quiet, self._session))
        calls = []
        for asset_id, day in hit.items():
            self._note(f"{targets[asset_id].asset.ticker} was split on {day}: its candles are pulled again")
            call = await self._make_call(targets[asset_id])
            if call is not None:
                calls.append(call)
        return calls

    async def finish(self, calls: list[RangeCall]) -> None:
        """Record which assets were pulled again."""
        done = [call.asset_id for call in calls if not self._report.results[call.asset_id].reasons]
        await self._tools.patiently(partial(self._tools.runs.move_basis, Source.MASSIVE, done, self._session))

    async def _make_call(self, target: Target) -> RangeCall | None:
        client, table = self._tools.client, self._tools.questdb.table
        ends = await self._tools.patiently(partial(read_ends, client, table))
        stored = SeriesCount(0, None, None)
        for start, end in client.partitioning(table).divide_within(0, _LAST_US, ends):
            question = partial(
                count_one,
                client,
                table,
                source=Source.MASSIVE,
                asset_id=target.asset.id,
                interval_minutes=1440,
                quote=target.symbol.quote_currency,
                first_us=start,
                last_us=end,
            )
            stored += await self._tools.patiently(question)
        if stored.first_us is None or stored.last_us is None:
            return None
        first, last = _day(stored.first_us), _day(stored.last_us)
        if first < self._outline.oldest:
            self._note(
                f"{target.asset.ticker}: candles before {self._outline.oldest} stay as they are, not adjusted for the"
                " split: the plan does not go back so far"
            )
        sessions = list_sessions(target.asset.category, max(first, self._outline.oldest), last)
        return RangeCall(target.asset.id, sessions) if sessions else None

    def _note(self, text: str) -> None:
        structlog.get_logger().info("backfill_note", note=text)
        self._report.notes.append(text)
        self._listener.noted(text)


def _day(time_us: int) -> date:
    return _EPOCH + timedelta(microseconds=time_us)

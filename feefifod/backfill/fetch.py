"""Calls, one after the other: what an answer means for its assets, and which failures end more than one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from feefifod.backfill.outline import oldest_day
from feefifod.errors import BadInput, FeefifodError, Unavailable
from feefifod.schedule.plan import RangeCall
from feefifod.schedule.sessions import list_sessions
from feefifod.sources.failure import CategoryStopped, NotYet, SourceStopped
from feefifod.sources.massive import Massive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from feefifod.backfill.outline import Call, Outline, Target
    from feefifod.backfill.report import AssetResult, Report
    from feefifod.backfill.tools import Tools
    from feefifod.model import Category
    from feefifod.schedule.plan import GroupedCall
    from feefifod.sources.candle import DayCandle
    from feefifod.sources.finnhub import Finnhub

_MOST_AWAY: Final = 10
"""So many calls in a row that find the API away, each tried several times: it is not these assets."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a call brought, by asset id; `absent` are sessions that a complete answer does not have."""

    start: date
    end: date
    candles: Mapping[int, tuple[DayCandle, ...]]
    absent: Mapping[int, tuple[date, ...]]

    @property
    def asset_ids(self) -> set[int]:
        """The assets it is about."""
        return {*self.candles, *self.absent}


@dataclass(slots=True)
class Fetcher:
    """Makes the calls of a run. A failure is noted with its assets; the other calls go on."""

    tools: Tools
    outline: Outline
    report: Report
    api: Massive | Finnhub
    _closed: dict[Category, str] = field(default_factory=dict)
    _away: int = 0

    async def fetch(self, call: Call) -> Fetched | None:
        """Make one call; None when it brought nothing.

        Raises:
            Refused: PostgreSQL, which keeps the pace, is away for too long.
        """
        targets = self._open_targets(call)
        if not targets:
            return None
        try:
            if isinstance(call, RangeCall):
                fetched = await self._fetch_range(call, targets[0])
            else:
                fetched = await self._fetch_grouped(call, targets)
        except (BadInput, Unavailable, SourceStopped) as error:
            self._note_failure(call, targets, error)
            return None
        self._away = 0
        return fetched

    def _open_targets(self, call: Call) -> list[Target]:
        """Return the assets of a call that may still be asked for; the others get the reason why not."""
        ids = (call.asset_id,) if isinstance(call, RangeCall) else call.asset_ids
        targets = []
        for asset_id in ids:
            target = self.outline.targets[asset_id]
            why = self.report.stopped or self._closed.get(target.asset.category)
            if why:
                self._result(target).fail(why)
            else:
                targets.append(target)
        return targets

    async def _fetch_range(self, call: RangeCall, target: Target) -> Fetched | None:
        # A long run crosses midnights, and with each of them the plan's history loses a day.
        oldest = oldest_day(self.tools.settings_of(self.outline.source), self.tools.now())
        sessions = [session for session in call.sessions if session >= oldest]
        if not sessions:
            self._result(target).fail(f"all of its sessions are before {oldest} by now, out of the plan's history")
            return None
        start, end = sessions[0], sessions[-1]
        candles = await self.api.read_range(target.symbol, start, end)
        if not candles:
            self._result(target).remarks.append(f"the API has no data from {start} to {end}; the next run asks again")
            return None
        kept = _keep_sessions(candles, target.asset.category, start, end)
        found = {candle.session for candle in candles}
        absent = tuple(session for session in sessions if session not in found)
        return Fetched(start, end, {target.asset.id: kept}, {target.asset.id: absent})

    async def _fetch_grouped(self, call: GroupedCall, targets: list[Target]) -> Fetched:
        if not isinstance(self.api, Massive):
            raise TypeError("only Massive has grouped calls")
        session = call.session
        day = await self.api.read_grouped(session, [target.symbol for target in targets])
        candles: dict[int, tuple[DayCandle, ...]] = {}
        absent: dict[int, tuple[date, ...]] = {}
        for target in targets:
            text = target.symbol.text
            if text in day.refused:
                self._result(target).fail(f"{session}: {day.refused[text]}")
            elif text in day.candles:
                candles[target.asset.id] = (day.candles[text],)
            else:
                absent[target.asset.id] = (session,)
        return Fetched(session, session, candles, absent)

    def _note_failure(self, call: Call, targets: list[Target], error: FeefifodError) -> None:
        reason = f"{error.why}. {error.remedy}".removesuffix(". ")
        if isinstance(error, CategoryStopped):
            for category in {target.asset.category for target in targets}:
                self._closed[category] = reason
                structlog.get_logger().warning("backfill_category_stopped", category=str(category), reason=reason)
        elif isinstance(error, SourceStopped):
            self.report.stopped = reason
        elif isinstance(error, Unavailable) and not isinstance(error, NotYet):
            self._away += 1
            if self._away == _MOST_AWAY:
                self.report.stopped = f"the API stays away, {_MOST_AWAY} calls in a row failed: {reason}"
        else:
            self._away = 0
        where = "" if isinstance(call, RangeCall) else f"{call.session}: "
        stops = isinstance(error, SourceStopped)
        for target in targets:
            self._result(target).fail(reason if stops else where + reason)

    def _result(self, target: Target) -> AssetResult:
        return self.report.results[target.asset.id]


def _keep_sessions(candles: tuple[DayCandle, ...], category: Category, start: date, end: date) -> tuple[DayCandle, ...]:
    """Leave out candles of days on which the market is shut, such as the few hours of a forex Sunday."""
    sessions = set(list_sessions(category, start, end))
    return tuple(candle for candle in candles if candle.session in sessions)

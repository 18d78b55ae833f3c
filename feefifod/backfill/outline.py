"""What a run will do: which sessions of which assets are missing, and the calls that get them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from feefifod.backfill.report import AssetResult
from feefifod.backfill.stored import read_stored
from feefifod.config import FinnhubSettings
from feefifod.errors import BadInput, Refused
from feefifod.model import Category, Source
from feefifod.schedule.plan import Grouped, GroupedCall, RangeCall, make_plan
from feefifod.schedule.sessions import day_microseconds, last_finished_day, list_sessions
from feefifod.sources.symbols import Market, market_of, name_for_finnhub, name_for_massive
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from feefifod.backfill.report import Report
    from feefifod.backfill.request import Request
    from feefifod.backfill.tools import Tools
    from feefifod.config import SourceSettings
    from feefifod.model import Asset
    from feefifod.sources.symbols import Symbol

Call = RangeCall | GroupedCall

_ROWS_AT_ONCE: Final = 500_000


@dataclass(frozen=True, slots=True)
class Target:
    """An asset and its name at the API."""

    asset: Asset
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Outline:
    """A plan, before its first call.

    Attributes:
        targets: the assets that have a name at the API, by id.
        missing: candles that are asked for.
        stored: sessions that are in the table already.
        too_old: sessions before `oldest`, the limit of the plan's history, which are not asked for.
        seconds: how long the calls take at the configured pace.
    """

    source: Source
    targets: Mapping[int, Target]
    calls: tuple[Call, ...]
    missing: int
    stored: int
    too_old: int
    oldest: date
    history_days: int
    seconds: float

    def explain_limit(self) -> str:
        """Say what is out of reach; empty when nothing is."""
        if not self.too_old:
            return ""
        return (
            f"{self.too_old} sessions before {self.oldest} are not asked for: the plan goes back {self.history_days}"
            f" days (sources.{self.source}.history_days)"
        )


def oldest_day(settings: SourceSettings, now: datetime) -> date:
    """Return the first day that the plan's history still has."""
    # Counted from the date of UTC, which is never behind New York's: a day too far back fails the whole call.
    return now.astimezone(UTC).date() - timedelta(days=settings.history_days)


def last_session(category: Category, source: Source, now: datetime) -> date:
    """Return the last session that is over."""
    over = last_finished_day(category, now, source)
    return list_sessions(category, over - timedelta(days=14), over)[-1]


async def choose_assets(tools: Tools, request: Request) -> list[Asset]:
    """Return the one asset, or all active ones.

    Raises:
        Refused: there is no such asset.
        ConfigError: the ticker is ambiguous.
    """
    if request.ticker:
        return [await tools.patiently(lambda: tools.assets.find(request.ticker, request.category))]
    return await tools.patiently(lambda: tools.assets.list(category=request.category, active=True))


def name_asset(asset: Asset, settings: SourceSettings) -> Symbol:
    """Return an asset's name at an API.

    Raises:
        BadInput: it has none there.
    """
    if isinstance(settings, FinnhubSettings):
        return name_for_finnhub(asset.ticker, asset.category, asset.quote_currency, settings)
    return name_for_massive(asset.ticker, asset.category, asset.quote_currency)


async def make_outline(tools: Tools, request: Request, report: Report, *, has_table: bool) -> Outline:
    """Find what is missing and the cheapest calls for it; every asset gets its result in `report`.

    Raises:
        Refused: there is no such asset, or all that is asked for is out of reach.
        ConfigError: the ticker is ambiguous.
    """
    now = tools.now()
    source, settings = request.source, tools.settings_of(request.source)
    targets: dict[int, Target] = {}
    for asset in await choose_assets(tools, request):
        result = report.results.setdefault(asset.id, AssetResult(asset))
        try:
            symbol = name_asset(asset, settings)
        except BadInput as error:
            result.fail(f"{error.why}. {error.remedy}".removesuffix(". "))
            continue
        result.symbol = symbol.text
        targets[asset.id] = Target(asset, symbol)
    oldest = oldest_day(settings, now)
    spans = {category: request.span(category, now) for category in {t.asset.category for t in targets.values()}}
    if spans and max(end for _, end in spans.values()) < oldest:
        raise Refused(
            f"all of it lies before {oldest}, and the plan goes back {count_of(settings.history_days, 'day')}",
            where=str(source),
            remedy=f"Ask for later days, or set sources.{source}.history_days to what the plan has",
        )
    missing, stored = await _find_missing(tools, request, targets, spans, has_table=has_table)
    for asset_id, count in stored.items():
        report.results[asset_id].unchanged = count
    calls, too_old = _plan(request, targets, missing, oldest)
    return Outline(
        source=source,
        targets=targets,
        calls=calls,
        missing=sum(len(sessions) for sessions in missing.values()) - too_old,
        stored=sum(stored.values()),
        too_old=too_old,
        oldest=oldest,
        history_days=settings.history_days,
        seconds=max(0, len(calls) - 1) * tools.spacing_of(source),
    )


async def _find_missing(
    tools: Tools,
    request: Request,
    targets: Mapping[int, Target],
    spans: Mapping[Category, tuple[date, date]],
    *,
    has_table: bool,
) -> tuple[dict[int, list[date]], dict[int, int]]:
    """Return the sessions to ask for and the number of stored ones, by asset."""
    missing: dict[int, list[date]] = defaultdict(list)
    stored: dict[int, int] = defaultdict(int)
    if not targets:
        return missing, stored
    sessions = {category: list_sessions(category, start, end) for category, (start, end) in spans.items()}
    first, last = min(start for start, _ in spans.values()), max(end for _, end in spans.values())
    step = timedelta(days=max(31, _ROWS_AT_ONCE // len(targets)))
    while first <= last:
        end = min(first + step, last)
        known = await read_stored(tools, request.source, targets, first, end) if has_table else {}
        quiet: set[tuple[int, str, date]] = set()
        if not request.again:
            read = partial(tools.runs.read_no_trades, request.source, list(targets), first, end)
            quiet = await tools.patiently(read)
        days = {
            category: [(day, day_microseconds(day)) for day in all_days if first <= day <= end]
            for category, all_days in sessions.items()
        }
        for asset_id, target in targets.items():
            symbol = target.symbol
            for day, time_us in days[symbol.category]:
                is_stored = (asset_id, symbol.quote_currency, time_us) in known
                stored[asset_id] += is_stored
                if request.again or not (is_stored or (asset_id, symbol.text, day) in quiet):
                    missing[asset_id].append(day)
        first = end + timedelta(days=1)
    return missing, stored


def _plan(
    request: Request, targets: Mapping[int, Target], missing: Mapping[int, Sequence[date]], oldest: date
) -> tuple[tuple[Call, ...], int]:
    """Return the calls, market by market, and how many sessions are too old."""
    grouped = Grouped.NEVER
    if request.source is Source.MASSIVE and not request.ticker:
        grouped = Grouped.ALWAYS if request.grouped else Grouped.ALLOWED
    calls: list[Call] = []
    too_old = 0
    for market in Market:
        of_market = {
            asset_id: sessions
            for asset_id, sessions in missing.items()
            if market_of(targets[asset_id].asset.category) is market
        }
        plan = make_plan(of_market, oldest=oldest, grouped=grouped)
        calls += plan.calls
        too_old += sum(len(sessions) for sessions in plan.too_old.values())
    return tuple(calls), too_old

"""Which of the things in the data folder are to be ingested, and why the others are not."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from feefifod.catalog import BadName, Drop
from feefifod.config import takes_interval
from feefifod.model import Series
from feefifod.parse.line import escape
from feefifod.parse.names import Kind
from feefifod.parse.tiers import tier_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from feefifod.config import WatchSettings
    from feefifod.discover import Found, Settlement
    from feefifod.model import Tier
    from feefifod.parse.names import Verdict


@dataclass(slots=True)
class Selection:
    """A scan, sorted out.

    Attributes:
        drops: complete and wanted.
        refused: complete, but refused for their very name.
        waiting: wanted, not complete yet: found and settlement.
        zips: complete ones, whose members are drops when they are unpacked.
    """

    drops: list[Drop] = field(default_factory=list)
    refused: list[BadName] = field(default_factory=list)
    waiting: list[tuple[Found, Settlement]] = field(default_factory=list)
    zips: list[Found] = field(default_factory=list)

    @property
    def wait_seconds(self) -> float | None:
        """When the next waiting file is worth another look, or None."""
        return min((settlement.wait_seconds for _, settlement in self.waiting), default=None)


def select(
    found: Sequence[Found],
    settlements: Mapping[str, Settlement],
    watch: WatchSettings,
    tiers: Mapping[Tier, Sequence[str]],
) -> Selection:
    """Sort out a scan."""
    selection = Selection()
    for item in found:
        if item.stamp is None or why_unwanted(item, watch, tiers):
            continue
        settlement = settlements[item.path]
        path, name, stamp = os.fsencode(item.path), show_name(item.path), item.stamp
        if not settlement.complete:
            selection.waiting.append((item, settlement))
        elif item.verdict.kind is Kind.ZIP:
            selection.zips.append(item)
        elif item.verdict.kind is Kind.INVALID:
            selection.refused.append(BadName(path, name, stamp, item.verdict.reason, item.membership))
        else:
            drop = Drop(path, name, stamp, series_of(item), item.membership, item.verdict.wrapping)
            selection.drops.append(drop)
    return selection


def why_unwanted(found: Found, watch: WatchSettings, tiers: Mapping[Tier, Sequence[str]]) -> str:
    """Return why a file is left alone whether complete or not; "" when it is wanted."""
    return why_name_unwanted(found.verdict, watch, tiers)


def why_name_unwanted(verdict: Verdict, watch: WatchSettings, tiers: Mapping[Tier, Sequence[str]]) -> str:
    """Return why a file of this name is left alone; "" when it is wanted. A zip is: its members are judged."""
    if verdict.kind is Kind.IGNORED:
        return verdict.reason
    if verdict.pair is None or verdict.interval_minutes is None:
        return ""
    tier = tier_of(verdict.pair.ticker, tiers)
    if "ALL" not in watch.tiers and tier not in watch.tiers:
        return f"{verdict.pair.ticker} is {tier}, and only {', '.join(watch.tiers)} is wanted ([watch] tiers)"
    if not takes_interval(watch, verdict.interval_minutes):
        wanted = ", ".join(map(str, watch.intervals))
        return f"its interval is {verdict.interval_minutes}, and only {wanted} is wanted ([watch] intervals)"
    return ""


def series_of(found: Found) -> Series:
    """Return the series that an OHLCVT file feeds."""
    pair, interval = found.verdict.pair, found.verdict.interval_minutes
    if pair is None or interval is None:
        raise ValueError(f"not an OHLCVT name: {found.path!r}")
    return Series(pair.ticker, pair.category, pair.quote, interval)


def show_name(path: str) -> str:
    """Return a file's name, printable."""
    return escape(os.fsencode(PurePath(path).name))

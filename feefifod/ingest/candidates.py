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
    """What a look showed, sorted out.

    Attributes:
        zips: complete ones, whose members are drops when they are unpacked.
        due_seconds: when a waiting file is worth another look, or None.
        scanned: whether the whole folder was listed for it, and it is time to compare that with the ledger.
    """

    drops: list[Drop] = field(default_factory=list)
    refused: list[BadName] = field(default_factory=list)
    waiting: list[tuple[Found, Settlement]] = field(default_factory=list)
    zips: list[Found] = field(default_factory=list)
    due_seconds: float | None = None
    scanned: bool = False

    def add(self, found: Found) -> None:
        """Sort a complete file in."""
        path, name = os.fsencode(found.path), show_name(found.path)
        if found.stamp is None:
            return
        if found.verdict.kind is Kind.ZIP:
            self.zips.append(found)
        elif found.verdict.kind is Kind.INVALID:
            self.refused.append(BadName(path, name, found.stamp, found.verdict.reason, found.membership))
        else:
            drop = Drop(path, name, found.stamp, series_of(found), found.membership, found.verdict.wrapping)
            self.drops.append(drop)

    def wait(self, found: Found, settlement: Settlement) -> None:
        """Sort in what has to wait."""
        self.waiting.append((found, settlement))
        if self.due_seconds is None or settlement.wait_seconds < self.due_seconds:
            self.due_seconds = settlement.wait_seconds


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


def why_kind_unwanted(verdict: Verdict, watch: WatchSettings, tiers: Mapping[Tier, Sequence[str]]) -> str:
    """Return the same in words that are the same for all files of a kind, so that they can be counted by them."""
    reason = why_name_unwanted(verdict, watch, tiers)
    return reason.replace(f"{verdict.pair.ticker} is ", "its asset is of ", 1) if verdict.pair else reason


def series_of(found: Found) -> Series:
    """Return the series that an OHLCVT file feeds."""
    pair, interval = found.verdict.pair, found.verdict.interval_minutes
    if pair is None or interval is None:
        raise ValueError(f"not an OHLCVT name: {found.path!r}")
    return Series(pair.ticker, pair.category, pair.quote, interval)


def show_name(path: str) -> str:
    """Return a file's name, printable."""
    return escape(os.fsencode(PurePath(path).name))

"""What a backfill tells: the plan, progress, and what became of every asset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from feefifod.catalog import RunCounts
from feefifod.wording import count_of

if TYPE_CHECKING:
    from feefifod.backfill.outline import Outline
    from feefifod.model import Asset
    from feefifod.sources.candle import DayCandle


@dataclass(slots=True)
class AssetResult:
    """One asset in a run; counts are of day candles.

    Attributes:
        symbol: the API's name of it; empty when it has none there.
        unchanged: in the table as they were: not asked for again, or asked for and equal.
        no_trades: sessions on which it did not trade, found in this run.
        reasons: why it failed; empty when it did not.
        remarks: what is worth knowing but is no failure.
    """

    asset: Asset
    symbol: str = ""
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    no_trades: int = 0
    reasons: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def fail(self, reason: str) -> None:
        """Note why it fails; the same reason counts once."""
        if reason not in self.reasons:
            self.reasons.append(reason)


@dataclass(frozen=True, slots=True)
class Preview:
    """A candle that a dry run would write; `change` is `new` or `changed`."""

    asset: Asset
    candle: DayCandle
    change: str


@dataclass(slots=True)
class Report:
    """A run as a whole.

    Attributes:
        results: by asset id.
        previews: what a dry run would write.
        notes: what is worth knowing about the run as a whole.
        stopped: why the API was given up before all calls were made; empty when it was not.
    """

    results: dict[int, AssetResult] = field(default_factory=dict)
    previews: list[Preview] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: str = ""
    calls_planned: int = 0
    calls_done: int = 0

    @property
    def failures(self) -> list[AssetResult]:
        """The assets that failed."""
        return [result for result in self.results.values() if result.reasons]

    @property
    def failed(self) -> bool:
        """Whether anything failed."""
        return bool(self.stopped or self.failures)

    def counts(self) -> RunCounts:
        """Add everything up."""
        results = self.results.values()
        return RunCounts(
            assets=len(results),
            assets_failed=len(self.failures),
            calls_planned=self.calls_planned,
            calls_done=self.calls_done,
            created=sum(result.created for result in results),
            updated=sum(result.updated for result in results),
            unchanged=sum(result.unchanged for result in results),
            no_trades=sum(result.no_trades for result in results),
        )

    def summarize(self) -> str:
        """Say in one line why the run failed; empty when it did not."""
        failures = self.failures
        parts = [self.stopped] if self.stopped else []
        if failures:
            first = failures[0]
            parts.append(
                f"{len(failures)} of {count_of(len(self.results), 'asset')} failed,"
                f" first {first.asset.ticker}: {first.reasons[0]}"
            )
        return "; ".join(parts)[:1000]


class Listener(Protocol):
    """Somebody who watches a backfill."""

    def planned(self, outline: Outline) -> None:
        """The plan, before the first call."""

    def called(self, done: int, total: int) -> None:
        """So many calls of so many are done; the total can grow."""

    def noted(self, text: str) -> None:
        """Something worth knowing about the run."""


class SilentListener:
    """Watches nothing."""

    def planned(self, outline: Outline) -> None:
        """Do nothing."""

    def called(self, done: int, total: int) -> None:
        """Do nothing."""

    def noted(self, text: str) -> None:
        """Do nothing."""

"""What `feefifod top` shows: one look at the daemon, and the rates that follow from several."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group
from rich.text import Text

from feefifod.cli.tables import make_facts
from feefifod.log import escape_controls
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

HISTORY: Final = 40
"""So many rates are shown as a curve."""

_BARS: Final = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Look:
    """What the daemon said at one moment.

    Attributes:
        at: monotonic seconds.
        status: the document of `status --json`.
        metrics: each sample's value, by name and labels.
        reasons: why it is not ready; empty when it is.
    """

    at: float
    status: Mapping[str, Any]
    metrics: Mapping[tuple[str, frozenset[tuple[str, str]]], float]
    reasons: tuple[str, ...]

    def sum(self, name: str) -> float:
        """Add a metric up over its labels."""
        return sum(value for (found, _), value in self.metrics.items() if found == name)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return a metric's values by one of its labels."""
        return {dict(labels).get(label, ""): value for (found, labels), value in self.metrics.items() if found == name}


def read_metrics(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read Prometheus' text format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@dataclass(slots=True)
class View:
    """Remembers earlier looks for the rates."""

    _last: Look | None = None
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def render(self, look: Look) -> RenderableType:
        """Take a look into account, and draw it."""
        if self._last is not None and look.at > self._last.at:
            sent = look.sum("feefifod_rows_read_total") - self._last.sum("feefifod_rows_read_total")
            self._rates.append(max(sent, 0.0) / (look.at - self._last.at))
        self._last = look
        status, daemon, questdb = look.status, look.status["daemon"], look.status["questdb"]
        rate = self._rates[-1] if self._rates else 0.0
        pending = f", {questdb['pending_rows']:,} pending" if questdb["pending_rows"] else ""
        rows = "unknown" if questdb["rows"] is None else f"{count_of(questdb['rows'], 'row')}{pending}"
        ready = Text(f"pid {daemon['pid']}, since {daemon['since']}, ")
        ready.append("ready" if not look.reasons else "NOT READY", style="red" if look.reasons else "green")
        facts: list[tuple[str, object]] = [
            ("daemon", ready),
            ("files", _join(status["files"].items())),
            ("in flight", self._describe_work(look)),
            ("rows/s", Text(f"{rate:>12,.0f} ").append(draw_curve(self._rates), style="cyan")),
            ("QuestDB", questdb["error"] or f"{questdb['table']}: {rows}"),
            ("PostgreSQL", status["postgres"]["error"] or "reachable"),
        ]
        facts += [("schedule", _describe_schedule(item)) for item in status["schedules"]]
        trouble = [Text(f"→ {escape_controls(reason)}", style="yellow") for reason in look.reasons]
        errors = [
            Text(f"  {error['at']}  {escape_controls(error['error'])}", style="red", overflow="ellipsis", no_wrap=True)
            for error in reversed(status.get("errors", ()))
        ]
        return Group(make_facts(facts), *trouble, *([Text("last errors", style="bold"), *errors] if errors else []))

    def _describe_work(self, look: Look) -> str:
        lanes = look.by("feefifod_windows_in_flight", "lane")
        batches, files = look.sum("feefifod_batches_in_flight"), look.sum("feefifod_files_in_flight")
        windows = ", ".join(f"{number:.0f} by {lane}" for lane, number in sorted(lanes.items()))
        at_work = f"{count_of(int(batches), 'batch', 'batches')}, {count_of(int(files), 'file')}"
        return f"{at_work}; windows: {windows or 'none'}"


def draw_curve(values: Iterable[float]) -> str:
    """Draw numbers as bars, the largest at full height."""
    numbers = list(values)
    most = max(numbers, default=0.0)
    return "".join(_BARS[round(number / most * (len(_BARS) - 1))] if most else _BARS[0] for number in numbers)


def _join(counts: Iterable[tuple[str, int | None]]) -> str:
    return "  ".join(f"{name} {'?' if count is None else f'{count:,}'}" for name, count in counts)


def _describe_schedule(item: Mapping[str, Any]) -> str:
    last = item["last"]
    before = f"last {last['started_at']}: {last['outcome'] or 'running'}, " if last else ""
    return f"{item['name']}: {before}next {item['next_at'] or 'unknown'}"

"""What Prometheus can scrape: what this process has done, and how things stand."""

from __future__ import annotations

import platform
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from feefifod import __version__
from feefifod.catalog import Ledger
from feefifod.daemon.mending import Cause
from feefifod.daemon.standing import Standing
from feefifod.model import FileState, Source
from feefifod.pulse import still_for
from feefifod.sources import tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from feefifod.catalog import Claim, Database
    from feefifod.daemon.outlook import Disk
    from feefifod.errors import FeefifodError
    from feefifod.ingest.report import FileResult
    from feefifod.model import Frame
    from feefifod.sink import Lane, Receipt

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_ENDS: Final = (FileState.DONE, FileState.REJECTED, FileState.DUPLICATE, FileState.EMPTY)
_TROUBLE_SECONDS: Final = 15.0
_MOST_ERRORS: Final = 5
_LANES: Final = ("ilp", "bulk")
_OUTCOMES: Final[tuple[tally.Outcome, ...]] = ("ok", "retried", "throttled", "failed")


class Metrics:
    """All metrics of a daemon, in a registry of their own. It is the listener of its ingestion."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._finished = self._counter("files_finished", "Files that came to their end, by how.", "state")
        self._accepted = self._counter("rows_accepted", "Rows of finished files that are proven to be in the table.")
        self._rejected = self._counter("rows_rejected", "Rows of finished files that were refused.")
        self._odd = self._counter("rows_odd", "Rows that were stored although they look wrong.")
        self._read_rows = self._counter("rows_read", "Rows that were read from files and acknowledged by QuestDB.")
        self._read_bytes = self._counter("read_bytes", "Bytes of files whose rows were acknowledged by QuestDB.")
        self._sent = self._counter("rows_sent", "Rows that QuestDB acknowledged, by lane.", "lane")
        self._retries = self._counter("send_retries", "Pieces of windows that were sent again, by lane.", "lane")
        self._batches = self._counter("batches_started", "Batches that were begun, by lane.", "lane")
        self._batch_files = self._counter("batch_files", "Files of batches that were begun.")
        self._batch_bytes = self._counter("batch_bytes", "Bytes of batches that were begun.")
        self._attempts = self._counter(
            "failed_attempts", "Attempts that failed because something was away or in the way."
        )
        self._outages = self._counter("outages", "Times that something began to be away or in the way.")
        self._checks = self._counter("repair_checks", "Checks of the table after an accident, by what it was.", "cause")
        self._repaired = self._counter("rows_repaired", "Rows that QuestDB had lost, and has again from the archive.")
        self._unrepaired = self._counter("repair_differences", "Differences that checks found and could not repair.")
        self._window = Histogram(
            "feefifod_window_seconds",
            "Time from handing a window to a lane to its acknowledgement.",
            ["lane"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._in_flight = self._gauge("windows_in_flight", "Windows that are being encoded or sent, by lane.", "lane")
        self._batches_now = self._gauge("batches_in_flight", "Batches of files that are being loaded.")
        self._files_now = self._gauge("files_in_flight", "Files that are being loaded.")
        self._lag = self._gauge(
            "checkpoint_lag_seconds", "Age of the oldest acknowledged window that no checkpoint covers yet."
        )
        self._stillness = self._gauge("work_still_seconds", "Time since the work in flight that is stillest has moved.")
        self._standing = Standing(self.registry)
        for state in _ENDS:
            self._finished.labels(state)
        for lane in _LANES:
            for metric in (self._sent, self._retries, self._batches, self._window, self._in_flight):
                metric.labels(lane)
        for cause in Cause:
            self._checks.labels(cause)
        self._build = self._gauge("build_info", "The version that runs.", "version", "python")
        self._build.labels(__version__, platform.python_version()).set(1)
        self._started = self._gauge("start_time_seconds", "When the daemon started, seconds since 1970.")
        self._started.set_to_current_time()
        ProcessCollector(registry=self.registry)
        self.registry.register(_ApiCalls())
        self._uncovered_since: float | None = None
        self._trouble = ("", 0.0)
        self.errors: deque[tuple[datetime, str]] = deque(maxlen=_MOST_ERRORS)
        self.done_at: float | None = None
        self.loading = self.sent_rows = self.files = self.rows = self.rejected_files = 0

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"feefifod_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"feefifod_{name}", text, labels, registry=self.registry)

    def batch_started(self, files: int, size_bytes: int, lane: str) -> None:
        """Count it."""
        self._batches.labels(lane).inc()
        self._batch_files.inc(files)
        self._batch_bytes.inc(size_bytes)

    def window_sent(self, rows: int, size_bytes: int) -> None:
        """Count it."""
        self._read_rows.inc(rows)
        self._read_bytes.inc(size_bytes)
        self.sent_rows += rows
        if self._uncovered_since is None:
            self._uncovered_since = time.monotonic()

    def file_finished(self, result: FileResult) -> None:
        """Count it."""
        self.files += 1
        if result.state is FileState.DONE:
            self.done_at = time.monotonic()
        self.rows += result.rows_accepted
        self.rejected_files += result.failed
        self._finished.labels(result.state).inc()
        self._accepted.inc(result.rows_accepted)
        self._rejected.inc(result.rows_rejected)
        if result.failed:
            self.note(f"{result.name} was rejected: {result.reason}")
        self._odd.inc(result.rows_odd)

    def file_stuck(self, result: FileResult) -> None:
        """Do nothing: it is counted when it is moved, and its trouble is noted by the one who tries."""

    def trouble(self, error: FeefifodError, attempt: int) -> None:
        """Count it, and remember it for a moment."""
        self._attempts.inc()
        self._outages.inc(attempt == 1)
        self._trouble = (f"{error.where}: {error.why}" if error.where else error.why), time.monotonic()
        if attempt == 1:
            self.note(self._trouble[0])

    def note(self, error: str) -> None:
        """Remember an error for those who watch; the same one again only has a new time."""
        if self.errors and self.errors[-1][1] == error:
            self.errors.pop()
        self.errors.append((datetime.now(UTC), error))

    def recent_trouble(self) -> str:
        """Return what was away or in the way a moment ago; "" when nothing was."""
        text, since = self._trouble
        return text if time.monotonic() - since < _TROUBLE_SECONDS else ""

    def batches_changed(self, batches: int, files: int) -> None:
        """Take note of how many batches and files are being loaded now."""
        self.loading = files
        self._batches_now.set(batches)
        self._files_now.set(files)
        self._trouble = ("", 0.0)
        if not batches:
            self._uncovered_since = None

    def checkpointed(self) -> None:
        """Take note that a checkpoint covers what was acknowledged."""
        self._uncovered_since = None

    def watch(self, lane: Lane) -> Lane:
        """Return the lane, its windows measured."""
        return _WatchedLane(lane, self)

    def sending(self, lane: str, windows: int) -> None:
        """Count windows on their way: one more, or one less."""
        self._in_flight.labels(lane).inc(windows)

    def acknowledged(self, receipt: Receipt) -> None:
        """Measure a window that has arrived."""
        self._sent.labels(receipt.lane).inc(receipt.rows)
        self._retries.labels(receipt.lane).inc(max(receipt.attempts - 1, 0))
        self._window.labels(receipt.lane).observe(receipt.seconds)

    def repaired(self, rows: int) -> None:
        """Count rows that were loaded again from the archive."""
        self._repaired.inc(rows)

    def checked(self, cause: str, differences: int) -> None:
        """Count a check of the table, and what it left as it is."""
        self._checks.labels(cause).inc()
        self._unrepaired.inc(differences)

    def render(self, document: Mapping[str, Any] | None, disks: Mapping[str, Disk]) -> bytes:
        """Render all as text for Prometheus; `document` is the newest overview, None when there is none."""
        since = self._uncovered_since
        self._lag.set(0.0 if since is None else time.monotonic() - since)
        self._stillness.set(max(still_for().values(), default=0.0))
        self._standing.set(document, disks)
        return generate_latest(self.registry)


class _WatchedLane:
    """A lane whose windows are measured."""

    def __init__(self, lane: Lane, metrics: Metrics) -> None:
        self._lane = lane
        self._metrics = metrics

    @property
    def name(self) -> str:
        """The lane's own."""
        return self._lane.name

    async def send(self, frame: Frame) -> Receipt:
        """See `Lane.send`."""
        self._metrics.sending(self.name, 1)
        try:
            receipt = await self._lane.send(frame)
        finally:
            self._metrics.sending(self.name, -1)
        self._metrics.acknowledged(receipt)
        return receipt

    async def close(self) -> None:
        """See `Lane.close`."""
        await self._lane.close()


class WatchedLedger(Ledger):
    """A ledger that tells of its checkpoints."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        super().__init__(database)
        self._metrics = metrics

    async def checkpoint(self, claim: Claim, instant_seconds: int, merged: Mapping[str, int], lane: str) -> None:
        """See `Ledger.checkpoint`."""
        await super().checkpoint(claim, instant_seconds, merged, lane)
        self._metrics.checkpointed()


class _ApiCalls(Collector):
    """The calls to the price APIs, which their client counts itself."""

    def collect(self) -> Iterator[Metric]:
        """Make the family from the counts as they are."""
        family = CounterMetricFamily(
            "feefifod_api_calls", "Calls to a price API, by how they ended.", labels=["source", "outcome"]
        )
        for source in (Source.MASSIVE, Source.FINNHUB):
            for outcome in _OUTCOMES:
                family.add_metric([source, outcome], tally.calls[source, outcome])
        yield family

"""What ingestion works with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import anyio
import structlog

from feefifod.errors import Refused
from feefifod.sink.lane import persist

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from feefifod.catalog import Assets, Ledger
    from feefifod.config import PathSettings, PipelineSettings, QuestDBSettings, WatchSettings
    from feefifod.errors import Unavailable
    from feefifod.ingest.report import Listener
    from feefifod.model import Tier
    from feefifod.sink import Lane, QuestDBClient

T = TypeVar("T")

_LOG_EVERY = 10.0


@dataclass(slots=True)
class Patience:
    """How long trouble may last. Each trouble is logged at once and then every ten seconds.

    Args:
        limit_seconds: after this long without success the trouble is raised; None waits for ever.
    """

    listener: Listener
    limit_seconds: float | None
    _since: float | None = None
    _logged: float = 0.0

    def on_trouble(self, error: Unavailable, attempt: int) -> None:
        """Take note of a failed attempt.

        Raises:
            Unavailable: `error`, when patience is at its end.
        """
        now = time.monotonic()
        if attempt == 1 or self._since is None:
            self._since = now
        if attempt == 1 or now - self._logged > _LOG_EVERY:
            self._logged = now
            structlog.get_logger().warning("waiting", reason=error.why, where=error.where, attempt=attempt)
        self.listener.trouble(error, attempt)
        if self.limit_seconds is not None and now - self._since > self.limit_seconds:
            raise Refused(error.why, where=error.where, remedy=error.remedy) from error


@dataclass(slots=True)
class Tools:
    """Everything that a batch needs.

    Attributes:
        database: the name of the configured database; its table is `questdb.table`.
        bulk: the lane for large batches, or None when the server shares no folder with us.
        reading: threads that read, parse and merge.
        stop: set when the window in flight is to be the last one.
        patience_seconds: how long to wait for servers that are away; None for ever.
    """

    paths: PathSettings
    pipeline: PipelineSettings
    watch: WatchSettings
    tiers: Mapping[Tier, Sequence[str]]
    database: str
    questdb: QuestDBSettings
    client: QuestDBClient
    ledger: Ledger
    assets: Assets
    ilp: Lane
    bulk: Lane | None
    listener: Listener
    reading: anyio.CapacityLimiter
    stop: anyio.Event
    patience_seconds: float | None = None
    stop_on_error: bool = False
    open_files: int = 256

    @property
    def ingested(self) -> Path:
        """Where done files go."""
        return self.paths.ingested / "ohlcv"

    @property
    def scratch(self) -> Path:
        """Where files that are being put in order, and collected bad rows, lie."""
        return self.paths.state / "scratch"

    def patience(self) -> Patience:
        """Return patience for one call."""
        return Patience(self.listener, self.patience_seconds)

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while its server is away.

        Raises:
            Refused: patience is at its end, or the server says no.
        """
        result, _ = await persist(attempt, self.patience().on_trouble)
        return result

"""What ingestion works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import anyio

from feefifod.catalog import TableBusy
from feefifod.patience import Trouble, persist
from feefifod.pulse import beat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from feefifod.catalog import Assets, Ledger
    from feefifod.config import PathSettings, PipelineSettings, QuestDBSettings, WatchSettings
    from feefifod.ingest.report import Listener
    from feefifod.model import Tier
    from feefifod.sink import Lane, QuestDBClient

T = TypeVar("T")


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
    def ingested_zips(self) -> Path:
        """Where done zips go."""
        return self.paths.ingested / "zips"

    @property
    def scratch(self) -> Path:
        """Where files that are being put in order, members of zips, and collected bad rows lie."""
        return self.paths.state / "scratch"

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while its server is away.

        Raises:
            Refused: patience is at its end, or the server says no.
        """
        result, _ = await persist(attempt, Trouble(self.patience_seconds, self.listener.trouble))
        beat()
        return result

    async def unless_copied(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call likewise; but a daemon, whose patience is endless, has better to do than wait for a copy.

        Raises:
            TableBusy: the table is being copied.
            Refused: as `patiently`.
        """
        if self.patience_seconds is not None:
            return await self.patiently(attempt)

        async def try_once() -> T | TableBusy:
            try:
                return await attempt()
            except TableBusy as error:
                return error

        result = await self.patiently(try_once)
        if isinstance(result, TableBusy):
            raise result
        return result

"""What ingestion works with."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from feefifod.patience import Trouble, persist
from feefifod.pulse import beat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from feefifod.catalog import Assets, Ledger
    from feefifod.config import PathSettings, PipelineSettings, QuestDBSettings, WatchSettings
    from feefifod.ingest.report import Listener
    from feefifod.model import Tier
    from feefifod.sink import Lane, QuestDBClient

T = TypeVar("T")

_GIVE_SECONDS: Final = 1.0


class RightOfWay:
    """Lets a long load wait for a moment while a small one wants to see its rows: QuestDB takes one after the other."""

    def __init__(self) -> None:
        self._small = 0
        self._free = anyio.Event()

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Go first, until the end of the block."""
        self._small += 1
        try:
            yield
        finally:
            self._small -= 1
            if not self._small:
                self._free.set()
                self._free = anyio.Event()

    async def give(self) -> None:
        """Let small loads go first, but for no longer than a second: there may always be another one."""
        if self._small:
            with anyio.move_on_after(_GIVE_SECONDS):
                await self._free.wait()


@dataclass(slots=True)
class Tools:
    """Everything that a batch needs.

    Attributes:
        database: the name of the configured database; its table is `questdb.table`.
        bulk: the lane for large batches, or None when the server shares no folder with us.
        reading: threads that read, parse and merge.
        stop: set when the window in flight is to be the last one.
        way: who goes first where a small load meets a long one.
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
    way: RightOfWay = field(default_factory=RightOfWay)

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

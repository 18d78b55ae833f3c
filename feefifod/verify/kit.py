"""What verification works with."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread

from feefifod.patience import Trouble, persist
from feefifod.verify.report import SilentListener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from feefifod.catalog import Assets, TableCopies
    from feefifod.catalog.verification import Claims
    from feefifod.config import PathSettings, PipelineSettings, QuestDBSettings
    from feefifod.model import Tier
    from feefifod.sink import Lane, QuestDBClient
    from feefifod.verify.report import Listener

T = TypeVar("T")


@dataclass(slots=True)
class Kit:
    """Everything that verification needs.

    Attributes:
        lane: the way back into the table for repairs.
        patience_seconds: how long to wait for servers that are away; None for ever.
        reading: threads that read, hash, parse and merge.
        open_files: how many files may stay open at once.
    """

    paths: PathSettings
    pipeline: PipelineSettings
    tiers: Mapping[Tier, Sequence[str]]
    questdb: QuestDBSettings
    client: QuestDBClient
    claims: Claims
    copies: TableCopies
    assets: Assets
    lane: Lane
    patience_seconds: float | None
    listener: Listener = field(default_factory=SilentListener)
    open_files: int = 128
    reading: anyio.CapacityLimiter = field(init=False)

    def __post_init__(self) -> None:
        self.reading = anyio.CapacityLimiter(self.pipeline.workers)

    @asynccontextmanager
    async def lend_scratch(self) -> AsyncIterator[Path]:
        """Lend a folder in scratch space, which does not exist yet and is removed afterwards."""
        scratch = self.paths.state / "scratch" / f"verify-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            yield scratch
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(partial(shutil.rmtree, scratch, ignore_errors=True))

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while its server is away.

        Raises:
            Refused: patience is at its end, or the server says no.
        """
        result, _ = await persist(attempt, Trouble(self.patience_seconds))
        return result


@contextmanager
def bare_errors() -> Iterator[None]:
    """Let the one error of a task group reach the caller as itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise

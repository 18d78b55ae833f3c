"""What a backfill works with, and how long it puts up with servers that are away."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from feefifod.catalog import Assets, Runs, ScheduleClaims, SharedPacer, TableCopies
from feefifod.log import register_secret
from feefifod.model import Source
from feefifod.patience import Trouble, persist
from feefifod.pulse import beat
from feefifod.sink import IlpLane
from feefifod.sources.finnhub import Finnhub
from feefifod.sources.http import Patience
from feefifod.sources.keys import read_key
from feefifod.sources.massive import Massive
from feefifod.sources.pacing import spacing_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from feefifod.catalog import Database
    from feefifod.config import QuestDBSettings, SourceSettings
    from feefifod.config.backfills import SourcesSettings
    from feefifod.sink import Lane, QuestDBClient
    from feefifod.sources.pacing import Pacer

T = TypeVar("T")

_CLOSE_SECONDS: Final = 5.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything that backfills need; may be used by several at a time.

    Attributes:
        environ: where the keys of the APIs are looked up.
        patience_seconds: how long to wait for QuestDB and PostgreSQL; None for ever.
        api_patience: how long to try an API.
        now: the time, aware.
    """

    sources: SourcesSettings
    questdb: QuestDBSettings
    client: QuestDBClient
    lane: Lane
    postgres: Database
    assets: Assets
    runs: Runs
    claims: ScheduleClaims
    environ: Mapping[str, str]
    patience_seconds: float | None = None
    api_patience: Patience = field(default_factory=Patience)
    now: Callable[[], datetime] = _utc_now

    @property
    def copies(self) -> TableCopies:
        """What is known of copies of the table."""
        return TableCopies(self.postgres)

    def settings_of(self, source: Source) -> SourceSettings:
        """Return the configuration of an API."""
        return self.sources.massive if source is Source.MASSIVE else self.sources.finnhub

    def spacing_of(self, source: Source) -> float:
        """Return the seconds between two calls to an API."""
        return spacing_seconds(source, self.settings_of(source).calls_per_minute)

    def open_api(self, source: Source) -> Massive | Finnhub:
        """Make the client of an API, to be used as a context manager.

        Raises:
            ConfigError: there is no key, or the address is none.
        """
        settings = self.settings_of(source)
        key = read_key(source, self.environ)
        register_secret(key.get_secret_value())
        pacer = PatientPacer(self, SharedPacer(self.postgres, str(source), self.spacing_of(source)))
        if source is Source.MASSIVE:
            return Massive(settings.base_url, key, pacer, patience=self.api_patience)
        return Finnhub(settings.base_url, key, pacer, patience=self.api_patience)

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while its server is away.

        Raises:
            Refused: it is away for too long, or says no.
        """
        result, _ = await persist(attempt, Trouble(self.patience_seconds))
        beat()
        return result


@dataclass(frozen=True, slots=True)
class PatientPacer:
    """A pacer that outlasts a PostgreSQL that is away: no asset fails for it."""

    tools: Tools
    pacer: Pacer

    async def wait(self) -> None:
        """See `Pacer.wait`."""
        await self.tools.patiently(self.pacer.wait)

    async def hold_off(self, seconds: float) -> None:
        """See `Pacer.hold_off`."""
        await self.tools.patiently(lambda: self.pacer.hold_off(seconds))


@asynccontextmanager
async def open_backfill(
    *,
    sources: SourcesSettings,
    questdb: QuestDBSettings,
    client: QuestDBClient,
    postgres: Database,
    environ: Mapping[str, str],
    patience_seconds: float | None,
    api_patience: Patience | None = None,
    now: Callable[[], datetime] = _utc_now,
) -> AsyncIterator[Tools]:
    """Open the one lane that backfills send through, and put their tools together."""
    lane = IlpLane(client.url, questdb, on_trouble=Trouble(patience_seconds))
    try:
        yield Tools(
            sources=sources,
            questdb=questdb,
            client=client,
            lane=lane,
            postgres=postgres,
            assets=Assets(postgres),
            runs=Runs(postgres),
            claims=ScheduleClaims(postgres),
            environ=environ,
            patience_seconds=patience_seconds,
            api_patience=api_patience or Patience(),
            now=now,
        )
    finally:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSE_SECONDS):
            await lane.close()

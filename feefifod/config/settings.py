"""What can be configured: names carry their units, unknown keys are errors, every value is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from feefifod.model import INTERVALS, Category, Tier

Port = Annotated[int, Field(ge=0, le=65535)]
MiB = 1024 * 1024


class Section(BaseModel):
    """A frozen part of the configuration that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class PathSettings(Section):
    """Folders. Relative ones are relative to the configuration file."""

    data: Path = Field(Path("data"), description="the watched folder; subfolders are scanned too")
    ingested: Path = Field(Path("ingested"), description="finished files: ohlcv/ and zips/ below it")
    rejected: Path = Field(Path("rejected"), description="refused files and rows, each with its reason")
    state: Path = Field(Path(".feefifod"), description="embedded servers and scratch space")


class QuestDBSettings(Section):
    """One QuestDB and the table in it."""

    url: str = Field("embedded", description='"embedded", or "http://host:9000"')
    user: str = Field("", description="HTTP basic user of an external server")
    password: SecretStr = Field(SecretStr(""), description="HTTP basic password of an external server")
    table: str = Field("assetprice", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", description="the table's name")
    partition_by: Literal["DAY", "WEEK", "MONTH", "YEAR"] = Field("DAY", description="DAY | WEEK | MONTH | YEAR")
    import_dir: str = Field(
        "", description="a folder that an external server sees as its SQL import root: opens the bulk lane"
    )


class PostgresSettings(Section):
    """The PostgreSQL with assets and ledger."""

    url: SecretStr = Field(SecretStr("embedded"), description='"embedded", or "postgresql://user@host/db"')


class EmbeddedSettings(Section):
    """The embedded pair; port 0 takes any free one."""

    http_port: Port = Field(9000, description="QuestDB: HTTP, SQL and web console")
    pg_wire_port: Port = Field(8812, description="QuestDB: PostgreSQL wire protocol")
    health_port: Port = Field(9003, description="QuestDB: health and metrics")
    postgres_port: Port = Field(0, description="PostgreSQL")
    heap_mib: int = Field(2048, ge=256, description="QuestDB: Java heap in MiB")


class PipelineSettings(Section):
    """How rows travel from files to the table."""

    window_rows: int = Field(1_000_000, ge=1_000, le=10_000_000, description="rows of one window, about")
    window_bytes: int = Field(96 * MiB, ge=64 * 1024, le=1024 * MiB, description="bytes of one window, at most")
    workers: int = Field(2, ge=1, le=64, description="threads that read and parse")
    bulk_min_rows: int = Field(200_000, ge=0, description="batches below this take the ILP lane")
    lane: Literal["auto", "ilp", "bulk"] = Field("auto", description="auto | ilp | bulk")


class WatchSettings(Section):
    """Which files are taken and when they count as complete."""

    settle_seconds: float = Field(1.0, ge=0.05, le=3600, description="unchanged for this long: complete")
    truncated_seconds: float = Field(
        60.0, ge=0, le=86400, description="an empty file or an unterminated last line is judged after this"
    )
    rescan_seconds: float = Field(30.0, ge=0.2, le=3600, description="full scan at least this often")
    poll: bool = Field(False, description="poll instead of kernel events (network file systems)")
    tiers: tuple[Tier | Literal["ALL"], ...] = Field(("ALL",), description='["ALL"] or some of TIER1..TIER4')
    intervals: tuple[int, ...] = Field((), description="minutes; empty takes all of them")


class HttpSettings(Section):
    """The status endpoint."""

    listen: str = Field("127.0.0.1:8765", description='address:port of status, health and metrics; "" = off')


class LogSettings(Section):
    """Logging."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug | info | warning | error")


class SourceSettings(Section):
    """One price API. Its key comes from the environment or a systemd credential, never from here."""

    base_url: str = Field(description="where the API is; plain http is for gateways on loopback")
    calls_per_minute: float = Field(gt=0, le=60_000, description="the plan's limit")
    history_days: int = Field(ge=1, le=36_500, description="how far back the plan reaches")
    crypto_exchange: str = Field("BINANCE", description="finnhub: exchange of crypto symbols")
    crypto_quote: str = Field("USDT", description="finnhub: what a crypto symbol is quoted in")
    forex_exchange: str = Field("OANDA", description="finnhub: exchange of forex symbols")


class SourcesSettings(Section):
    """The price APIs."""

    massive: SourceSettings = SourceSettings(
        base_url="https://api.massive.com", calls_per_minute=5, history_days=730
    )
    finnhub: SourceSettings = SourceSettings(
        base_url="https://finnhub.io/api/v1", calls_per_minute=60, history_days=365
    )


class ScheduleSettings(Section):
    """One scheduled backfill."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="unique name")
    cron: str = Field(description="five fields: minute hour day month weekday")
    timezone: str = Field("UTC", description="IANA time zone of the cron fields")
    jitter_seconds: float = Field(0, ge=0, le=86400, description="random delay, at most")
    source: Literal["massive", "finnhub"] = Field(description="massive | finnhub")
    all: bool = Field(False, description="all active assets")
    ticker: str = Field("", description="or one ticker")
    category: Category | None = Field(None, description="only assets of this category")
    grouped: bool = Field(False, description="massive: one call per day for all assets")
    days: int = Field(7, ge=1, le=36_500, description="how many days back")


class Settings(BaseSettings):
    """The whole configuration. Parts of feefifod receive their section, not this."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="FEEFIFOD__", env_nested_delimiter="__", validate_default=True
    )

    paths: PathSettings = PathSettings()
    databases: dict[str, QuestDBSettings] = {"questdb": QuestDBSettings()}
    postgres: PostgresSettings = PostgresSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    pipeline: PipelineSettings = PipelineSettings()
    watch: WatchSettings = WatchSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    sources: SourcesSettings = SourcesSettings()
    schedules: tuple[ScheduleSettings, ...] = ()
    tiers: dict[Tier, tuple[str, ...]] = {}
    """Overrides the package's own tier lists, tier by tier."""


def takes_interval(watch: WatchSettings, minutes: int) -> bool:
    """Tell whether files of this interval are wanted."""
    return minutes in (watch.intervals or INTERVALS)

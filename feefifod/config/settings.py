"""What can be configured: names carry their units, unknown keys are errors, every value is checked."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator

from feefifod.config.backfills import ScheduleSettings, SourcesSettings
from feefifod.config.section import MiB, Port, Section, split_url
from feefifod.errors import ConfigError
from feefifod.model import INTERVALS, Tier

_QUESTDB_PATHS: Final = ("/exec", "/exp", "/imp", "/write", "/ping", "/index.html")


class PathSettings(Section):
    """Folders. Relative ones are relative to the configuration file."""

    data: Path = Field(default=Path("data"), description="the watched folder; subfolders are scanned too")
    ingested: Path = Field(default=Path("ingested"), description="finished files: ohlcv/ and zips/ below it")
    rejected: Path = Field(default=Path("rejected"), description="refused files and rows, each with its reason")
    state: Path = Field(default=Path(".feefifod"), description="embedded servers and scratch space")


class QuestDBSettings(Section):
    """One QuestDB and the table in it; `--database NAME` picks [databases.NAME]."""

    url: str = Field(default="embedded", description='"embedded", or "http://host:9000"; https://host is port 443')
    user: str = Field(default="", description="HTTP basic user of an external server")
    password: SecretStr = Field(default=SecretStr(""), description="HTTP basic password of an external server")
    tls_ca: str = Field(
        default="", description="PEM file of the authority behind an https server's certificate; empty: the system's"
    )
    table: str = Field(default="assetprice", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", description="the table's name")
    partition_by: Literal["DAY", "WEEK", "MONTH", "YEAR"] = Field(
        default="MONTH", description="of a new table: DAY | WEEK | MONTH | YEAR; an existing one is taken as it is"
    )
    import_dir: str = Field(
        default="", description="a folder that an external server sees as its SQL import root: opens the bulk lane"
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if url != "embedded":
            parts = split_url(url, ("http", "https"), expected='"embedded" or http(s)://host:port')
            if parts.username is not None or parts.password is not None:
                raise ValueError("must not hold a user or password: give them in the keys user and password")
            if parts.query or parts.fragment or parts.path.rstrip("/").endswith(_QUESTDB_PATHS):
                raise ValueError("must end before QuestDB's own paths: after host and port, or a proxy's path")
        return url


class PostgresSettings(Section):
    """The PostgreSQL with assets and ledger."""

    url: SecretStr = Field(default=SecretStr("embedded"), description='"embedded", or "postgresql://user@host/db"')

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value() != "embedded":
            expected = '"embedded" or postgresql://user@host/database'
            split_url(url.get_secret_value(), ("postgresql",), expected=expected)
        return url


class EmbeddedSettings(Section):
    """The embedded pair; port 0 takes any free one."""

    http_port: Port = Field(default=9000, description="QuestDB: HTTP, SQL and web console")
    pg_wire_port: Port = Field(default=8812, description="QuestDB: PostgreSQL wire protocol")
    health_port: Port = Field(default=9003, description="QuestDB: health and metrics")
    postgres_port: Port = Field(default=0, description="PostgreSQL")
    heap_mib: int = Field(default=2048, ge=256, description="QuestDB: Java heap in MiB")


class PipelineSettings(Section):
    """How rows travel from files to the table."""

    window_rows: int = Field(default=1_000_000, ge=1_000, le=10_000_000, description="rows of one window, about")
    window_bytes: int = Field(default=96 * MiB, ge=64 * 1024, le=1024 * MiB, description="bytes of one window, at most")
    workers: int = Field(default=2, ge=1, le=64, description="threads that read and parse")
    bulk_min_rows: int = Field(default=200_000, ge=0, description="batches below this take the ILP lane")
    lane: Literal["auto", "ilp", "bulk"] = Field(default="auto", description="auto | ilp | bulk")


class WatchSettings(Section):
    """Which files are taken and when they count as complete."""

    settle_seconds: float = Field(default=1.0, ge=0.05, le=3600, description="unchanged for this long: complete")
    truncated_seconds: float = Field(
        default=60.0, ge=0, le=86400, description="an empty file or an unterminated last line is judged after this"
    )
    rescan_seconds: float = Field(default=30.0, ge=0.2, le=3600, description="full scan at least this often")
    poll: bool = Field(default=False, description="poll instead of kernel events (network file systems)")
    config: bool = Field(default=False, description="read this file again when it has changed, as SIGHUP does")
    tiers: tuple[Tier | Literal["ALL"], ...] = Field(
        default=("ALL",), min_length=1, description='["ALL"] or some of TIER1..TIER4'
    )
    intervals: tuple[int, ...] = Field(default=(), description="minutes; empty takes all of them")

    @field_validator("intervals")
    @classmethod
    def _check_intervals(cls, intervals: tuple[int, ...]) -> tuple[int, ...]:
        if wrong := [minutes for minutes in intervals if minutes not in INTERVALS]:
            raise ValueError(f"{wrong[0]} is no interval: allowed are {', '.join(map(str, INTERVALS))}")
        return intervals


class HttpSettings(Section):
    """The status endpoint."""

    listen: str = Field(default="127.0.0.1:8765", description='address:port of status, health and metrics; "" = off')

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str) -> str:
        if listen:
            parts = split_url(f"http://{listen}", ("http",), expected='address:port, or "" for off')
            if parts.port is None or parts.netloc != listen or "@" in listen:
                raise ValueError('must be address:port, or "" for off')
        return listen


class AlertSettings(Section):
    """Who is told of trouble, and of its end: rejected files, a suspended table, failed schedules, a full disk."""

    webhook_url: SecretStr = Field(default=SecretStr(""), description='gets a JSON document by POST; "" = off')
    command: str = Field(default="", description='gets the same on its standard input; "" = off')
    check_seconds: float = Field(default=60.0, ge=0.1, le=86400, description="between two looks")
    quiet_hours: float = Field(default=0, ge=0, le=8760, description="alert when nothing is ingested so long; 0 = off")
    at_most_per_hour: int = Field(default=20, ge=1, le=1000, description="more are held back")

    @field_validator("webhook_url")
    @classmethod
    def _check_webhook_url(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value():
            split_url(url.get_secret_value(), ("http", "https"), expected='http(s)://host/path, or "" for off')
        return url

    @field_validator("command")
    @classmethod
    def _check_command(cls, command: str) -> str:
        try:
            shlex.split(command)
        except ValueError as error:
            raise ValueError(f"cannot be taken apart as a shell would: {error}") from None
        return command


class RetentionSettings(Section):
    """What becomes of finished files in time: only of those of which the table is proven to hold every row."""

    files: Literal["keep", "compress", "prune"] = Field(
        default="keep", description="keep | compress (zstd) | prune: what is done to files in ingested/ohlcv"
    )
    zips: Literal["keep", "prune"] = Field(default="keep", description="keep | prune: what is done to ingested/zips")
    after_days: float = Field(default=90, ge=0, le=36_500, description="so long after they were done")

    @property
    def off(self) -> bool:
        """Whether all files are kept as they are."""
        return self.files == self.zips == "keep"


class LogSettings(Section):
    """Logging."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug | info | warning | error"
    )


class Settings(Section):
    """The whole configuration. Parts of feefifod receive their section, not this."""

    paths: PathSettings = PathSettings()
    databases: dict[str, QuestDBSettings] = Field(default={"questdb": QuestDBSettings()})
    postgres: PostgresSettings = PostgresSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    pipeline: PipelineSettings = PipelineSettings()
    watch: WatchSettings = WatchSettings()
    http: HttpSettings = HttpSettings()
    alerts: AlertSettings = AlertSettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()
    sources: SourcesSettings = SourcesSettings()
    schedules: tuple[ScheduleSettings, ...] = ()
    tiers: dict[Tier, tuple[Annotated[str, Field(pattern=r"^[A-Z0-9.]+$")], ...]] = Field(default={})
    """Overrides the package's own tier lists, tier by tier."""

    @field_validator("databases", mode="before")
    @classmethod
    def _keep_questdb(cls, databases: Any) -> Any:
        """Keep the database that commands use when none is named: what is left out has its default."""
        return {"questdb": {}, **databases} if isinstance(databases, dict) else databases

    @field_validator("schedules")
    @classmethod
    def _check_schedules(cls, schedules: tuple[ScheduleSettings, ...]) -> tuple[ScheduleSettings, ...]:
        names = [schedule.name for schedule in schedules]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the name {doubles[0]!r} is given twice: names of schedules are unique")
        return schedules

    @field_validator("tiers")
    @classmethod
    def _check_tiers(cls, tiers: dict[Tier, tuple[str, ...]]) -> dict[Tier, tuple[str, ...]]:
        seen: dict[str, Tier] = {}
        for tier, tickers in tiers.items():
            for ticker in tickers:
                if seen.setdefault(ticker, tier) is not tier:
                    raise ValueError(f"{ticker} is in {seen[ticker]} and in {tier}")
        return tiers

    def secrets(self) -> tuple[str, ...]:
        """List the values that must not be shown: passwords, also the one inside PostgreSQL's URL."""
        passwords = [database.password.get_secret_value() for database in self.databases.values()]
        inside = urlsplit(self.postgres.url.get_secret_value()).password or ""
        hook = self.alerts.webhook_url.get_secret_value()
        return tuple(value for value in (*passwords, inside, unquote(inside), hook) if value)


def pick_database(settings: Settings, name: str = "questdb") -> QuestDBSettings:
    """Find the database that `--database` names.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        return settings.databases[name]
    except KeyError:
        known = ", ".join(settings.databases)
        raise ConfigError(f"there is no database {name!r}", where="--database", remedy=f"Known: {known}") from None


def takes_interval(watch: WatchSettings, minutes: int) -> bool:
    """Tell whether files of this interval are wanted."""
    return minutes in (watch.intervals or INTERVALS)

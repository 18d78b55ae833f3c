"""The settings of the price APIs, and of what is fetched from them on a schedule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from feefifod.config.section import Section, split_url
from feefifod.model import Category


class SourceSettings(Section):
    """One price API. Its key comes from the environment or a systemd credential, never from here."""

    base_url: str = Field(description="where the API is; plain http is for gateways on loopback")
    calls_per_minute: float = Field(gt=0, le=60_000, description="the plan's limit")
    history_days: int = Field(ge=1, le=36_500, description="how far back the plan reaches")

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, url: str) -> str:
        parts = split_url(url, ("http", "https"), expected="http(s)://host/path")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("must be without user, password, query and fragment: keys never stand in a URL")
        return url


class FinnhubSettings(SourceSettings):
    """Finnhub, which names coins and currencies by the exchange. Its key comes from the environment too."""

    crypto_exchange: str = Field(default="BINANCE", description="exchange of crypto symbols")
    crypto_quote: str = Field(default="USDT", description="what a crypto symbol is quoted in")
    forex_exchange: str = Field(default="OANDA", description="exchange of forex symbols")


class SourcesSettings(Section):
    """The price APIs."""

    massive: SourceSettings = SourceSettings(base_url="https://api.massive.com", calls_per_minute=5, history_days=730)
    finnhub: FinnhubSettings = FinnhubSettings(
        base_url="https://finnhub.io/api/v1", calls_per_minute=60, history_days=365
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        """Give each source the defaults for what was left out: they differ from source to source."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        for name, field in cls.model_fields.items():
            if isinstance(filled.get(name), dict):
                filled[name] = {**field.default.model_dump(), **filled[name]}
        return filled


class ScheduleSettings(Section):
    """One scheduled backfill."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="unique name")
    cron: str = Field(description="five fields: minute hour day month weekday")
    timezone: str = Field(default="UTC", description="IANA time zone of the cron fields")
    jitter_seconds: float = Field(default=0, ge=0, le=86400, description="random delay, at most")
    source: Literal["massive", "finnhub"] = Field(description="massive | finnhub")
    all: bool = Field(default=False, description="all active assets")
    ticker: str = Field(default="", description="or one ticker")
    category: Category | None = Field(default=None, description="only assets of this category")
    grouped: bool = Field(default=False, description="massive: one call per day for all assets")
    days: int = Field(default=7, ge=1, le=36_500, description="how many days back")

    @field_validator("cron")
    @classmethod
    def _check_cron(cls, cron: str) -> str:
        from croniter import croniter  # noqa: PLC0415 - only a configuration with schedules pays for it

        if len(cron.split()) != 5:
            raise ValueError("must have five fields: minute hour day month weekday")
        try:
            croniter(cron, datetime(2024, 1, 1, tzinfo=UTC)).get_next()
        except (ValueError, KeyError) as error:
            raise ValueError(f"is no cron expression that ever comes due: {error}") from None
        return cron

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError("is no IANA time zone, such as UTC or America/New_York") from None
        return timezone

    @model_validator(mode="after")
    def _check_choice(self) -> Self:
        if self.all == bool(self.ticker):
            raise ValueError("needs either all = true or a ticker")
        if self.grouped and not (self.source == "massive" and self.all):
            raise ValueError('grouped = true needs source = "massive" and all = true')
        return self

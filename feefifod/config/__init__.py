"""The configuration: one frozen class per section, read from TOML and the environment."""

from feefifod.config.settings import (
    EmbeddedSettings,
    HttpSettings,
    LogSettings,
    PathSettings,
    PipelineSettings,
    PostgresSettings,
    QuestDBSettings,
    ScheduleSettings,
    Settings,
    SourceSettings,
    WatchSettings,
)

__all__ = [
    "EmbeddedSettings",
    "HttpSettings",
    "LogSettings",
    "PathSettings",
    "PipelineSettings",
    "PostgresSettings",
    "QuestDBSettings",
    "ScheduleSettings",
    "Settings",
    "SourceSettings",
    "WatchSettings",
]

"""The configuration: one frozen class per section, read from TOML and the environment."""

from feefifod.config.backfills import FinnhubSettings, ScheduleSettings, SourceSettings, SourcesSettings
from feefifod.config.default import write_default
from feefifod.config.document import write_path, write_value
from feefifod.config.editing import replace_file, set_value
from feefifod.config.keys import flatten
from feefifod.config.loading import Loaded, find_file, find_overlap, load
from feefifod.config.settings import (
    AlertSettings,
    EmbeddedSettings,
    HttpSettings,
    LogSettings,
    PathSettings,
    PipelineSettings,
    PostgresSettings,
    QuestDBSettings,
    RetentionSettings,
    Settings,
    WatchSettings,
    pick_database,
    takes_interval,
)

__all__ = [
    "AlertSettings",
    "EmbeddedSettings",
    "FinnhubSettings",
    "HttpSettings",
    "Loaded",
    "LogSettings",
    "PathSettings",
    "PipelineSettings",
    "PostgresSettings",
    "QuestDBSettings",
    "RetentionSettings",
    "ScheduleSettings",
    "Settings",
    "SourceSettings",
    "SourcesSettings",
    "WatchSettings",
    "find_file",
    "find_overlap",
    "flatten",
    "load",
    "pick_database",
    "replace_file",
    "set_value",
    "takes_interval",
    "write_default",
    "write_path",
    "write_value",
]

"""The commented default `config.toml`, written from the settings classes so that it cannot go stale."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel

from feefifod.config.backfills import ScheduleSettings
from feefifod.config.document import write_value
from feefifod.config.settings import Settings
from feefifod.model import Category, Tier

_TOP: Final = """\
# The configuration of feefifod. Every key is shown with its default; what you leave out keeps it.
# Every key can be set by environment as well: FEEFIFOD__PATHS__DATA=/srv/drop
# API keys never belong here: they come from MASSIVE_API_KEY and FINNHUB_API_KEY, or from a systemd credential.
# Relative paths are relative to this file. `feefifod config check` checks it, `feefifod config show` shows the result.
"""


def write_default() -> str:
    """Write the whole default file."""
    return "\n".join([_TOP, *_tables(Settings())])


def _tables(settings: Settings) -> Iterator[str]:
    for name, value in settings:
        if isinstance(value, BaseModel) and not any(isinstance(inner, BaseModel) for _, inner in value):
            yield _table(name, value)
        elif isinstance(value, BaseModel | Mapping) and name != "tiers":
            for inner_name, inner in value.items() if isinstance(value, Mapping) else value:
                yield _table(f"{name}.{inner_name}", inner)
    example = ScheduleSettings(
        name="us-daily", cron="10 5 * * 2-6", source="massive", all=True, category=Category.STOCK, grouped=True, days=5
    )
    yield "# One scheduled backfill; repeat the block for more.\n" + _comment(
        _table("[schedules]", example, note=False)
    )
    yield "# Replaces a tier's own list; TIER4 is what is in no other.\n" + _comment(
        f"[tiers]\n{Tier.TIER1} = {write_value(['BTC', 'ETH'])}\n"
    )


def _table(name: str, section: BaseModel, *, note: bool = True) -> str:
    """Write one table: the section's docstring above it, each key with its description behind it."""
    lines = [f"# {inspect.getdoc(type(section))}"] if note else []
    lines.append(f"[{name}]")
    for key, field in type(section).model_fields.items():
        description = field.description or ""
        lines.append(f"{key} = {write_value(getattr(section, key))}  # {description}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in text.splitlines())

"""The doctor's questions, one file each."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def load_statement(name: str) -> str:
    """Return the statement in `sql/<name>.sql`."""
    return resources.files("feefifod.doctor").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8").strip()

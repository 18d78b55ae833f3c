"""SQL lives in `.sql` files: statements under `-- name:` lines."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_HEADER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def load_queries(module: str) -> dict[str, str]:
    """Return the statements of `sql/<module>.sql` by name."""
    text = (resources.files("feefifod.catalog") / "sql" / f"{module}.sql").read_text(encoding="utf-8")
    pieces = _HEADER.split(text)
    return {name: sql.strip() for name, sql in zip(pieces[1::2], pieces[2::2], strict=True)}


@cache
def load_migrations() -> tuple[tuple[int, str], ...]:
    """Return the numbered migrations in order, as (number, statements)."""
    folder = resources.files("feefifod.catalog") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple((int(name[:4]), (folder / name).read_text(encoding="utf-8")) for name in names)

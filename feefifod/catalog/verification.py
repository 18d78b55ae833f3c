"""What the ledger claims, for those who prove it again or look at what was refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feefifod.catalog.queries import load_queries
from feefifod.model import Category, Series

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from feefifod.catalog.database import Database


@dataclass(frozen=True, slots=True)
class DoneFile:
    """A file whose rows the table holds, as the ledger has it.

    Attributes:
        irregular: it was put in order before it was swept.
        overwrite: its rows won over what was stored before, whatever their trade counts.
        first_seconds, last_seconds: unix seconds of its first and last row.
        moved_to: where it lies now; None when it lies nowhere, and `reason` says why.
        packed: what lies there is compressed.
        member: its place in the zip at `zip_place`, which holds its content.
        wrapping: what is around its candles since it was dropped, see `parse.names`; `sha256` is of what is inside.
    """

    id: int
    name: str
    series: Series
    size: int
    sha256: bytes
    irregular: bool
    overwrite: bool
    rows_accepted: int
    rows_rejected: int
    first_seconds: int
    last_seconds: int
    loaded_at: datetime
    moved_to: bytes | None
    packed: bool
    member: str | None
    zip_place: bytes | None
    reason: str
    wrapping: str = ""


@dataclass(frozen=True, slots=True)
class PrunedFile:
    """A file that was removed from the archive after its rows had been proven.

    Attributes:
        first_seconds, last_seconds: unix seconds of its first and last row.
    """

    name: str
    series: Series
    sha256: bytes
    first_seconds: int
    last_seconds: int


@dataclass(frozen=True, slots=True)
class RejectRecord:
    """A refused file, as the ledger has it."""

    name: str
    reason: str
    rows_rejected: int
    moved_to: bytes
    finished_at: datetime | None


class Claims:
    """Reads what the ledger claims; changes nothing but remarks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("verification")

    async def read_done(self, table_id: str) -> list[DoneFile]:
        """Return the done files of a table, in the order in which their rows came in."""
        return [_done(row) for row in await self._database.fetch(self._sql["read_done"], table_id)]

    async def count_done(self) -> int:
        """Count the files that were ever loaded, into this table or another one."""
        return int(await self._database.fetch_value(self._sql["count_done"]))

    async def read_pruned(self, table_id: str) -> list[PrunedFile]:
        """Return the files of a table that are not kept any more."""
        return [
            PrunedFile(row["name"], _series(row), row["sha256"], row["first_seconds"], row["last_seconds"])
            for row in await self._database.fetch(self._sql["read_pruned"], table_id)
        ]

    async def read_fingerprints(
        self, table_id: str, wanted: Collection[Series]
    ) -> dict[Series, dict[int, list[Any] | None]]:
        """Return what stands for the pruned files of some series: by month, its first instant in microseconds.

        None stands for a month without rows.
        """
        columns = zip(*((s.ticker, str(s.category), s.quote, s.interval_minutes) for s in wanted), strict=True)
        if not wanted:
            return {}
        rows = await self._database.fetch(self._sql["read_fingerprints"], table_id, *map(list, columns))
        return {
            _series(row): {int(month): values for month, values in json.loads(row["months"]).items()} for row in rows
        }

    async def read_busy(self) -> dict[Series, str]:
        """Return the series that are being loaded, each with the name of a file that does it."""
        rows = await self._database.fetch(self._sql["read_busy"])
        return {_series(row): row["name"] for row in rows}

    async def note(self, ids: Collection[int], remark: str) -> None:
        """Add a remark to the reasons of these files."""
        await self._database.execute(self._sql["note"], list(ids), remark)

    async def is_known(self, sha256: bytes, series: Series, table_id: str) -> bool:
        """Tell whether a table holds this content for this series already."""
        values = (series.ticker, str(series.category), series.quote, series.interval_minutes)
        known: bool = await self._database.fetch_value(self._sql["is_known"], sha256, table_id, *values)
        return known

    async def read_rejected(self) -> list[RejectRecord]:
        """Return the refused files, in the order in which they were dropped."""
        rows = await self._database.fetch(self._sql["read_rejected"])
        return [
            RejectRecord(row["name"], row["reason"], row["rows_rejected"], row["moved_to"], row["finished_at"])
            for row in rows
        ]


def _series(row: Any) -> Series:
    return Series(row["ticker"], Category(row["category"]), row["quote"], row["interval_minutes"])


def _done(row: Any) -> DoneFile:
    return DoneFile(
        row["id"],
        row["name"],
        _series(row),
        row["size"],
        row["sha256"],
        row["irregular"],
        row["overwrite"],
        row["rows_accepted"],
        row["rows_rejected"],
        row["first_seconds"],
        row["last_seconds"],
        row["loaded_at"],
        row["moved_to"],
        row["archived"] == "compressed",
        row["member"],
        row["zip_place"],
        row["reason"],
        row["wrapping"],
    )

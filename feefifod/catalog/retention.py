"""What becomes of finished files in time, as the ledger knows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from feefifod.catalog.queries import load_queries
from feefifod.model import Category, Series

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from feefifod.catalog.database import Database


@dataclass(frozen=True, slots=True)
class OldFile:
    """A finished file that lies in the archive for long enough.

    Attributes:
        place: where it lies; of a split zip, its first part.
        series: None for a zip.
        duplicate: its content was known already when it came.
        table_id: the table that its content was proven to be in.
        wrapping: what is around its candles since it was dropped, see `parse.names`.
    """

    id: int
    name: str
    place: bytes
    series: Series | None
    duplicate: bool
    sha256: bytes
    size: int
    table_id: str | None
    finished_at: datetime
    wrapping: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """An original that has had its successor, or its end, recorded, and may still be there."""

    id: int
    place: bytes
    sha256: bytes
    is_zip: bool


class Retention:
    """Records what becomes of finished files. No step needs the next one: each can be followed by a crash."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_queries("retention")

    async def claim_day(self, table_id: str) -> bool:
        """Tell whether it is our turn to look through the files of a table: once a day, whoever asks first."""
        return bool(await self._database.fetch(self._sql["claim_day"], table_id))

    async def read_old(self, days: float, *, packed: bool = False) -> list[OldFile]:
        """Return files that were finished so many days ago and lie as they were loaded, or with `packed` packed."""
        rows = await self._database.fetch(self._sql["read_packed" if packed else "read_due"], timedelta(days=days))
        return [_old(row) for row in rows]

    async def is_shared(self, place: bytes) -> bool:
        """Tell whether several rows say that their file lies at a place."""
        return await self._count_at(place) > 1

    async def record_packed(self, file: OldFile, place: bytes) -> bool:
        """Record that a file is packed now, at another place; False when somebody else was faster."""
        return bool(await self._database.execute(self._sql["record_packed"], file.id, file.place, place))

    async def record_pruned(
        self, ids: Collection[int], table_id: str, months: Mapping[Series, Mapping[int, Sequence[Any] | None]]
    ) -> bool:
        """Record that files are no longer kept, and what stands for their rows; all of it or nothing.

        Args:
            months: for each series the fingerprints of all months that the files touch.

        Returns:
            False when somebody else was faster with one of them: nothing is recorded then.
        """
        async with self._database.transaction() as connection:
            free = await connection.fetch(self._sql["lock_unpruned"], list(ids))
            if len(free) != len(ids):
                return False
            for series, fingerprints in months.items():
                await connection.execute(
                    self._sql["write_months"], table_id, *_key(series), json.dumps(dict(fingerprints))
                )
            await connection.execute(self._sql["record_pruned"], list(ids))
        return True

    async def read_leftovers(self) -> list[Leftover]:
        """Return the originals that are recorded to be on their way out."""
        rows = await self._database.fetch(self._sql["read_leftovers"])
        return [Leftover(row["id"], row["leftover"], row["sha256"], row["is_zip"]) for row in rows]

    async def is_wanted(self, place: bytes) -> bool:
        """Tell whether any row says that its file lies at a place."""
        return await self._count_at(place) > 0

    async def clear_leftover(self, file_id: int) -> None:
        """Record that an original is gone."""
        await self._database.execute(self._sql["clear_leftover"], file_id)

    async def count_copies(self, sha256: bytes) -> int:
        """Count the zips of one content that lie in the archive."""
        count: int = await self._database.fetch_value(self._sql["count_copies"], sha256)
        return count

    async def read_members(self, sha256: bytes, table_id: str) -> set[Series]:
        """Return the series of the members of a zip that a table holds."""
        rows = await self._database.fetch(self._sql["read_members"], sha256, table_id)
        return {_series(row) for row in rows}

    async def _count_at(self, place: bytes) -> int:
        count: int = await self._database.fetch_value(self._sql["count_at"], place)
        return count


def _key(series: Series) -> tuple[str, str, str, int]:
    return series.ticker, str(series.category), series.quote, series.interval_minutes


def _series(row: Any) -> Series:
    return Series(row["ticker"], Category(row["category"]), row["quote"], row["interval_minutes"])


def _old(row: Any) -> OldFile:
    return OldFile(
        row["id"],
        row["name"],
        row["moved_to"],
        None if row["is_zip"] else _series(row),
        row["state"] == "duplicate",
        row["sha256"],
        row["size"],
        row["table_id"],
        row["finished_at"],
        row["wrapping"],
    )

"""Whether the server's disk has room for a second table."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from feefifod.repartition.slices import cut_slices
from feefifod.sink.repartition import ROW_BYTES, find_folder, read_partitions
from feefifod.sink.schema import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feefifod.sink import QuestDBClient
    from feefifod.sink.repartition import Partition

_PAGE_BYTES: Final = 4096
_SPARE_BYTES: Final = 256 * 1024 * 1024
"""For what QuestDB allocates ahead: pages of 16 MiB by default for each column of the newest partition."""

_MONTH_PARTITIONS: Final = {"DAY": 31, "WEEK": 6, "MONTH": 1, "YEAR": 1}


@dataclass(frozen=True, slots=True)
class Room:
    """What a copy needs.

    Attributes:
        rows: rows of the table. needed_bytes: the most that the copy and its write-ahead log take.
        free_bytes: what the disk has; None when the server's disk cannot be seen from here.
    """

    rows: int
    needed_bytes: int
    free_bytes: int | None

    @property
    def enough(self) -> bool:
        """Whether it fits, as far as that is known."""
        return self.free_bytes is None or self.needed_bytes <= self.free_bytes


async def measure_room(client: QuestDBClient, table: str, partition_by: str, *, begun: str | None = None) -> Room:
    """Compare what a copy needs with what is free; what a copy `begun` before has taken already is not needed again."""
    partitions = await read_partitions(client, table)
    folder = await find_folder(client, table)
    free = None if folder is None else (await to_thread.run_sync(shutil.disk_usage, folder)).free
    needed = _estimate(partitions, partition_by)
    if begun is not None:
        needed -= sum(partition.rows for partition in await read_partitions(client, begun)) * ROW_BYTES * 2
    return Room(sum(partition.rows for partition in partitions), max(needed, 0) + _SPARE_BYTES, free)


def _estimate(partitions: Sequence[Partition], partition_by: str) -> int:
    """Return the bytes of the columns, twice because the log is removed late, and a page for the end of each file."""
    rows = sum(partition.rows for partition in partitions)
    months = len({part.month for part in cut_slices(partitions, most_rows=2**62)})
    files = min(months * _MONTH_PARTITIONS[partition_by], max(rows, 1)) * len(COLUMNS)
    return 2 * rows * ROW_BYTES + files * _PAGE_BYTES

"""What a copy of the table into another partitioning asks of QuestDB: never more than one month in one question."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from feefifod.errors import Refused
from feefifod.sink.checksums import SUMS, read_checksum
from feefifod.sink.sql import Identifier, Instant, load_statements, render

if TYPE_CHECKING:
    from feefifod.sink.checksums import Checksum
    from feefifod.sink.sql import QuestDBClient

_SQL: Final = load_statements("repartition.sql")
_CREATE: Final = load_statements("schema.sql")["create_table"]
_SECONDS: Final = 600.0
_TTL_UNITS: Final = {"HOUR", "DAY", "WEEK", "MONTH", "YEAR"}

ROW_BYTES: Final = 4 + 8 + 5 * 8 + 4 + 4 + 4 + 4
"""What a row takes in the table's columns, and about as much again in its write-ahead log."""

Fingerprints = dict[tuple[Any, ...], "Checksum"]
"""By source, asset id, interval in minutes and quote; any of them may be None where others wrote the row."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition, as the table's own record has it: nothing of it is opened to know this."""

    first_us: int
    last_us: int
    rows: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class TableKind:
    """How a table is kept.

    Attributes:
        folder: its name within the server's. ttl, ttl_unit: after how long a partition is dropped; 0 for never.
    """

    folder: str
    ttl: int
    ttl_unit: str
    partition_by: str
    suspended: bool


async def read_partitions(client: QuestDBClient, table: str) -> list[Partition]:
    """Return the partitions of a table in the order of time.

    Raises:
        Refused: some are detached; a copy would lose them.
    """
    rows = (await client.query(render(_SQL["read_partitions"], name=table))).rows
    if any(not attached for *_, attached in rows):
        raise Refused(
            "it has detached partitions, which a copy would lose",
            where=table,
            remedy="Attach them, or remove their folders from the server",
        )
    return sorted((Partition(*row[:4]) for row in rows if row[2]), key=lambda partition: partition.first_us)


async def read_names(client: QuestDBClient, ids: tuple[int, ...]) -> dict[int, str]:
    """Return what tables of these numbers are called now; one that is gone is left out."""
    return dict((await client.query(render(_SQL["read_names"], ids=ids))).rows)


async def read_kind(client: QuestDBClient, table: str) -> TableKind | None:
    """Return how a table is kept; None when it is missing."""
    rows = (await client.query(render(_SQL["read_kind"], name=table))).rows
    return TableKind(*rows[0]) if rows else None


async def create_copy(client: QuestDBClient, copy: str, partition_by: str) -> None:
    """Create an empty table like ours, with another partitioning."""
    await client.query(render(_CREATE.replace("<partition_by>", partition_by), table=Identifier(copy)))


async def take_over_ttl(client: QuestDBClient, table: str, copy: str) -> None:
    """Let the copy drop its partitions when the table does: not before it is proven, for a TTL is obeyed at once."""
    kind = await read_kind(client, table)
    if kind is not None and kind.ttl and kind.ttl_unit in _TTL_UNITS:
        statement = _SQL["set_ttl"].replace("<ttl>", f"{int(kind.ttl)} {kind.ttl_unit}")
        await client.query(render(statement, table=Identifier(copy)))


async def copy_rows(client: QuestDBClient, table: str, copy: str, start_us: int, end_us: int) -> None:
    """Let the server copy the rows from `start_us` up to before `end_us`; DEDUP makes a repeat harmless."""
    sql = render(
        _SQL["insert"], table=Identifier(table), copy=Identifier(copy), start=Instant(start_us), end=Instant(end_us)
    )
    await client.query(sql, timeout_seconds=_SECONDS)


async def read_fingerprints(client: QuestDBClient, table: str, start_us: int, end_us: int) -> Fingerprints:
    """Let the server work out the fingerprints of all series from `start_us` up to before `end_us`."""
    statement = _SQL["read_fingerprints"].replace("<sums>", SUMS)
    sql = render(statement, table=Identifier(table), start=Instant(start_us), end=Instant(end_us))
    answer = await client.query(sql, timeout_seconds=_SECONDS)
    return {tuple(row[:4]): read_checksum(row[4:]) for row in answer.rows}


async def count_keys(client: QuestDBClient, table: str, start_us: int, end_us: int) -> int:
    """Count the different keys of the rows from `start_us` up to before `end_us`."""
    sql = render(_SQL["count_keys"], table=Identifier(table), start=Instant(start_us), end=Instant(end_us))
    [[count]] = (await client.query(sql, timeout_seconds=_SECONDS)).rows
    return int(count)


async def rename_table(client: QuestDBClient, table: str, name: str) -> None:
    """Give a table another name; its number stays.

    Raises:
        Refused: the name is taken, or there is no such table.
    """
    await client.query(render(_SQL["rename"], table=Identifier(table), name=Identifier(name)))


async def flush_server(client: QuestDBClient) -> None:
    """Have everything that the server has written brought to its disk.

    Raises:
        Refused: a checkpoint that someone else has begun is not released.
    """
    try:
        await client.query(_SQL["flush"], timeout_seconds=_SECONDS)
    except Refused as error:
        raise Refused(
            f"the server cannot bring what it wrote to disk: {error.why}",
            where=client.url,
            remedy="If a backup has a checkpoint open, let it end, or run: CHECKPOINT RELEASE",
        ) from error
    await client.query(_SQL["release"])


async def refresh_views(client: QuestDBClient, table: str) -> list[str]:
    """Have the materialized views of a table, which changed names made invalid, filled again; returns their names."""
    try:
        rows = (await client.query(render(_SQL["read_views"], table=table, status="invalid"))).rows
        for [view] in rows:
            await client.query(render(_SQL["refresh_view"], view=Identifier(view)))
    except Refused:
        return []  # An older server knows no such views, or one has a name that we would have to escape.
    return [view for [view] in rows]


async def find_folder(client: QuestDBClient, table: str) -> Path | None:
    """Return where the table lies, when this machine sees that; None for a server elsewhere."""
    kind = await read_kind(client, table)
    parameters = {row[0]: row[2] for row in (await client.query(_SQL["read_parameters"])).rows}
    root = Path(parameters.get("cairo.root") or "db")
    beside = [parameters.get(name) or "" for name in ("cairo.sql.copy.work.root", "cairo.sql.copy.root")]
    roots = [root] if root.is_absolute() else [Path(path).parent / root for path in beside if Path(path).is_absolute()]
    for folder in [root / kind.folder for root in roots] if kind is not None else []:
        try:
            if folder.is_dir():
                return folder
        except OSError:  # The folder of another user.
            continue
    return None

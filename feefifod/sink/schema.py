"""The table: made, checked, measured, dropped; and the identity that the ledger is bound to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio

from feefifod.errors import Refused, Unavailable
from feefifod.sink.apply import read_wal, wait_applied
from feefifod.sink.sql import Identifier, load_statements, render

if TYPE_CHECKING:
    from feefifod.config.settings import QuestDBSettings
    from feefifod.sink.sql import QuestDBClient

_SQL: Final = load_statements("schema.sql")

COLUMNS: Final = {
    "asset_id": "INT",
    "time": "TIMESTAMP",
    "open": "DOUBLE",
    "high": "DOUBLE",
    "low": "DOUBLE",
    "close": "DOUBLE",
    "volume": "DOUBLE",
    "interval_minutes": "INT",
    "trade_count": "INT",
    "quote_currency": "SYMBOL",
    "source": "SYMBOL",
}
"""Name and type of each column; the table may have them in any order, but no other."""

DEDUP_KEYS: Final = frozenset({"time", "asset_id", "interval_minutes", "source", "quote_currency"})


@dataclass(frozen=True, slots=True)
class TableIdentity:
    """Which table this is: another server, or the same name made again, is another identity."""

    server_id: str
    table_id: int

    def __str__(self) -> str:
        return f"{self.server_id}:{self.table_id}"


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What the table holds.

    Attributes:
        rows: visible rows.
        first_us, last_us: the oldest and the newest instant, microseconds since 1970 UTC; None when empty.
        pending_rows: acknowledged rows that are not visible yet; 0 when QuestDB has not counted since its start.
        pending_transactions: the same in transactions, always known.
        suspended: whether QuestDB has stopped to make rows visible.
        error: why it is suspended, else empty.
        partition_by: as the table has it: HOUR, DAY, WEEK, MONTH or YEAR.
        dedup: whether repeats are hidden.
    """

    rows: int
    first_us: int | None
    last_us: int | None
    pending_rows: int
    pending_transactions: int
    suspended: bool
    error: str
    partition_by: str
    dedup: bool


@dataclass(frozen=True, slots=True)
class _Found:
    table_id: int
    timestamp: str | None
    partition_by: str
    wal: bool
    dedup: bool
    view: bool


async def _allow() -> None:
    """Have nothing against it."""


async def ensure_table(
    client: QuestDBClient, settings: QuestDBSettings, *, before_making: Callable[[], Awaitable[None]] = _allow
) -> TableIdentity:
    """Make the table when it is missing, check it when it is there, switch its DEDUP on; return its identity.

    Safe when several processes do it at the same time. `before_making` is awaited once the table is seen to be
    missing, and may raise: between two renames there is none, and none must be made.

    Raises:
        Refused: a table of that name has other columns, another timestamp, or no WAL. Its partitioning is taken
            as it is: the configured one is that of a new table.
    """
    table = settings.table
    if await _find(client, table) is None:
        await before_making()
        create = _SQL["create_table"].replace("<partition_by>", settings.partition_by)
        await client.query(render(create, table=Identifier(table)))
    found = await _find(client, table)
    if found is None:
        raise Unavailable("the table was dropped while it was made", where=table)
    columns = (await client.query(render(_SQL["show_columns"], table=Identifier(table)))).rows
    differences = _compare(found, columns)
    if differences:
        raise Refused(
            "the table is not as feefifod needs it: " + "; ".join(differences),
            where=table,
            remedy="Choose another name in [databases.questdb], change the table, "
            "or drop it with: feefifod setup-questdb-schema --drop",
        )
    if not _has_dedup(found, columns):
        await client.query(render(_SQL["enable_dedup"], table=Identifier(table)))
        await wait_applied(client, table, deadline=60.0)
    return TableIdentity(await _ensure_server_id(client), found.table_id)


async def read_identity(client: QuestDBClient, table: str) -> TableIdentity | None:
    """Read which table this is; None when it is missing, or was never prepared by `ensure_table`."""
    found = await _find(client, table)
    server_id = None if found is None else await read_server_id(client)
    return None if found is None or server_id is None else TableIdentity(server_id, found.table_id)


async def read_server_id(client: QuestDBClient) -> str | None:
    """Read which server this is; None when `ensure_table` was never called there."""
    return None if await _find(client, "feefifod_server") is None else await _read_server_id(client)


async def describe_table(client: QuestDBClient, table: str) -> TableFacts | None:
    """Measure the table; None when it is missing."""
    found = await _find(client, table)
    wal = await read_wal(client, table)
    if found is None or wal is None:
        return None
    [[rows]] = (await client.query(render(_SQL["count_rows"], table=Identifier(table)))).rows
    first, last = await read_ends(client, table) or (None, None)
    pending = (await client.query(render(_SQL["read_pending"], name=table))).rows
    return TableFacts(
        rows=rows,
        first_us=first,
        last_us=last,
        pending_rows=(pending[0][0] or 0) if pending else 0,
        pending_transactions=wal.sequenced - wal.written,
        suspended=wal.suspended,
        error=f"{wal.error_tag} {wal.error_message}".strip() if wal.suspended else "",
        partition_by=found.partition_by,
        dedup=found.dedup,
    )


async def read_ends(client: QuestDBClient, table: str) -> tuple[int, int] | None:
    """Read the first and the last instant of a table (microseconds), of two partitions alone; None when it is empty."""
    ends = [(await client.query(render(_SQL[name], table=Identifier(table)))).rows for name in ("first", "last")]
    return (ends[0][0][0], ends[1][0][0]) if all(ends) else None


async def drop_table(client: QuestDBClient, table: str) -> None:
    """Drop the table and all its rows, if it is there."""
    await client.query(render(_SQL["drop_table"], table=Identifier(table)))


async def _find(client: QuestDBClient, table: str) -> _Found | None:
    rows = (await client.query(render(_SQL["find_table"], name=table))).rows
    if not rows:
        return None
    found = _Found(*rows[0])
    client.note_partitioning(table, found.partition_by)
    return found


def _compare(found: _Found, columns: list[list[Any]]) -> list[str]:
    have = {column[0].lower(): column[1] for column in columns}  # Names have no case in QuestDB.
    differences = [f"column {name} {kind} is missing" for name, kind in COLUMNS.items() if name not in have]
    differences += [
        f"column {name} is {kind}, not {COLUMNS[name]}"
        for name, kind in have.items()
        if name in COLUMNS and kind != COLUMNS[name]
    ]
    differences += [f"column {name} {kind} is unknown" for name, kind in have.items() if name not in COLUMNS]
    if found.view:
        differences.append("it is a materialized view")
    if (found.timestamp or "").lower() != "time":
        differences.append(f"its designated timestamp is {found.timestamp or 'none'}, not time")
    if not found.wal:
        differences.append("it has no WAL")
    return differences


def _has_dedup(found: _Found, columns: list[list[Any]]) -> bool:
    return found.dedup and {column[0].lower() for column in columns if column[8]} == DEDUP_KEYS


async def _ensure_server_id(client: QuestDBClient) -> str:
    """Read the server's identity, giving it one first where it has none.

    The helper table has no timestamp, hence keeps its rows in the order in which they came, and its first row
    never changes: of two processes that both add one, both read the same.
    """
    await client.query(_SQL["create_server"])
    server_id = await _read_server_id(client)
    for _ in range(5):
        if server_id is not None:
            return server_id
        try:
            await client.query(_SQL["name_server"])
        except Unavailable:
            await anyio.sleep(0.2)  # Another process holds the small table's only writer.
        server_id = await _read_server_id(client)
    raise Unavailable("the server's identity cannot be written", where="feefifod_server", remedy="Try again")


async def _read_server_id(client: QuestDBClient) -> str | None:
    rows = (await client.query(_SQL["read_server"])).rows
    return str(rows[0][0]) if rows else None

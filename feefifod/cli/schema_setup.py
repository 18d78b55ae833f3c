"""Making, checking and dropping the table, told step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from feefifod.cli.console import confirm, interrupt_at_once, make_console
from feefifod.cli.partition_change import change_partitioning
from feefifod.cli.tables import count_rows, make_facts
from feefifod.daemon.services import open_services
from feefifod.errors import Refused
from feefifod.patience import Trouble, persist
from feefifod.repartition import forget_copy, provide_table, use_table
from feefifod.sink import describe_table, drop_table, read_identity
from feefifod.sink.repartition import read_kind
from feefifod.sink.sql import Identifier, format_instant, render

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeVar

    from feefifod.config import Settings
    from feefifod.daemon.services import Services
    from feefifod.sink import QuestDBClient, TableFacts

    T = TypeVar("T")

PATIENCE_SECONDS: Final = 120.0
"""How long the command waits for a server that is away, and before a drop for those who work on the table."""

_SHOW_COLUMNS: Final = "SHOW COLUMNS FROM {table}"
_KEY_FIELD: Final = "upsertKey"


async def set_up(settings: Settings, database: str, partition_by: str | None, drop: bool, yes: bool) -> None:
    """Do what `setup-questdb-schema` promises, and print it.

    Raises:
        ConfigError: there is no such database, or a question and no terminal.
        Refused: the table has other columns, or the disk has no room for a copy.
        Unavailable: a server is away, or the table is being copied.
    """
    async with open_services(settings, database) as services:
        client, questdb = services.client, services.questdb
        before = await _read_columns(client, questdb.table)
        done = "was missing, and is created" if before is None else "is there and right"
        if drop and before is not None:
            rows = await _ask_to_drop(client, questdb.table, yes)
            await _drop(services)
            before, done = None, f"was dropped{rows}, and is created again"
        kind = await read_kind(client, questdb.table)
        # A table that is there is taken as it is; another partitioning needs a copy.
        kept = partition_by if kind is None or before is None else kind.partition_by
        questdb = questdb.model_copy(update={"partition_by": kept or questdb.partition_by})
        identity = await provide_table(client, questdb, services.ledger.copies)
        await services.ledger.bind_table(database, str(identity))
        if partition_by is not None and partition_by != questdb.partition_by:
            done = await change_partitioning(services, partition_by, yes)
            identity = await read_identity(client, questdb.table) or identity
        elif partition_by is not None and before is not None:
            done = f"is partitioned by {partition_by} already, and right"
        after = await _read_columns(client, questdb.table) or []
        keys = _keys(after)
        if before is not None and _keys(before) != keys:
            done = "was there without the right DEDUP keys, and has them now"
        facts = await describe_table(client, questdb.table)
    print(f"{questdb.table} at {client.url} {done}.")
    make_console().print(
        make_facts(
            [
                ("columns", ", ".join(f"{column['column']} {column['type']}" for column in after)),
                ("DEDUP keys", ", ".join(keys)),
                ("partitions", f"by {facts.partition_by}, designated timestamp time, WAL" if facts else None),
                ("rows", f"{facts.rows:,}" if facts else None),
                ("identity", identity),
            ]
        )
    )


async def _drop(services: Services) -> None:
    """Drop the table when nobody copies it; the beginnings of a copy go with it."""
    client, table, copies = services.client, services.questdb.table, services.ledger.copies

    async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
        result, _ = await persist(attempt, Trouble(PATIENCE_SECONDS))
        return result

    async with use_table(client, table, copies, "a drop", patiently) as identity:
        await drop_table(client, table)
        if identity is not None:
            await forget_copy(client, table, copies, identity)


async def _read_columns(client: QuestDBClient, table: str) -> list[dict[str, Any]] | None:
    """Return what SHOW COLUMNS says; None when there is no such table, whatever its kind."""
    try:
        answer = await client.query(render(_SHOW_COLUMNS, table=Identifier(table)))
    except Refused as error:
        if "does not exist" in error.why:
            return None
        raise
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def _keys(columns: list[dict[str, Any]]) -> list[str]:
    return sorted(column["column"] for column in columns if column[_KEY_FIELD])


async def _ask_to_drop(client: QuestDBClient, table: str, yes: bool) -> str:
    """Name what will be lost and ask; return how many rows that is, in words."""
    try:
        facts = await describe_table(client, table)
    except Refused:
        facts = None  # A table with other columns cannot be measured, and can be dropped all the same.
    with interrupt_at_once():
        confirm(
            f"What the ledger says was loaded into {table} will count for nothing."
            f" Drop {table} at {client.url}, {_describe_loss(facts)}?",
            yes,
        )
    return f" with {count_rows(facts.rows)}" if facts else ""


def _describe_loss(facts: TableFacts | None) -> str:
    if facts is None:
        return "with whatever is in it (it is not as feefifod makes it)"
    if facts.first_us is None or facts.last_us is None:
        return "which is empty"
    first, last = (format_instant(us)[:19].replace("T", " ") for us in (facts.first_us, facts.last_us))
    return f"with {count_rows(facts.rows)} from {first} to {last} UTC"

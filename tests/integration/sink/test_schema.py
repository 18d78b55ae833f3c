"""The table is made as the design says, checked, and known again."""

from __future__ import annotations

import anyio
import pytest

from feefifod.config.settings import QuestDBSettings
from feefifod.errors import Refused
from feefifod.sink import (
    QuestDBClient,
    TableIdentity,
    describe_table,
    drop_table,
    ensure_table,
    read_identity,
)
from tests.support.embedded import unique_name

COLUMNS = """asset_id INT, time TIMESTAMP, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE,
interval_minutes INT, trade_count INT, quote_currency SYMBOL, source SYMBOL"""
KEYS = {"time", "asset_id", "interval_minutes", "source", "quote_currency"}


async def keys_of(client: QuestDBClient, table: str) -> set[str]:
    answer = await client.query(f"SHOW COLUMNS FROM {table}")
    return {row[0] for row in answer.rows if row[answer.columns.index("upsertKey")]}


@pytest.mark.parametrize("partition_by", ["DAY", "WEEK", "MONTH", "YEAR"])
async def test_a_missing_table_is_made_as_designed(
    partition_by: str, client: QuestDBClient, settings: QuestDBSettings
) -> None:
    settings = QuestDBSettings.model_validate(settings.model_dump() | {"partition_by": partition_by})

    await ensure_table(client, settings)

    shown = await client.query(f"SHOW COLUMNS FROM {settings.table}")
    assert ", ".join(f"{row[0]} {row[1]}" for row in shown.rows) == COLUMNS.replace("\n", " ")
    assert await keys_of(client, settings.table) == KEYS
    facts = await describe_table(client, settings.table)
    assert facts is not None
    assert (facts.rows, facts.first_us, facts.last_us, facts.partition_by, facts.dedup) == (
        0,
        None,
        None,
        partition_by,
        True,
    )


async def test_making_it_twice_and_at_once_is_one_table(client: QuestDBClient, settings: QuestDBSettings) -> None:
    await client.query("DROP TABLE IF EXISTS feefifod_server")
    identities: list[TableIdentity] = []

    async def ensure() -> None:
        identities.append(await ensure_table(client, settings))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(ensure)

    assert len(identities) == 6
    assert set(identities) == {await read_identity(client, settings.table)}


async def test_the_identity_changes_when_the_table_is_made_again(
    client: QuestDBClient, settings: QuestDBSettings
) -> None:
    before = await ensure_table(client, settings)
    await drop_table(client, settings.table)
    assert await read_identity(client, settings.table) is None
    assert await describe_table(client, settings.table) is None

    after = await ensure_table(client, settings)

    assert after.server_id == before.server_id
    assert after.table_id != before.table_id


@pytest.mark.parametrize("dedup", ["", "DEDUP UPSERT KEYS(time, asset_id)"])
async def test_the_dedup_key_is_added_where_it_is_missing(
    dedup: str, client: QuestDBClient, settings: QuestDBSettings
) -> None:
    await client.query(f"CREATE TABLE {settings.table} ({COLUMNS}) TIMESTAMP(time) PARTITION BY DAY WAL {dedup}")

    await ensure_table(client, settings)

    assert await keys_of(client, settings.table) == KEYS


@pytest.mark.parametrize(
    ("ddl", "difference"),
    [
        (f"({COLUMNS}, vwap DOUBLE) TIMESTAMP(time) PARTITION BY DAY WAL", "column vwap DOUBLE is unknown"),
        (f"({COLUMNS.replace('volume DOUBLE,', '')}) TIMESTAMP(time) PARTITION BY DAY WAL", "volume DOUBLE is missing"),
        (f"({COLUMNS.replace('asset_id INT', 'asset_id LONG')}) TIMESTAMP(time) PARTITION BY DAY WAL", "is LONG, not"),
        (f"({COLUMNS}) TIMESTAMP(time) PARTITION BY DAY BYPASS WAL", "it has no WAL"),
        (f"({COLUMNS})", "its designated timestamp is none"),
    ],
)
async def test_another_table_is_refused_with_the_difference(
    ddl: str, difference: str, client: QuestDBClient, settings: QuestDBSettings
) -> None:
    await client.query(f"CREATE TABLE {settings.table} {ddl}")

    with pytest.raises(Refused, match=difference) as refusal:
        await ensure_table(client, settings)

    assert settings.table in str(refusal.value)
    assert refusal.value.remedy


@pytest.mark.parametrize("partition_by", ["HOUR", "DAY", "WEEK", "MONTH", "YEAR"])
async def test_an_existing_table_keeps_its_partitioning(
    partition_by: str, client: QuestDBClient, settings: QuestDBSettings
) -> None:
    assert settings.partition_by == "MONTH"
    ddl = f"({COLUMNS}) TIMESTAMP(time) PARTITION BY {partition_by} WAL"
    await client.query(f"CREATE TABLE {settings.table} {ddl}")

    identity = await ensure_table(client, settings)

    assert identity == await read_identity(client, settings.table)
    assert client.partitioning(settings.table) == partition_by
    facts = await describe_table(client, settings.table)
    assert facts is not None
    assert facts.partition_by == partition_by


async def test_columns_in_another_order_are_fine(client: QuestDBClient, settings: QuestDBSettings) -> None:
    columns = ", ".join(reversed([column.strip() for column in COLUMNS.split(",")]))
    await client.query(f"CREATE TABLE {settings.table} ({columns}) TIMESTAMP(time) PARTITION BY DAY WAL")

    assert await ensure_table(client, settings) == await read_identity(client, settings.table)


async def test_a_table_that_nobody_prepared_has_no_identity(client: QuestDBClient) -> None:
    assert await read_identity(client, unique_name("nothing")) is None


async def test_dropping_what_is_not_there_is_fine(client: QuestDBClient) -> None:
    await drop_table(client, unique_name("nothing"))

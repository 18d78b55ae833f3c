"""What feefifod asks opens only the partitions that it asks about: each column of each other one would be a map."""

from __future__ import annotations

import pytest

from feefifod.sink import QuestDBClient, describe_table
from feefifod.sink.sql import Identifier, Instant, Value, load_statements, render
from tests.integration.sink.conftest import START_US

_VALUES: dict[str, Value] = {
    "first": Instant(START_US),
    "last": Instant(START_US + 86_400_000_000),
    "source": "kraken",
    "assets": (1, 2),
    "intervals": (1, 60),
    "asset_id": 1,
    "interval_minutes": 60,
    "quote": "USD",
}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("counts.sql", "count_series"),
        ("counts.sql", "count_one"),
        ("stored.sql", "read_stored"),
        ("checksums.sql", "read_checksums"),
        ("checksums.sql", "read_candles"),
    ],
)
async def test_a_question_about_a_span_scans_no_more(file: str, name: str, client: QuestDBClient, table: str) -> None:
    statement = load_statements(file)[name].rstrip(";")
    plan = await client.query("EXPLAIN " + render(statement, table=Identifier(table), **_VALUES))

    text = " ".join(row[0] for row in plan.rows)
    assert "Interval forward scan" in text
    assert "2017-07-14" in text


@pytest.mark.parametrize(("name", "scan"), [("count_rows", "Count"), ("first", "take-rows"), ("last", "take-rows")])
async def test_the_size_and_the_ends_need_no_scan(name: str, scan: str, client: QuestDBClient, table: str) -> None:
    statement = load_statements("schema.sql")[name].rstrip(";")
    plan = await client.query("EXPLAIN " + render(statement, table=Identifier(table)))

    assert scan in " ".join(row[0] for row in plan.rows)


async def test_an_empty_table_has_no_ends(client: QuestDBClient, table: str) -> None:
    facts = await describe_table(client, table)

    assert facts is not None
    assert (facts.rows, facts.first_us, facts.last_us) == (0, None, None)

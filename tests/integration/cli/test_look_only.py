"""Commands that only look leave PostgreSQL as it is: without tables, with those of an older version, or of a newer."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.embedded import fetch
from tests.support.project import Project, candle

LOOKS = (
    ["status"],
    ["status", "--json"],
    ["explain", "XBTUSD_60.csv"],
    ["rejects"],
    ["doctor"],
    ["--version"],
)
TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_nothing_is_made(project: Project, postgres_dsn: str, command: list[str]) -> None:
    project.drop("XBTUSD_60.csv", candle(1_499_997_600))
    outcome = project.run(*command)

    assert outcome.code == 0, outcome
    assert asyncio.run(fetch(postgres_dsn, TABLES)) == 0
    if command == ["--version"]:
        assert "PostgreSQL 18" in outcome.out
    else:
        assert "not set up yet" in outcome.out + outcome.err


def test_tables_of_another_version_are_left_alone_and_said(project: Project, postgres_dsn: str) -> None:
    def ask(sql: str) -> int:
        number: int = asyncio.run(fetch(postgres_dsn, sql))
        return number

    project.drop("XBTUSD_60.csv", candle(1_499_997_600))
    project.succeed("run-once")
    newest = ask("SELECT max(number) FROM feefifod_migration")
    ask(f"DELETE FROM feefifod_migration WHERE number = {newest}")

    older = project.succeed("status")
    assert "older feefifod" in older.out
    assert ask("SELECT max(number) FROM feefifod_migration") < newest

    ask(f"INSERT INTO feefifod_migration (number) VALUES ({newest}), (9999)")
    newer = project.succeed("status", "--json")
    assert "newer feefifod" in newer.document["postgres"]["error"]
    assert newer.document["files"]["done"] is None
    refused = project.run("run-once")
    assert (refused.code, "Upgrade this one" in refused.err) == (1, True)

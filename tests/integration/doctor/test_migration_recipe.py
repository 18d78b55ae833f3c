"""The recipe of docs/migration.md, carried out as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import asyncpg

from feefifod.servers import Endpoints
from feefifod.servers.artifact import find_postgres
from tests.support.embedded import fresh_database, query
from tests.support.project import ROOT, Project, candle

START = 1_499_997_600
OLD_ASSETS = """
CREATE TABLE feefifofunds_asset (
    id bigserial PRIMARY KEY, ticker varchar(20) UNIQUE, name varchar(255), category varchar(20), tier varchar(20),
    quote_currency varchar(10), description text, data_source varchar(50), active boolean,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
INSERT INTO feefifofunds_asset (id, ticker, name, category, tier, quote_currency, description, data_source, active)
VALUES (41, 'AAPL', 'Apple, Inc.', 'STOCK', 'TIER1', 'USD', E'fruit\\nand "more"', 'massive', true),
       (42, 'BTC', 'Bitcoin', 'CRYPTO', 'TIER1', 'USD', '', 'kraken', true),
       (43, 'GLD', 'Gold', 'COMMODITY', 'UNCLASSIFIED', 'USD', '', '', false)
"""
OLD_TABLE = """
CREATE TABLE assetprice (asset_id LONG, time TIMESTAMP, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE,
    volume DOUBLE, interval_minutes INT, trade_count LONG, quote_currency SYMBOL, source SYMBOL)
TIMESTAMP(time) PARTITION BY DAY WAL
"""


async def test_it_takes_over_assets_and_candles(project: Project, pair: Endpoints, tmp_path: Path) -> None:
    config = project.folder / "config.toml"
    config.write_text(config.read_text().replace(project.table, "assetprice"))
    query(pair.questdb_url, OLD_TABLE)
    query(
        pair.questdb_url,
        "INSERT INTO assetprice VALUES (41, '2024-05-01', 1, 2, 1, 2, 9.5, 1440, NULL, 'USD', 'massive'),"
        " (42, '2017-07-14T02:00:00Z', 1, 1, 1, 1, 1, 60, 1, 'USD', 'kraken'),"
        " (43, '2024-05-01', 3, 4, 3, 4, 1.0, 1440, 7, 'USD', 'finnhub')",
    )
    old_files = tmp_path / "old files"
    old_files.mkdir()
    (old_files / "XBTUSD_60.csv").write_text(f"{candle(START)}\n{candle(START + 3600)}\n")
    page = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?ms)^   ```sh\n(.*?)^   ```", page)]

    async with fresh_database(pair) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute(OLD_ASSETS)
        await connection.close()
        result = subprocess.run(
            ["/bin/sh", "-eu", "-c", "\n".join(blocks)],
            cwd=project.folder,
            env={
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(find_postgres()), os.environ["PATH"]]),
                "HOME": str(tmp_path),
                "OLD_POSTGRES": dsn,
                "OLD_INGESTED": str(old_files),
            },
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    assert result.returncode == 0, result
    assets = json.loads((project.folder / "new-assets.json").read_text())
    assert {(a["ticker"], a["name"], a["active"]) for a in assets} == {
        ("AAPL", "Apple, Inc.", True),
        ("BTC", "Bitcoin", True),
        ("GLD", "Gold", False),
    }
    ids = {asset["ticker"]: asset["id"] for asset in assets}
    sql = "SELECT asset_id, close, trade_count, source FROM assetprice ORDER BY source, time"
    assert query(pair.questdb_url, sql)["dataset"] == [
        [ids["GLD"], 4.0, 7, "finnhub"],
        [ids["BTC"], 122.0, 1, "kraken"],
        [ids["BTC"], 122.0, 1, "kraken"],
        [ids["AAPL"], 2.0, None, "massive"],
    ]
    assert (project.folder / "ingested/ohlcv/XBTUSD_60.csv").exists()
    assert (old_files / "XBTUSD_60.csv").exists()

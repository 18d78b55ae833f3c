from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from feefifod import log
from feefifod.servers import Endpoints
from tests.support.embedded import fresh_database, unique_name
from tests.support.project import Project


@pytest.fixture(autouse=True)
def _clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the commands' settings and logging, which are the process's own, to one test."""
    for name in [name for name in os.environ if name.startswith("FEEFIFOD")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    yield
    log.configure("warning", stream=sys.__stderr__)


@pytest.fixture
async def postgres_dsn(pair: Endpoints) -> AsyncIterator[str]:
    async with fresh_database(pair) as dsn:
        yield dsn


@pytest.fixture
def project(
    tmp_path: Path,
    pair: Endpoints,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Project:
    """A folder whose servers run, with a table and a database of its own."""
    table = unique_name("prices")
    (tmp_path / "data").mkdir()
    (tmp_path / "config.toml").write_text(
        f'databases.questdb = {{ url = "{pair.questdb_url}", table = "{table}" }}\n'
        f'postgres.url = "{postgres_dsn}"\n'
        "watch = { settle_seconds = 0.05, truncated_seconds = 0 }\n"
    )
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, table, capsys)


@pytest.fixture
def embedded_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    """A folder whose servers are embedded and do not run."""
    (tmp_path / "config.toml").write_text(
        "embedded = { http_port = 0, pg_wire_port = 0, health_port = 0, heap_mib = 512 }\nwatch.settle_seconds = 0.05\n"
    )
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, "assetprice", capsys)

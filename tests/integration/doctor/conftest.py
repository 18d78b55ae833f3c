from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from feefifod import log
from feefifod.servers import Endpoints
from tests.support.embedded import fresh_database, run_pair, unique_name
from tests.support.project import Project


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests in one process: they use tables of the default name."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("doctor"))


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """A pair of their own, for the same reason."""
    with run_pair(tmp_path_factory.mktemp("pair"), external=True) as endpoints:
        yield endpoints


@pytest.fixture(autouse=True)
def _clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the commands' settings and logging, which are the process's own, to one test."""
    for name in [name for name in os.environ if name.startswith("FEEFIFOD") or name.endswith("_API_KEY")]:
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
    """A folder whose servers are external and run, with a table and a database of its own."""
    table = unique_name("prices")
    (tmp_path / "data").mkdir()
    (tmp_path / "config.toml").write_text(
        f'databases.questdb = {{ url = "{pair.questdb_url}", table = "{table}" }}\n'
        f'postgres.url = "{postgres_dsn}"\n'
        "watch.settle_seconds = 0.05\n"
    )
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, table, capsys)

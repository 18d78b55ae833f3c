"""The embedded pair for integration tests: one for each pytest run, because a start takes seconds.

`tests/conftest.py` has it as the fixture `pair`; tests part from each other like this:

    @pytest.fixture
    def table() -> str:
        return unique_name("prices")          # a QuestDB table of its own for each test

    @pytest.fixture
    async def postgres_dsn(pair: Endpoints) -> AsyncIterator[str]:
        async with fresh_database(pair) as dsn:  # a PostgreSQL database of its own for each test, 50 ms
            yield dsn

Tests that stop, kill or break a server use a pair of their own, never this one.
"""

from __future__ import annotations

import json
import secrets
import signal
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from anyio.from_thread import start_blocking_portal

from feefifod.config.settings import EmbeddedSettings
from feefifod.servers import Endpoints, PairStatus, use_servers

FREE_PORTS = EmbeddedSettings(http_port=0, pg_wire_port=0, health_port=0, postgres_port=0, heap_mib=512)
_names: list[str] = []
NOTHING = PairStatus(questdb=None, postgres=None, users=(), kept_up=False)


@contextmanager
def run_pair(tmp: Path) -> Iterator[Endpoints]:
    """Run one pair on free ports, its state below `tmp`, in an event loop and thread of its own."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(use_servers(FREE_PORTS, tmp / "state")) as servers,
    ):
        yield servers.endpoints


def unique_name(prefix: str) -> str:
    """Make a name that no other test uses; a table of this name is dropped when the test has ended."""
    name = f"{prefix}_{secrets.token_hex(4)}"
    _names.append(name)
    return name


def drop_tables(endpoints: Endpoints) -> None:
    """Drop the tables of the test that ends: each one makes every later look at the server's tables longer."""
    while _names:
        query(endpoints.questdb_url, f"DROP TABLE IF EXISTS {_names.pop()}")


@asynccontextmanager
async def fresh_database(endpoints: Endpoints) -> AsyncIterator[str]:
    """Create an empty PostgreSQL database, give its DSN, and drop it afterwards, whoever is still connected."""
    name = unique_name("test")
    connection = await asyncpg.connect(endpoints.postgres_dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield endpoints.postgres_dsn.rpartition("/")[0] + "/" + name
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await connection.close()


def query(questdb_url: str, sql: str) -> Any:
    """Ask QuestDB over HTTP; gives its whole JSON answer."""
    with urllib.request.urlopen(f"{questdb_url}/exec?{urllib.parse.urlencode({'query': sql})}", timeout=30) as answer:
        return json.load(answer)


async def fetch(postgres_dsn: str, sql: str) -> Any:
    """Ask PostgreSQL for one value."""
    connection = await asyncpg.connect(postgres_dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def servers_below(folder: Path) -> list[psutil.Process]:
    """Find the server processes, initdb included, whose command line names a path below this folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "name"])
        if process.info["name"] in {"java", "postgres", "initdb"}
        and any(str(folder) in part for part in process.info["cmdline"] or ())
    ]


def kill_servers(folder: Path, name: str) -> None:
    """Kill the servers of this name below this folder, and see them end."""
    servers = [process for process in servers_below(folder) if process.name() == name]
    assert servers
    for process in servers:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(servers, timeout=10)

"""The embedded pair for integration tests: one for each pytest run, because a start takes seconds.

`tests/conftest.py` has it as the fixture `pair`; tests part from each other like this:

    @pytest.fixture
    def table() -> str:
        return unique_name("prices")          # a QuestDB table of its own for each test

    @pytest.fixture
    async def postgres_dsn(pair: Endpoints) -> AsyncIterator[str]:
        async with fresh_database(pair) as dsn:  # a PostgreSQL database of its own for each test, 50 ms
            yield dsn

The shared QuestDB asks for no password, as an external one asks for none unless it is told to; tests configure it as
one. A pair of a test's own asks for its own, which `query` finds by itself.

Tests that stop, kill or break a server use a pair of their own, never this one.
"""

from __future__ import annotations

import base64
import json
import secrets
import signal
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import psutil
from anyio.from_thread import start_blocking_portal

from feefifod.config.settings import EmbeddedSettings
from feefifod.servers import Endpoints, PairStatus, use_servers
from feefifod.servers.questdb import QuestDB

FREE_PORTS = EmbeddedSettings(http_port=0, pg_wire_port=0, health_port=0, postgres_port=0, heap_mib=512)
_COMMAND = QuestDB.command
_names: list[str] = []
_doors: dict[str, dict[str, str]] = {}
NOTHING = PairStatus(questdb=None, postgres=None, users=(), kept_up=False)


async def command_without_password(self: QuestDB, numbers: dict[str, int]) -> tuple[list[str], dict[str, str]]:
    line, environment = await _COMMAND(self, numbers)
    doors = ("QDB_HTTP_USER", "QDB_HTTP_PASSWORD")
    return line, {name: value for name, value in environment.items() if name not in doors}


@contextmanager
def run_pair(tmp: Path, *, external: bool = False) -> Iterator[Endpoints]:
    """Run one pair on free ports, its state below `tmp`, in an event loop and thread of its own.

    `external`: its QuestDB asks for no password over HTTP.
    """
    without = patch.object(QuestDB, "command", command_without_password)
    with start_blocking_portal() as portal, ExitStack() as stack:
        with without if external else nullcontext():  # Other tests of this process start servers of their own.
            pair = portal.wrap_async_context_manager(use_servers(FREE_PORTS, tmp / "state"))
            servers = stack.enter_context(pair)
        yield servers.endpoints


def sign_in(questdb_url: str) -> dict[str, str]:
    """Return the header that lets us into the embedded QuestDB that listens there: its password lies in its state."""
    port = urllib.parse.urlsplit(questdb_url).port
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            command = psutil.Process(connection.pid).cmdline()
            state = Path(command[command.index("-d") + 1]).parent
            password = (state / "servers" / "questdb.password").read_text().strip()
            return {"Authorization": "Basic " + base64.b64encode(f"feefifod:{password}".encode()).decode()}
    raise AssertionError(f"no QuestDB listens at {questdb_url}")


def get(url: str, *, seconds: float = 30) -> bytes:
    """Fetch from a QuestDB, with its password where it asks for one."""
    place = "/".join(url.split("/")[:3])
    for _ in range(2):
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, headers=_doors.get(place, {})), timeout=seconds
            ) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            error.close()
            _doors[place] = sign_in(url)
    raise AssertionError(f"{place} does not let us in")


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
    return json.loads(get(f"{questdb_url}/exec?{urllib.parse.urlencode({'query': sql})}"))


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

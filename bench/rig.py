"""The servers of a benchmark: a fresh embedded QuestDB for each contestant, all with the same settings."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.from_thread import start_blocking_portal

from feefifod.config.settings import EmbeddedSettings, QuestDBSettings
from feefifod.servers import take_down, use_servers
from feefifod.servers.folder import prepare_state
from feefifod.servers.ports import HOST, find_free
from feefifod.servers.questdb import QuestDB
from feefifod.sink import QuestDBClient, ensure_table

_FREE_PORTS: Final = EmbeddedSettings(http_port=0, pg_wire_port=0, health_port=0, postgres_port=0)
TABLE: Final = "assetprice"


@dataclass(frozen=True, slots=True)
class Server:
    """A running QuestDB.

    Attributes:
        url: of HTTP. tcp_port: of ILP over TCP.
        import_dir: the SQL import root.
    """

    url: str
    tcp_port: int
    pid: int
    import_dir: Path

    def ask(self, sql: str, timeout: float = 3600.0) -> list[list[Any]]:
        """Run one statement and return its rows."""
        query = urllib.parse.urlencode({"query": sql})
        with urllib.request.urlopen(f"{self.url}/exec?{query}", timeout=timeout) as answer:
            return list(json.load(answer).get("dataset", []))

    def count(self) -> int:
        """Count the rows of the table."""
        return int(self.ask(f"SELECT count() FROM {TABLE}")[0][0])

    def is_applied(self) -> bool:
        """Tell whether all that was acknowledged is visible."""
        [[suspended, written, sequenced]] = self.ask(
            f"SELECT suspended, writerTxn, sequencerTxn FROM wal_tables() WHERE name = '{TABLE}'"
        )
        if suspended:
            raise RuntimeError("the table is suspended: see the log of QuestDB")
        return bool(written == sequenced)


class _TunedQuestDB(QuestDB):
    """The embedded QuestDB as it is, with ILP over TCP switched on for the baseline, and settings to be tried."""

    tried: Mapping[str, str] = {}
    tcp_port = 0

    async def command(self, numbers: dict[str, int]) -> tuple[list[str], dict[str, str]]:
        line, environment = await super().command(numbers)
        environment |= {"QDB_LINE_TCP_ENABLED": "true", "QDB_LINE_TCP_NET_BIND_TO": f"{HOST}:{self.tcp_port}"}
        environment |= {key: value for key, value in self.tried.items() if key != "HEAP_MIB"}
        if heap := self.tried.get("HEAP_MIB"):
            line = [f"-Xmx{heap}m" if part.startswith("-Xmx") else part for part in line]
        return line, environment


@dataclass(frozen=True, slots=True)
class Rig:
    """A folder for one run, on the file system of the archives, with a PostgreSQL that is up."""

    folder: Path

    @contextmanager
    def server(self, tried: Mapping[str, str] | None = None, partition_by: str = "MONTH") -> Iterator[Server]:
        """Run a fresh QuestDB with an empty table; its data is gone afterwards."""
        state = Path(tempfile.mkdtemp(prefix="questdb-", dir=self.folder))
        questdb = _TunedQuestDB(prepare_state(state), _FREE_PORTS)
        questdb.tried = tried or {}
        questdb.tcp_port = find_free(1)[0]
        try:
            with start_blocking_portal() as portal:
                record = portal.call(_ensure, questdb)
                server = Server(questdb.url(record.ports), questdb.tcp_port, record.pid, questdb.import_dir)
                try:
                    portal.call(_make_table, server.url, partition_by)
                    yield server
                except BaseException:
                    _tell_end(questdb)
                    raise
                finally:
                    portal.call(questdb.stop)
        finally:
            _empty(state)

    def configure(self, server: Server, data: Path, lane: str, partition_by: str = "MONTH") -> Path:
        """Write a configuration of feefifod for this server, and return its path."""
        values: dict[str, dict[str, object]] = {
            "paths": {
                "data": str(data),
                "ingested": str(self.folder / "ingested"),
                "rejected": str(self.folder / "rejected"),
                "state": str(self.folder / "state"),
            },
            "databases.questdb": {
                "url": server.url,
                "table": TABLE,
                "import_dir": str(server.import_dir),
                "partition_by": partition_by,
            },
            "embedded": {"http_port": 0, "pg_wire_port": 0, "health_port": 0},
            "pipeline": {"lane": lane},
        }
        path = self.folder / "config.toml"
        path.write_text(
            "".join(
                f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
                for section, keys in values.items()
            )
        )
        return path


def _empty(folder: Path) -> None:
    """Give back the space of all files, but keep the files until the run ends.

    Whenever ext4 makes a file, it steps over each inode that was freed in the last minutes, one by one
    (`recently_deleted` in the kernel's fs/ext4/ialloc.c). A table by day is 50,000 files: removing that of
    one contestant doubled the server's CPU for the next.
    """
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.truncate(path, 0)


def _tell_end(questdb: QuestDB) -> None:
    """Print how a server ended that is about to be deleted."""
    print(f"QuestDB {'runs' if questdb.running() else 'is dead'}; the end of its log:")
    for path in sorted(questdb.log.parent.glob("questdb*.log")):
        print(f"{path.name}:\n{path.read_text(errors='replace')[-3000:]}")


async def _ensure(questdb: QuestDB) -> Any:
    return await questdb.ensure(shared=False)


async def _make_table(url: str, partition_by: str) -> None:
    settings = QuestDBSettings.model_validate({"url": url, "table": TABLE, "partition_by": partition_by})
    await ensure_table(QuestDBClient(settings, url), settings)


@contextmanager
def open_rig(cache: Path) -> Iterator[Rig]:
    """Make a folder for a run, and keep a PostgreSQL up in it; one run at a time."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock, start_blocking_portal() as portal:
        # Two runs would move each other's files away.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for killed in cache.glob("run-*"):
            portal.call(_clean_up, killed)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=cache))
        # PostgreSQL as root runs as another user, who has to get there.
        folder.chmod(0o711)
        try:
            with portal.wrap_async_context_manager(use_servers(_FREE_PORTS, folder / "state", questdb=False)):
                yield Rig(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


async def _clean_up(folder: Path) -> None:
    """Stop the servers of a run that was killed, and remove its folder."""
    for state in folder.glob("questdb-*"):
        await QuestDB(state).stop()
    await take_down(folder / "state")
    shutil.rmtree(folder, ignore_errors=True)


def wait_counted(server: Server, rows: int, *, patience_seconds: float = 1800.0) -> None:
    """Wait until all rows are visible, and count them.

    Raises:
        RuntimeError: there are other rows than expected.
    """

    async def wait() -> None:
        with anyio.fail_after(patience_seconds):
            while not await anyio.to_thread.run_sync(server.is_applied) or server.count() < rows:
                await anyio.sleep(0.05)

    anyio.run(wait)
    if (counted := server.count()) != rows:
        raise RuntimeError(f"{counted} rows are visible, {rows} were expected")

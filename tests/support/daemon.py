"""A user's folder, with feefifod in it: as a process of its own, or for one shot within the test."""

from __future__ import annotations

import asyncio
import io
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import asyncpg
import tomli_w
from anyio.from_thread import start_blocking_portal

from feefifod import log
from feefifod.config import load
from feefifod.daemon.daemon import Daemon
from feefifod.daemon.metrics import Metrics
from feefifod.daemon.once import ingest_once
from feefifod.daemon.services import open_services, open_tools
from feefifod.discover import Waker
from feefifod.ingest.ingestor import Ingestor
from feefifod.ingest.report import SilentListener, Summary
from tests.support.checker import Dropped, Facts, check, read_table

ROOT: Final = Path(__file__).resolve().parents[2]
EXIT_SECONDS: Final = 20.0
"""A drain takes no longer (design: "exit 0 within 20 s")."""

# A loaded machine starts a process in ten times the time of a quiet one.
PATIENCE_SECONDS: Final = 60.0


def wait_until(condition: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS, what: str = "") -> Any:
    """Wait until `condition` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what or condition}")
        time.sleep(0.03)


class Interrupter(SilentListener):
    """Stops ingestion after a window, when `wanted` says so; whatever that raises goes through it as a defect would."""

    def __init__(self, stop: anyio.Event, wanted: Callable[[], bool]) -> None:
        self._stop = stop
        self._wanted = wanted

    def window_sent(self, rows: int, size_bytes: int) -> None:
        """Ask."""
        if self._wanted():
            self._stop.set()


class Process:
    """A feefifod command that runs beside the test; its log goes to a file."""

    def __init__(self, arguments: Sequence[str], config: Path, environment: dict[str, str], log_path: Path) -> None:
        self.log_path = log_path
        with log_path.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "feefifod", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=config.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT), "FEEFIFOD_CONFIG": str(config), **environment},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def text(self) -> str:
        """Everything it has printed."""
        return self.log_path.read_text(errors="surrogateescape")

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log's events of this name."""
        lines = [line for line in self.text.splitlines() if line.startswith("{") and line.endswith("}")]
        return [event for event in map(json.loads, lines) if event.get("event") == name]

    def wait_for(self, name: str, *, count: int = 1, seconds: float = PATIENCE_SECONDS) -> list[dict[str, Any]]:
        """Wait until the log has events of this name."""

        def seen() -> list[dict[str, Any]]:
            found = self.events(name)
            if len(found) >= count:
                return found
            assert self.alive, f"it ended with {self._process.returncode}:\n{self.text[-3000:]}"
            return []

        try:
            found: list[dict[str, Any]] = wait_until(seen, seconds=seconds, what=name)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.text[-3000:]}") from None
        return found

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end; returns the exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.text[-3000:]}") from None

    def stop(self) -> None:
        """Drain it; it must end well and in time (I5)."""
        self.signal(signal.SIGTERM)
        assert self.wait(EXIT_SECONDS) == 0, self.text[-3000:]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)


@dataclass
class World:
    """Folders, a table and a database of their own, and all that was ever dropped or logged there."""

    root: Path
    sections: dict[str, Any]
    questdb_url: str = ""
    postgres_dsn: str = ""
    dropped: list[Dropped] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    canary: str = field(default_factory=lambda: f"canary-{secrets.token_hex(8)}")
    _logs: list[io.StringIO] = field(default_factory=list)

    def __post_init__(self) -> None:
        for folder in (self.data, self.root / "outside"):
            folder.mkdir(parents=True)
        self.configure()

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def ingested(self) -> Path:
        return self.root / "ingested" / "ohlcv"

    @property
    def rejected(self) -> Path:
        return self.root / "rejected"

    @property
    def scratch(self) -> Path:
        return Path(self.sections.get("paths", {}).get("state", self.root / ".feefifod")) / "scratch"

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def questdb(self) -> dict[str, Any]:
        section: dict[str, Any] = self.sections["databases"]["questdb"]
        return section

    @property
    def table(self) -> str:
        name: str = self.questdb["table"]
        return name

    @property
    def environment(self) -> dict[str, str]:
        return {"MASSIVE_API_KEY": self.canary, "NO_COLOR": "1"}

    @property
    def logs(self) -> str:
        return "".join([process.text for process in self.processes] + [part.getvalue() for part in self._logs])

    def configure(self, **sections: dict[str, Any]) -> None:
        """Write the configuration, with changes to its sections."""
        for name, changes in sections.items():
            self.sections.setdefault(name, {}).update(changes)
        self.config.write_text(tomli_w.dumps(self.sections))

    def drop(self, name: str, content: bytes) -> Path:
        """Move a file into the data folder, as `mv` does."""
        self.dropped.append(Dropped(name, content))
        target = self.data / name
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = self.root / "outside" / f"{len(self.dropped)}"
        draft.write_bytes(content)
        draft.rename(target)
        return target

    def start(self, *arguments: str, **environment: str) -> Process:
        """Start a command, by default the daemon."""
        path = self.root / f"log-{len(self.processes)}.txt"
        process = Process(arguments or ("run",), self.config, self.environment | environment, path)
        self.processes.append(process)
        return process

    def run(self, *arguments: str, code: int | None = 0, **environment: str) -> Process:
        """Run a command to its end."""
        process = self.start(*arguments, **environment)
        ended = process.wait()
        assert code is None or ended == code, process.text[-3000:]
        return process

    def ingest(self, *, stop_after: Callable[[], bool] | None = None, patience_seconds: float = 30.0) -> Summary:
        """Ingest what is complete, within this process: a second faster than a command.

        `stop_after` is asked after every window that was acknowledged; with True, ingestion stops, as with SIGTERM.
        """
        stream = io.StringIO()
        self._logs.append(stream)
        log.configure("debug", stream=stream)
        try:
            return anyio.run(partial(self._ingest, stop_after, patience_seconds))
        finally:
            log.configure("warning", stream=sys.__stderr__)

    async def _ingest(self, stop_after: Callable[[], bool] | None, patience_seconds: float) -> Summary:
        settings = load(self.config, {}, self.root).settings
        stop = anyio.Event()
        listener = SilentListener() if stop_after is None else Interrupter(stop, stop_after)
        for secret in settings.secrets():
            log.register_secret(secret)
        async with (
            open_services(settings) as services,
            open_tools(services, listener, stop, patience_seconds=patience_seconds) as tools,
        ):
            return await ingest_once(tools)

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Run the daemon within this process, in an event loop and thread of its own, until the end of the block."""
        stream = io.StringIO()
        self._logs.append(stream)
        log.configure("debug", stream=stream)
        try:
            with start_blocking_portal() as portal, portal.wrap_async_context_manager(self._serve()):
                yield
        finally:
            log.configure("warning", stream=sys.__stderr__)

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[None]:
        settings = load(self.config, {}, self.root).settings
        stop = anyio.Event()
        async with (
            open_services(settings) as services,
            open_tools(services, SilentListener(), stop, patience_seconds=None) as tools,
            anyio.create_task_group() as tasks,
        ):
            waker = Waker(str(tools.paths.data), tools.watch)
            tasks.start_soon(Daemon(Ingestor(tools), waker, Metrics(), stop, lambda: None).run)
            yield
            stop.set()

    def ask(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Ask PostgreSQL."""

        async def fetch() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(self.postgres_dsn, timeout=10)
            try:
                return [dict(row) for row in await connection.fetch(sql, *values)]
            finally:
                await connection.close()

        return asyncio.run(fetch())

    def states(self) -> dict[str, int]:
        """Count the ledger's rows by state."""
        try:
            rows = self.ask("SELECT state, count(*) AS n FROM file GROUP BY state")
        except asyncpg.UndefinedTableError:
            return {}  # The first process is still starting.
        return {row["state"]: row["n"] for row in rows}

    def forget(self) -> None:
        """Empty the ledger, which worlds on one embedded pair share, and what is known of their tables."""
        if self.states():
            self.ask("DELETE FROM file")
            self.ask("DELETE FROM mark")

    def wait_finished(self, count: int, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until so many files have come to their end."""
        ends = ("done", "duplicate", "rejected", "empty")

        def finished() -> bool:
            try:
                states = self.states()
            except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
                return False  # A test may have killed it.
            return sum(states.get(end, 0) for end in ends) >= count

        try:
            wait_until(finished, seconds=seconds, what=f"{count} finished files")
        except AssertionError as error:
            raise AssertionError(f"{error}, there are {self.states()}:\n{self.logs[-3000:]}") from None

    def facts(self) -> Facts:
        """Look at everything."""
        assets = {row["id"]: row["ticker"] for row in self.ask("SELECT id, ticker FROM asset")}
        leases = self.ask("SELECT count(*) AS n FROM file WHERE lease_until > now()")[0]["n"]
        return Facts(
            read_table(self.questdb_url, self.table, assets),
            self.ask("SELECT * FROM file ORDER BY id"),
            leases,
            self.data,
            self.ingested,
            self.root / "ingested" / "zips",
            self.rejected,
        )

    def check(self, *, finished: bool = True) -> Facts:
        """Assert all that must be true after anything; see `checker`."""
        facts = self.facts()
        password = self.postgres_dsn.split(":")[2].partition("@")[0]
        own = self.scratch.with_name("servers") / "questdb.password"
        hidden = [self.canary, password, *([own.read_text().strip()] if own.exists() else [])]
        check(facts, self.dropped, logs=self.logs, secrets=hidden, finished=finished)
        return facts

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            if process.alive:
                process.kill()


def describe(*, questdb: dict[str, Any], postgres_url: str) -> dict[str, Any]:
    """Make the sections of a configuration for tests: fast settling, and few partitions."""
    return {
        "databases": {"questdb": {"partition_by": "MONTH", **questdb}},
        "postgres": {"url": postgres_url},
        "watch": {"settle_seconds": 0.2, "truncated_seconds": 0.4, "rescan_seconds": 1.0},
        "http": {"listen": ""},
        "embedded": {"http_port": 0, "pg_wire_port": 0, "health_port": 0, "heap_mib": 512},
        "log": {"level": "debug"},
    }


@contextmanager
def database(admin_dsn: str, name: str) -> Iterator[str]:
    """Create a PostgreSQL database, give its DSN, and drop it afterwards."""

    async def execute(sql: str) -> None:
        connection = await asyncpg.connect(admin_dsn, timeout=10)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    asyncio.run(execute(f"CREATE DATABASE {name}"))
    yield admin_dsn.rpartition("/")[0] + "/" + name
    asyncio.run(execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))

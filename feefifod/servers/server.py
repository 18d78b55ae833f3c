"""What starting, recognising, replacing and stopping a server has in common, whichever it is."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

import anyio
import anyio.to_thread
import structlog

from feefifod.config.settings import EmbeddedSettings
from feefifod.errors import ConfigError, Unavailable
from feefifod.servers import ports, process
from feefifod.servers.account import Account
from feefifod.servers.locks import hold, is_locked, lock_briefly_contended
from feefifod.servers.record import Record, read_record, write_record
from feefifod.servers.refusals import explain_start

# A server that ends instead of starting is noticed at once; this is for one that hangs, not for a slow machine.
START_SECONDS: Final = 120.0
_PORT_RACES: Final = 3


class Server(ABC):
    """One embedded server below a state folder.

    Starting is for users of the pair, stopping for the holder of its transition lock when there is no other user.
    """

    name: ClassVar[str]
    program: ClassVar[str]
    version: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    stop_seconds: ClassVar[float]

    def __init__(self, state: Path, settings: EmbeddedSettings | None = None) -> None:
        self.state = state
        self.settings = settings or EmbeddedSettings()
        servers = state / "servers"
        self.log = servers / f"{self.name}.log"
        self._record_path = servers / f"{self.name}.json"
        self._lock_path = servers / f"{self.name}.lock"
        self._guard_path = servers / f"{self.name}.guard"
        self._threads = anyio.CapacityLimiter(2)
        self._log_begins = 0

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The data folder; the server's command line names it."""

    @property
    @abstractmethod
    def wanted_ports(self) -> dict[str, int]:
        """Say which ports are configured: by setting name below [embedded], 0 for any free one."""

    @abstractmethod
    async def prepare(self) -> Account:
        """Make folders and files ready for a start, and say whom the server runs as."""

    @abstractmethod
    async def command(self, numbers: dict[str, int]) -> tuple[list[str], dict[str, str]]:
        """Build the command line and the environment."""

    @abstractmethod
    def answers(self, numbers: dict[str, int]) -> bool:
        """Ask the server whether it is ready; blocks for a few seconds at most."""

    @abstractmethod
    def url(self, numbers: dict[str, int]) -> str:
        """Say where it is, without any password."""

    def _digest_password(self) -> str:
        """Name the password that it is started with, if another one makes another start necessary."""
        return ""

    def last_record(self) -> Record | None:
        """Read what was last started, alive or not."""
        return read_record(self._record_path)

    def running(self) -> Record | None:
        """Find the running server of this state."""
        record = self.last_record()
        return record if record is not None and process.birth(record.pid) == record.birth else None

    async def ensure(self, *, shared: bool) -> Record:
        """Find the running server, or start it.

        Args:
            shared: others use it too, so it is taken as it is and must stay on its ports. Otherwise one that was
                started with other settings is replaced.

        Raises:
            ConfigError: a configured port is busy; names its holder.
            Unavailable: it does not start now, or is in use and does not answer.
            Refused: it does not start, and trying again would not help.
        """
        # A lock for each server, so that one that restarts slowly does not keep the other one waiting.
        waiting = f"another command is starting the embedded {self.name}"
        async with hold(self._lock_path, wait_seconds=START_SECONDS, what=waiting):
            return await self._ensure(shared=shared)

    async def _ensure(self, *, shared: bool) -> Record:
        record = self.running()
        if record is not None and (shared or self._fits(record)):
            if await self._becomes_ready(record):
                return record
            if shared and self.running() == record:
                raise Unavailable(
                    f"the embedded {self.name} (pid {record.pid}) is in use by others but does not answer",
                    where=self.url(record.ports),
                    remedy=f"See {self.log}",
                )
        return await self._start(keep_ports=shared)

    def _fits(self, record: Record) -> bool:
        wanted = self.wanted_ports
        return (
            record.version == self.version
            and record.folder == str(self.folder)
            and record.ports.keys() == wanted.keys()
            and all(number in {0, record.ports[name]} for name, number in wanted.items())
        )

    async def _start(self, *, keep_ports: bool) -> Record:
        started = anyio.current_time()
        last = self.last_record()
        # Whatever is left of an earlier one must be gone before its data is touched.
        await self.stop()
        account = await self.prepare()
        for _ in range(_PORT_RACES):
            numbers = self._choose_ports(last, keep=keep_ports)
            record = await self._spawn(numbers, account)
            if await self._becomes_ready(record):
                seconds = round(anyio.current_time() - started, 2)
                structlog.get_logger().info(
                    "server started", server=self.name, pid=record.pid, url=self.url(numbers), seconds=seconds
                )
                return record
            with anyio.CancelScope(shield=True):
                await self.stop()
            if all(ports.is_free(number) for number in numbers.values()):
                break  # It was not a port that someone else took first.
        raise explain_start(self.name, process.read_tail(self.log, since=self._log_begins), str(self.log))

    def _choose_ports(self, last: Record | None, *, keep: bool) -> dict[str, int]:
        """Take what is configured, else the ports of last time, else free ones."""
        wanted = self.wanted_ports
        numbers = last.ports if last is not None and last.ports.keys() == wanted.keys() else {}
        if keep and numbers:
            for name, number in numbers.items():
                self._refuse_busy(name, number, ConfigError if wanted[name] else Unavailable)
            return numbers
        for name, number in wanted.items():
            if number:
                self._refuse_busy(name, number, ConfigError)
        spare = iter(ports.find_free(len(wanted)))

        def choose(name: str, number: int) -> int:
            before = numbers.get(name, 0)
            return number or (
                before if before and before not in wanted.values() and ports.is_free(before) else next(spare)
            )

        return {name: choose(name, number) for name, number in wanted.items()}

    def _refuse_busy(self, name: str, number: int, error: type[ConfigError | Unavailable]) -> None:
        if not ports.is_free(number):
            raise error(
                f"port {number}, which the embedded {self.name} needs, is taken by {ports.name_holder(number)}",
                where=f"embedded.{name}",
                remedy=f"Stop that process, or set embedded.{name} to another port (0 takes any free one)",
            )

    async def _spawn(self, numbers: dict[str, int], account: Account) -> Record:
        command, environment = await self.command(numbers)
        guard = lock_briefly_contended(self._guard_path, patience_seconds=0.5)
        if guard is None:
            raise self._not_gone()
        process.trim_log(self.log, limit_bytes=process.LOG_KEPT_BYTES)
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        try:
            pid = process.spawn(
                command, environment=environment, folder=self.folder, log=self.log, guard=guard, account=account
            )
        finally:
            os.close(guard)
        record = Record(
            pid=pid,
            birth=process.birth(pid) or "",
            ports=numbers,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            version=self.version,
            folder=str(self.folder),
            password=self._digest_password(),
        )
        write_record(self._record_path, record)
        return record

    async def _becomes_ready(self, record: Record) -> bool:
        with anyio.move_on_after(START_SECONDS):
            while process.birth(record.pid) == record.birth:
                if await anyio.to_thread.run_sync(self.answers, record.ports, limiter=self._threads):
                    return True
                await anyio.sleep(0.05)
        return False

    async def stop(self) -> bool:
        """End the server, and any that no record knows of, and wait until nothing of it is left.

        Returns:
            Whether there was one.

        Raises:
            Unavailable: something still holds its data.
        """
        record = self.running()
        pids = set(await anyio.to_thread.run_sync(process.find_processes, self.program, self.folder))
        if record is not None:
            pids.add(record.pid)
        gentle = await process.end(list(pids), how=self.stop_signal, deadline_seconds=self.stop_seconds)
        # The children of a killed PostgreSQL live on for a moment. They inherited the guard.
        if not await process.wait_until(lambda: not is_locked(self._guard_path), seconds=self.stop_seconds):
            raise self._not_gone()
        if pids:
            structlog.get_logger().info("server stopped", server=self.name, pids=sorted(pids), by_itself=gentle)
        return bool(pids)

    def _not_gone(self) -> Unavailable:
        return Unavailable(
            f"a process of an earlier {self.name} still holds its data",
            where=str(self.folder),
            remedy="It may belong to another container or user on the same state; end it there",
        )

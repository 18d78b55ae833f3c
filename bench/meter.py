"""What a contestant costs: time, CPU of both sides, memory, bytes written."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Measure:
    """One run of one contestant.

    Attributes:
        seconds: until all rows were visible and counted.
        client_cpu, server_cpu: seconds.
        peak_mib: the largest resident set of the client.
        written: bytes that the server wrote.
    """

    rows: int
    seconds: float
    client_cpu: float
    server_cpu: float
    peak_mib: float
    written: int

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds


class Meter:
    """Measures this process and the server from `with` to the end of it."""

    def __init__(self, server_pid: int) -> None:
        self._server = psutil.Process(server_pid)

    def __enter__(self) -> Self:
        self._peak = 0.0
        self._client = _own_cpu()
        self._cpu = _cpu(self._server)
        self._written = _written(self._server)
        self._start = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self.client_cpu = _own_cpu() - self._client
        self.server_cpu = _cpu(self._server) - self._cpu
        self.written = _written(self._server) - self._written

    def run(self, command: Sequence[str], environment: dict[str, str]) -> None:
        """Run a command as the client.

        Raises:
            RuntimeError: it failed; with the end of what it said.
        """
        child = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        watch = threading.Thread(target=self._watch, args=(child,))
        watch.start()
        said, _ = child.communicate()
        watch.join()
        if child.returncode:
            raise RuntimeError(f"{command} ended with {child.returncode}:\n{said.decode()[-4000:]}")

    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        # The peak that wait4 gives would include this process's own memory at the fork.
        while child.poll() is None:
            self._peak = max(self._peak, _peak_mib(child.pid))
            time.sleep(0.02)

    def measure(self, rows: int) -> Measure:
        """Return the result; the peak is that of the command, if there was one, else that of this process."""
        peak = self._peak or _peak_mib(os.getpid())
        return Measure(rows, self.seconds, self.client_cpu, self.server_cpu, peak, self.written)


def _own_cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _written(process: psutil.Process) -> int:
    return int(process.io_counters().write_bytes)


def _peak_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0  # A process that has ended has no memory.

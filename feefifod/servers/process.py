"""Server processes: started apart from us, recognised for certain, ended for certain."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
import psutil

from feefifod.servers.account import Account

LOG_LIMIT_BYTES: Final = 16 * 1024 * 1024
LOG_KEPT_BYTES: Final = 256 * 1024

_HAS_PROC: Final = Path("/proc/self/stat").exists()

# Our own children that still run. They are kept so that they are reaped when they end; a server that outlives us is
# taken over by init.
_children: dict[int, subprocess.Popen[bytes]] = {}


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Build the environment of a server: no keys, no credentials, no NOTIFY_SOCKET of ours reaches it."""
    kept = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/")}
    return {**kept, "TZ": "UTC", "LANG": "C.UTF-8", **(extra or {})}


def spawn(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path, guard: int, account: Account
) -> int:
    """Start a server in a session of its own, so that Ctrl-C at our terminal does not reach it.

    Args:
        folder: its working folder.
        log: standard output and error are appended here.
        guard: a locked descriptor that the server inherits; the kernel unlocks it when its last process is gone.

    Returns:
        Its pid.
    """
    trim_log(log, limit_bytes=LOG_KEPT_BYTES)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [*account.prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=dict(environment),
            close_fds=True,
            pass_fds=(guard,),
            start_new_session=True,
            umask=0o077,
            user=account.user,
            group=account.group,
            extra_groups=account.extra_groups,
        )
    _children[child.pid] = child
    return child.pid


def birth(pid: int) -> str | None:
    """Name the moment when a process was born, the same for every observer; None when it is gone or a zombie."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        _children.pop(pid, None)
        return None
    if _HAS_PROC:
        # Ticks since boot, because the wall clock, which psutil's create_time follows, may be set at any time.
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # A child of ours counts until it is reaped; a zombie of someone else is gone.
        return None if child is None and fields[0] in b"ZX" else f"{boot}:{int(fields[19])}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.NoSuchProcess:
        return None


def find_processes(program: str, folder: Path) -> list[int]:
    """Find the processes of a program that were started on a folder: servers that no record knows of."""
    return [
        process.pid
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == program and str(folder) in (process.info["cmdline"] or ())
    ]


async def end(pids: Sequence[int], *, how: signal.Signals, deadline_seconds: float) -> bool:
    """Ask processes to end and, after the deadline, end them.

    Returns:
        Whether they ended by themselves.
    """
    births = {pid: born for pid in pids if (born := birth(pid)) is not None}

    def living() -> list[int]:
        return [pid for pid, born in births.items() if birth(pid) == born]

    for pid in births:
        _send(pid, how)
    if await wait_until(lambda: not living(), seconds=deadline_seconds):
        return True
    for pid in living():
        _send(pid, signal.SIGKILL)
    await wait_until(lambda: not living(), seconds=deadline_seconds)
    return False


async def wait_until(holds: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until a condition that is cheap to ask holds; tell whether it came to hold in time."""
    with anyio.move_on_after(seconds):
        while True:
            if holds():
                return True
            await anyio.sleep(0.02)
    return holds()


def _send(pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, how)


def read_tail(log: Path, *, since: int = 0, lines: int = 40) -> str:
    """Read the last lines of a log, of what came behind `since` bytes, to find why a server did not start."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, log.stat().st_size - 16_384))
            text = file.read().decode("utf-8", "backslashreplace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.strip().splitlines()[-lines:])


def trim_log(log: Path, *, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Keep a log small: above the limit only its end stays. Its writers append, so it can be cut under them."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return
    if size > limit_bytes:
        with log.open("r+b") as file:
            file.seek(size - LOG_KEPT_BYTES // 2)
            end_of_log = file.read(LOG_KEPT_BYTES // 2)
            file.seek(0)
            file.write(end_of_log)
            file.truncate()

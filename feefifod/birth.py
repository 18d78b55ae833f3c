"""When a process was born: with its number, what tells it from any other process of this host."""

from __future__ import annotations

from pathlib import Path

import psutil


def birth(pid: int) -> int | None:
    """Return a process's birth, the same at any time and for all who ask; None when it is gone, or a zombie."""
    try:
        # Ticks since boot, because the wall clock, which psutil's create_time follows, may be set at any time.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
        return None if fields[0] in b"ZX" else int(fields[19])
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time() * 1000)
    except psutil.Error:
        return None

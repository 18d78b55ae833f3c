"""What the measurements were taken on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

from feefifod.servers.artifact import QUESTDB_VERSION


def describe() -> dict[str, str]:
    """Describe this machine, and how busy it was before the run."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{os.cpu_count()} x {_model()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": ", ".join(
            f"{name} {importlib.metadata.version(name)}" for name in ("pyarrow", "numpy", "questdb")
        ),
        "server": f"QuestDB {QUESTDB_VERSION}, embedded settings",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()

"""What is written down about a started server: which process it is, on which ports, made how."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Record:
    """A server that was started.

    Attributes:
        pid: its process.
        birth: when that process was born (`process.birth`), so that a recycled pid is never taken for it.
        ports: by name.
        started: ISO 8601, UTC.
        version: of the server.
        folder: its data; a moved state folder does not fit its old servers.
    """

    pid: int
    birth: str
    ports: dict[str, int]
    started: str
    version: str
    folder: str


def read_record(path: Path) -> Record | None:
    """Read a record; None when there is none or it cannot be understood."""
    try:
        return Record(**json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_record(path: Path, record: Record) -> None:
    """Write a record so that a reader sees the old or the new one, never a part."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")
    temporary.replace(path)

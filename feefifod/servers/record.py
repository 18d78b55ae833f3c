"""What is written down about a started server: which process it is, on which ports, made how."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
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
        password: a digest of the password that it was started with, empty for one that asks for none, as those of
            older versions.
    """

    pid: int
    birth: str
    ports: dict[str, int]
    started: str
    version: str
    folder: str
    password: str = ""


def read_record(path: Path) -> Record | None:
    """Read a record; None when there is none or it cannot be understood."""
    try:
        content = json.loads(path.read_bytes())
        # What a newer version wrote may hold more.
        known = {field.name for field in fields(Record)}
        return Record(**{name: value for name, value in content.items() if name in known})
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None


def write_record(path: Path, record: Record) -> None:
    """Write a record so that a reader sees the old or the new one, never a part."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")
    temporary.replace(path)

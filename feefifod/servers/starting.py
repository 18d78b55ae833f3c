"""A start that is under way, or the last one that failed, written down for those who look meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from feefifod.errors import FeefifodError
from feefifod.log import redact
from feefifod.servers import process
from feefifod.servers.folder import explain_closed

Say = Callable[[str], None]
"""Told what is being done."""

ORDINARY: Final = "starting the servers"
HOW_LONG: Final = "the first start on a machine takes a minute or two, each later one some seconds"
_FAILURE_LENGTH: Final = 600


@dataclass(frozen=True)
class Start:
    """A start of the pair that is under way: by which process, since when, and what it is doing."""

    pid: int
    since: datetime
    doing: str

    @property
    def first(self) -> bool:
        """Whether it does what is done only once on a machine."""
        return self.doing != ORDINARY

    def __str__(self) -> str:
        since = self.since.isoformat(sep=" ", timespec="seconds")
        return f"being started by pid {self.pid} since {since} ({self.doing}); {HOW_LONG}"


@contextmanager
def announce_start(state: Path) -> Iterator[Say]:
    """Tell those who look that the pair is being started, until the end of the block; a failure stays written down."""
    path, failure = _place(state)
    since = datetime.now(UTC).isoformat()

    def say(doing: str) -> None:
        pid = os.getpid()
        other = find_start(state)
        if other is not None and other.pid != pid:
            return  # Of several that start at the same time the first is shown.
        _write(path, {"pid": pid, "birth": process.birth(pid), "since": since, "doing": doing})

    say(ORDINARY)
    try:
        yield say
    except (FeefifodError, OSError) as error:
        _write(failure, {"at": datetime.now(UTC).isoformat(timespec="seconds"), "why": redact(str(error))})
        raise
    else:
        failure.unlink(missing_ok=True)
    finally:
        if _read(path).get("pid") == os.getpid():
            path.unlink(missing_ok=True)


def find_start(state: Path) -> Start | None:
    """Find the start that is under way.

    Raises:
        Refused: the state is closed to us.
    """
    with explain_closed(state):
        found = _read(_place(state)[0])
    try:
        if process.birth(found["pid"]) != found["birth"]:
            return None
        return Start(found["pid"], datetime.fromisoformat(found["since"]), found["doing"])
    except (KeyError, TypeError, ValueError):
        return None


def explain_absence(state: Path) -> str | None:
    """Say why the pair does not answer: it is being started, or its last start failed; None when neither is so.

    Raises:
        Refused: the state is closed to us.
    """
    if start := find_start(state):
        return str(start)
    with explain_closed(state):
        failed = _read(_place(state)[1])
    if "why" not in failed:
        return None
    why = " ".join(str(failed["why"]).split())[:_FAILURE_LENGTH]
    return f"embedded, and not running: the last start failed at {failed.get('at')}: {why}"


def _place(state: Path) -> tuple[Path, Path]:
    return state / "servers" / "starting.json", state / "servers" / "failed.json"


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    temporary.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

"""What ingestion tells: results of files, and progress for those who watch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from feefifod.ingest.ignored import Ignored
from feefifod.model import FileState

if TYPE_CHECKING:
    from feefifod.errors import FeefifodError


@dataclass(frozen=True, slots=True)
class FileResult:
    """How a file ended in this process; `waiting` when it was given back.

    Attributes:
        loaded_now: False when an earlier process has loaded it, and this one has only found it or moved it.
        stuck: its end is recorded, and it still lies where it was dropped, for this reason.
    """

    name: str
    state: FileState
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_odd: int = 0
    reason: str = ""
    path: bytes = b""
    loaded_now: bool = True
    stuck: str = ""

    @property
    def failed(self) -> bool:
        """Whether this is an error: a refused file. Bad rows of a loaded file are a warning."""
        return self.state is FileState.REJECTED


@dataclass(slots=True)
class Summary:
    """All results of a run of ingestion.

    Attributes:
        stuck: files whose end is recorded and that could not be moved, by their path.
        ignored: what lies in the data folder and is left alone. closed: folders there that cannot be looked into.
    """

    results: list[FileResult] = field(default_factory=list)
    stuck: dict[bytes, FileResult] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> list[FileResult]:
        """All results, and the stuck files that were loaded or decided in this run."""
        return self.results + [result for result in self.stuck.values() if result.loaded_now]

    @property
    def failed(self) -> bool:
        """Whether any file failed or any work could not be done."""
        return bool(self.troubles or self.stuck) or any(result.failed for result in self.results)


class Listener(Protocol):
    """Somebody who watches ingestion."""

    def batch_started(self, files: int, size_bytes: int, lane: str) -> None:
        """A batch of so many files and bytes begins to be read."""

    def window_sent(self, rows: int, size_bytes: int) -> None:
        """So many rows, from so many bytes of files, are acknowledged."""

    def file_finished(self, result: FileResult) -> None:
        """A file has ended."""

    def file_stuck(self, result: FileResult) -> None:
        """The end of a file is recorded, and it cannot be moved now; its `stuck` says why."""

    def trouble(self, error: FeefifodError, attempt: int) -> None:
        """Something is away or in the way; it is tried again."""


class SilentListener:
    """Watches nothing."""

    def batch_started(self, files: int, size_bytes: int, lane: str) -> None:
        """Do nothing."""

    def window_sent(self, rows: int, size_bytes: int) -> None:
        """Do nothing."""

    def file_finished(self, result: FileResult) -> None:
        """Do nothing."""

    def file_stuck(self, result: FileResult) -> None:
        """Do nothing."""

    def trouble(self, error: FeefifodError, attempt: int) -> None:
        """Do nothing."""

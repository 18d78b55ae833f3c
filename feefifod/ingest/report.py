"""What ingestion tells: results of files, and progress for those who watch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from feefifod.model import FileState

if TYPE_CHECKING:
    from feefifod.errors import FeefifodError


@dataclass(frozen=True, slots=True)
class FileResult:
    """How a file ended in this process; `waiting` when it was given back."""

    name: str
    state: FileState
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_odd: int = 0
    reason: str = ""

    @property
    def failed(self) -> bool:
        """Whether this is an error: a refused file. Bad rows of a loaded file are a warning."""
        return self.state is FileState.REJECTED


@dataclass(slots=True)
class Summary:
    """All results of a run of ingestion."""

    results: list[FileResult] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether any file failed or any work could not be done."""
        return bool(self.troubles) or any(result.failed for result in self.results)


class Listener(Protocol):
    """Somebody who watches ingestion."""

    def batch_started(self, files: int, size_bytes: int, lane: str) -> None:
        """A batch of so many files and bytes begins to be read."""

    def window_sent(self, rows: int, size_bytes: int) -> None:
        """So many rows, from so many bytes of files, are acknowledged."""

    def file_finished(self, result: FileResult) -> None:
        """A file has ended."""

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

    def trouble(self, error: FeefifodError, attempt: int) -> None:
        """Do nothing."""

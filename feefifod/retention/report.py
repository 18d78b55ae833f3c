"""What retention has done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is old enough and stays as it is, and why.

    Attributes:
        suspicious: it could not be proven, or not be touched; else it only waits for others.
    """

    place: str
    reason: str
    suspicious: bool


@dataclass(slots=True)
class Report:
    """The outcome; with `dry_run` what it would be.

    Attributes:
        packed, pruned: where the files lay.
        bytes_before, bytes_after: of these files.
    """

    dry_run: bool = False
    packed: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    bytes_before: int = 0
    bytes_after: int = 0

    @property
    def suspicious(self) -> list[Kept]:
        """Files that somebody should look at."""
        return [kept for kept in self.kept if kept.suspicious]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `retention --json`."""
        return {
            "dry_run": self.dry_run,
            "compressed": self.packed,
            "pruned": self.pruned,
            "kept": [{"path": k.place, "reason": k.reason, "warning": k.suspicious} for k in self.kept],
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
        }

"""What a copy tells of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class CopyReport:
    """What was done.

    Attributes:
        rows: rows that were proven equal. copied: those of them that were copied by this process.
        views: materialized views that are being filled again.
    """

    rows: int = 0
    copied: int = 0
    slices: int = 0
    views: list[str] = field(default_factory=list)


class Listener(Protocol):
    """Hears how it goes."""

    def waits(self, users: Sequence[str]) -> None:
        """Others work on the table still; nobody new begins to."""

    def planned(self, rows: int) -> None:
        """So many rows are to be copied and proven."""

    def proven(self, rows: int, month: str) -> None:
        """So many rows of this month are in the copy, and proven."""


class SilentListener:
    """Hears nothing."""

    def waits(self, users: Sequence[str]) -> None:
        """Ignore it."""

    def planned(self, rows: int) -> None:
        """Ignore it."""

    def proven(self, rows: int, month: str) -> None:
        """Ignore it."""

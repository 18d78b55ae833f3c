"""What verification says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from feefifod.model import Series
    from feefifod.sink.checksums import Checksum, SeriesMonth


class Kind(StrEnum):
    """What a difference is about."""

    ROWS = "rows"
    """The table holds other rows than the files."""
    ARCHIVE = "archive"
    """A file is not in the archive any more as it was loaded, so its series cannot be compared."""
    PRUNED = "pruned"
    """The table holds other rows than were proven before their files were pruned."""
    LEDGER = "ledger"
    """The ledger says something else than the file itself."""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """A comparison row by row.

    Attributes:
        missing: only in the files. extra: only in the table. changed: in both, with other values.
        examples: the first few, in words.
    """

    missing: int
    extra: int
    changed: int
    examples: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether there is no difference."""
        return not (self.missing or self.extra or self.changed)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the ledger says.

    Attributes:
        month: `2024-01`, or "" where it concerns no single month.
        files: names of the files that the series was loaded from, or of the one file concerned.
        expected, found: what the files say, and what the table says; None where that was not looked at.
        rows: the comparison row by row; None where it was not made.
        key: the month as the table has it, where it is about one.
    """

    kind: Kind
    series: Series
    month: str
    files: tuple[str, ...]
    reason: str
    expected: Checksum | None = None
    found: Checksum | None = None
    rows: RowCounts | None = None
    remedy: str = ""
    key: SeriesMonth | None = None

    @property
    def repairable(self) -> bool:
        """Whether loading the files again cures it: rows that are too many stay, for QuestDB deletes no single rows."""
        return self.kind is Kind.ROWS and (self.rows is None or bool(self.rows.missing or self.rows.changed))

    def to_json(self) -> dict[str, Any]:
        """Return the object of `verify --json`."""
        return {
            "kind": str(self.kind),
            **name_series(self.series),
            "month": self.month or None,
            "files": list(self.files),
            "reason": self.reason,
            "expected": describe_checksum(self.expected),
            "found": describe_checksum(self.found),
            "missing": self.rows.missing if self.rows else None,
            "extra": self.rows.extra if self.rows else None,
            "changed": self.rows.changed if self.rows else None,
            "examples": list(self.rows.examples) if self.rows else [],
            "remedy": self.remedy or None,
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A series that was not compared, and why."""

    series: Series
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the object of `verify --json`."""
        return {**name_series(self.series), "reason": self.reason}


@dataclass(slots=True)
class Report:
    """The outcome.

    Attributes:
        series, files, rows: what was compared; rows as the ledger counts them.
        differences: what is wrong now. repaired: what was wrong and is right again.
    """

    table: str
    series: int = 0
    files: int = 0
    rows: int = 0
    differences: list[Difference] = field(default_factory=list)
    repaired: list[Difference] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `verify --json`."""
        return {
            "table": self.table,
            "equal": not self.differences,
            "series": self.series,
            "files": self.files,
            "rows": self.rows,
            "differences": [difference.to_json() for difference in self.differences],
            "repaired": [difference.to_json() for difference in self.repaired],
            "skipped": [skipped.to_json() for skipped in self.skipped],
        }


class Listener(Protocol):
    """Somebody who watches verification."""

    def planned(self, files: int, rows: int) -> None:
        """So much is to be compared."""

    def compared(self, files: int, rows: int) -> None:
        """So much more was read and compared."""

    def differs(self, difference: Difference) -> None:
        """Something is not as it should be."""


class SilentListener:
    """Watches nothing."""

    def planned(self, files: int, rows: int) -> None:
        """Do nothing."""

    def compared(self, files: int, rows: int) -> None:
        """Do nothing."""

    def differs(self, difference: Difference) -> None:
        """Do nothing."""


def name_series(series: Series) -> dict[str, Any]:
    """Return what names a series."""
    return {
        "ticker": series.ticker,
        "category": str(series.category),
        "quote": series.quote,
        "interval_minutes": series.interval_minutes,
    }


def describe_checksum(checksum: Checksum | None) -> dict[str, Any] | None:
    """Return what people and programs see of a fingerprint."""
    if checksum is None:
        return None
    return {
        "rows": checksum.rows,
        "first": format_time(checksum.first_us),
        "last": format_time(checksum.last_us),
        "trades": checksum.trades,
        "checksum": hashlib.blake2b(repr(checksum.sums).encode(), digest_size=8).hexdigest(),
    }


def format_time(us: int) -> str:
    """Write an instant; fractions of a second only where there are some."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).isoformat().replace("+00:00", "") + (
        f".{us % 1_000_000:06d}Z" if us % 1_000_000 else "Z"
    )


def format_month(us: int) -> str:
    """Write the month that begins at an instant: `2024-01`."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m")

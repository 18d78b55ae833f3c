"""The rows of the ledger, as those outside see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feefifod.model import Category, FileStamp, FileState, Membership, Series

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Drop:
    """A complete file in the data folder, or a scratch copy of a zip's member, as discovery sees it.

    Attributes:
        membership: what it is a copy of; None for what a person dropped.
        wrapping: what is around its candles, see `parse.names`.
    """

    path: bytes
    name: str
    stamp: FileStamp
    series: Series
    membership: Membership | None = None
    wrapping: str = ""


@dataclass(frozen=True, slots=True)
class BadName:
    """A complete file that is refused for its very name."""

    path: bytes
    name: str
    stamp: FileStamp
    reason: str
    membership: Membership | None = None


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """A row that is ours until its lease ends.

    Attributes:
        sha256: of what is inside of the wrapping; None until it was read.
        zip_sha256: of the zip that it is a scratch copy from; None for what a person dropped.
    """

    id: int
    path: bytes
    name: str
    stamp: FileStamp
    series: Series
    sha256: bytes | None
    irregular: bool
    overwrite: bool
    zip_sha256: bytes | None = None
    wrapping: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """Files that are loaded together.

    Attributes:
        checkpoint_seconds: all rows before this instant are in already; None when nothing is.
        merged: rows that lost to another file of the batch before the checkpoint, by series key.
    """

    batch_id: int
    fence: int
    table_id: str
    files: tuple[ClaimedFile, ...]
    checkpoint_seconds: int | None
    merged: dict[str, int]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was proven of a file. Times are unix seconds of its first and last row."""

    id: int
    rows_accepted: int
    rows_rejected: int
    rows_odd: int
    first_seconds: int
    last_seconds: int


@dataclass(frozen=True, slots=True)
class Ending:
    """What becomes of a file that is not loaded."""

    id: int
    state: FileState
    reason: str
    rows_rejected: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """Where a decided file is now; None when it is nowhere any more. A remark replaces its reason."""

    id: int
    moved_to: bytes | None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A ledger row, for people.

    Attributes:
        archived: `compressed` or `pruned` when retention has taken it.
        zip_sha256: as in `ClaimedFile`.
    """

    id: int
    path: bytes
    name: str
    stamp: FileStamp
    series: Series | None
    state: FileState
    ending: FileState | None
    table_id: str | None
    rows_accepted: int
    rows_rejected: int
    reason: str
    moved_to: bytes | None
    owner: str | None
    seen_at: datetime
    finished_at: datetime | None
    archived: str = ""
    archived_at: datetime | None = None
    zip_sha256: bytes | None = None


def _stamp(row: Any) -> FileStamp:
    return FileStamp(row["device"], int(row["inode"]), row["size"], row["mtime_ns"], row["ctime_ns"])


def _series(row: Any) -> Series:
    return Series(row["ticker"], Category(row["category"]), row["quote"], row["interval_minutes"])


def read_claimed(row: Any) -> ClaimedFile:
    """Read what a claim needs of a row."""
    return ClaimedFile(
        row["id"],
        row["path"],
        row["name"],
        _stamp(row),
        _series(row),
        row["sha256"],
        row["irregular"],
        row["overwrite"],
        row["zip_sha256"],
        row["wrapping"],
    )


def read_record(row: Any) -> FileRecord:
    """Read a whole row."""
    return FileRecord(
        row["id"],
        row["path"],
        row["name"],
        _stamp(row),
        _series(row) if row["ticker"] else None,
        FileState(row["state"]),
        FileState(row["ending"]) if row["ending"] else None,
        row["table_id"],
        row["rows_accepted"],
        row["rows_rejected"],
        row["reason"],
        row["moved_to"],
        row["owner"],
        row["seen_at"],
        row["finished_at"],
        row["archived"],
        row["archived_at"],
        row["zip_sha256"],
    )
